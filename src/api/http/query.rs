//! Query parameters: texts that set fields of a request message.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};
use serde::de::DeserializeSeed;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::route::{Body, Route};
use crate::error::{Error, Result};
use crate::job::quoted;
use crate::proto::json::messages;

const DURATION: &str = "google.protobuf.Duration";

/// The decoded names and values of a query string.
///
/// # Errors
///
/// `InvalidField` if they are not UTF-8.
pub(super) fn pairs(query: Option<&str>) -> Result<Vec<(String, String)>> {
    let query = query.unwrap_or_default();
    // The parser below replaces what is not UTF-8.
    if percent_decode_str(query).decode_utf8().is_err() {
        return Err(Error::invalid("query", "is not UTF-8 after percent-decoding"));
    }
    let pairs = form_urlencoded::parse(query.as_bytes());
    Ok(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
}

/// The fields of a route's request message that query parameters set, with the name of the parameter.
pub(super) fn parameters(route: &Route) -> Vec<(String, FieldDescriptor)> {
    let input = route.rpc.input();
    let captures: Vec<_> = route.captures().collect();
    let is_parameter = |field: &FieldDescriptor| match route.body {
        Body::Message => false,
        Body::Field(name) => field.name() != name && !captures.contains(&field.name()),
        Body::None => !captures.contains(&field.name()),
    };
    input
        .fields()
        .filter(is_parameter)
        .map(|field| (parameter_name(route, &field).into_owned(), field))
        .collect()
}

fn parameter_name<'a>(route: &'a Route, field: &'a FieldDescriptor) -> Cow<'a, str> {
    let alias = route.aliases.iter().find(|(_, name)| *name == field.name());
    alias.map_or_else(|| field.json_name().to_owned().into(), |(alias, _)| (*alias).into())
}

/// Sets the field of a query parameter, one of these.
///
/// # Errors
///
/// `InvalidField` if there is no such parameter, or its value does not fit.
pub(super) fn set(
    message: &mut DynamicMessage,
    parameters: &[(String, FieldDescriptor)],
    name: &str,
    text: &str,
) -> Result<()> {
    let (base, key) = name.split_once('.').map_or((name, None), |(base, key)| (base, Some(key)));
    let known = parameters.iter().find(|(known, field)| known == base && field.is_map() == key.is_some());
    let Some((_, field)) = known else { return Err(unknown(name, parameters)) };
    if let Some(key) = key {
        if let Value::Map(map) = message.get_field_mut(field) {
            map.insert(MapKey::String(key.to_owned()), Value::String(text.to_owned()));
        }
        return Ok(());
    }
    if field.is_list() {
        for item in text.split(',') {
            let value = value(field, item).map_err(|problem| Error::invalid(name, problem))?;
            if let Value::List(list) = message.get_field_mut(field) {
                list.push(value);
            }
        }
        return Ok(());
    }
    if message.has_field(field) {
        return Err(Error::invalid(name, "is given twice: give it once"));
    }
    let value = value(field, text).map_err(|problem| Error::invalid(name, problem))?;
    message.set_field(field, value);
    Ok(())
}

/// Refuses all query parameters, for a request without any.
///
/// # Errors
///
/// `InvalidField` with the name of the first one.
pub(super) fn refuse_all(query: Option<&str>) -> Result<()> {
    pairs(query)?.first().map_or(Ok(()), |(name, _)| Err(unknown(name, &[])))
}

fn unknown(name: &str, parameters: &[(String, FieldDescriptor)]) -> Error {
    let shown = |(name, field): &(String, FieldDescriptor)| match field.is_map() {
        true => format!("{name}.KEY"),
        false => name.clone(),
    };
    let names: Vec<_> = parameters.iter().map(shown).collect();
    let known = match names.is_empty() {
        true => "this request has none".to_owned(),
        false => format!("they are {}", names.join(", ")),
    };
    Error::invalid(name, format!("is not a query parameter of this request: {known}"))
}

/// The value of a field from its text.
fn value(field: &FieldDescriptor, text: &str) -> Result<Value, String> {
    match field.kind() {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bool => match text {
            "true" | "" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("is {}: write true or false", quoted(text))),
        },
        Kind::Uint32 => {
            let number = text
                .parse()
                .map_err(|_| format!("is {}: write a whole number from 0 to {}", quoted(text), u32::MAX))?;
            Ok(Value::U32(number))
        }
        Kind::Enum(values) => enum_value(&values, text),
        Kind::Message(descriptor) => {
            let value = from_text(&descriptor, text).map(Value::Message);
            value.ok_or_else(|| match descriptor.full_name() {
                DURATION => bad_duration(text),
                _ => format!("is {}: write a time of RFC 3339, such as 2026-01-31T12:00:00Z", quoted(text)),
            })
        }
        _ => Err("cannot be set in a query".to_owned()),
    }
}

/// A duration that is not negative, from its text: `30s`.
///
/// # Errors
///
/// `InvalidField` with the name of the parameter.
pub(super) fn duration(name: &str, text: &str) -> Result<prost_types::Duration> {
    let message =
        messages().get_message_by_name(DURATION).and_then(|descriptor| from_text(&descriptor, text));
    let duration = message.and_then(|message| message.transcode_to::<prost_types::Duration>().ok());
    let duration = duration.ok_or_else(|| Error::invalid(name, bad_duration(text)))?;
    match duration.seconds < 0 || duration.nanos < 0 {
        true => Err(Error::invalid(name, format!("is {}: it must not be negative", quoted(text)))),
        false => Ok(duration),
    }
}

fn bad_duration(text: &str) -> String {
    format!("is {}: write seconds with the suffix s, such as 30s or 1.5s", quoted(text))
}

/// A message that has the form of a string in JSON.
fn from_text(descriptor: &MessageDescriptor, text: &str) -> Option<DynamicMessage> {
    let text: StrDeserializer<'_, ValueError> = text.into_deserializer();
    descriptor.clone().deserialize(text).ok()
}

/// The value of an enum by its name, with or without the prefix of the enum, in any case.
fn enum_value(values: &EnumDescriptor, text: &str) -> Result<Value, String> {
    let prefix = enum_prefix(values);
    let upper = text.to_ascii_uppercase();
    let named = values.values().find(|value| {
        value.number() != 0 && (value.name() == upper || value.name().strip_prefix(&prefix) == Some(&upper))
    });
    named
        .map(|value| Value::EnumNumber(value.number()))
        .ok_or_else(|| format!("is {}: write one of {}", quoted(text), enum_names(values).join(", ")))
}

/// The names of an enum without its prefix and without the unspecified value.
pub(super) fn enum_names(values: &EnumDescriptor) -> Vec<String> {
    let prefix = enum_prefix(values);
    let names = values.values().filter(|value| value.number() != 0);
    names.map(|value| value.name().trim_start_matches(&prefix).to_owned()).collect()
}

/// `JOB_STATE_` for the enum JobState.
fn enum_prefix(values: &EnumDescriptor) -> String {
    values.default_value().name().trim_end_matches("UNSPECIFIED").to_owned()
}
