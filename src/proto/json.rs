//! Messages of the API as canonical protobuf JSON, for the HTTP interface and for programs that print messages.
//!
//! Fields without presence are always written, so that readers find them, except enums without a value and empty content
//! types. Whole numbers in JSON payloads have no fraction. Maps are sorted by key.

mod document;

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, Kind, MessageDescriptor, ReflectMessage, SerializeOptions,
};
use serde::de::DeserializeSeed;
use serde_json::value::Serializer;
use serde_json::{Number, Value};

use super::DESCRIPTORS;
use crate::error::{Error, Result};
use crate::job::quoted;

/// Name of the field in an error about the document as a whole.
const DOCUMENT: &str = "body";
const JSON_VALUE: &str = "google.protobuf.Value";
const CONTENT_TYPE: &str = "content_type";
/// The file with the details of errors, which responses of batches contain.
const ERROR_DETAILS: &str = "error_details.proto";

/// The messages of the API. Decoded once, from bytes that the build has checked.
static MESSAGES: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::decode(DESCRIPTORS).unwrap_or_default();
    let details = prost_types::FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET);
    let file = details.unwrap_or_default().file.into_iter().find(|file| file.name() == ERROR_DETAILS);
    if let Some(file) = file {
        // An error would show as a failed conversion of error details.
        let _ = pool.add_file_descriptor_proto(file);
    }
    pool
});

/// How the values of enums are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnumNames {
    /// As in the schema, which is canonical: `JOB_STATE_QUEUED`.
    Full,
    /// Without the name of the enum, for people: `QUEUED`.
    Short,
}

const OPTIONS: SerializeOptions = SerializeOptions::new().skip_default_fields(false);

/// Whole numbers within 64 bits are written without a fraction.
const I64_MAX: f64 = 9_223_372_036_854_775_808.0;
const U64_MAX: f64 = 18_446_744_073_709_551_616.0;

/// The descriptors of all messages, services and enums of the API.
pub(crate) fn messages() -> &'static DescriptorPool {
    &MESSAGES
}

/// Parses a JSON document as a message of this type.
///
/// # Errors
///
/// `InvalidField` with the path of the field, or [`DOCUMENT`] and the place of the error in the text.
pub(crate) fn parse(descriptor: &MessageDescriptor, text: &[u8]) -> Result<DynamicMessage> {
    document::check(text).map_err(|problem| Error::invalid(DOCUMENT, problem))?;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    descriptor.clone().deserialize(&mut deserializer).map_err(|_| with_path(descriptor, text))
}

/// The error of a document that is not a message, with the path of the field. The document is parsed again for it: tracking
/// paths slows parsing down.
fn with_path(descriptor: &MessageDescriptor, text: &[u8]) -> Error {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let Err(error) = descriptor.clone().deserialize(deserializer) else {
        return Error::invalid(DOCUMENT, "does not match the message");
    };
    let path = track.path().to_string();
    let message = error.to_string();
    let description = match document::unknown_field(&message) {
        Some(name) => format!("has no field {}: {}", quoted(name), names_of_fields(descriptor, &path)),
        None => in_json_terms(&message),
    };
    Error::invalid(if path == "." { DOCUMENT.to_owned() } else { path }, description)
}

/// A message of the parser, which has the terms of its data model.
fn in_json_terms(message: &str) -> String {
    const TERMS: [(&str, &str); 4] = [
        ("type: map", "type: object"),
        ("type: sequence", "type: array"),
        ("expected a map", "expected an object"),
        ("expected a list", "expected an array"),
    ];
    TERMS.iter().fold(message.to_owned(), |message, (term, json)| message.replacen(term, json, 1))
}

/// The fields of the message at this path, for an error.
fn names_of_fields(descriptor: &MessageDescriptor, path: &str) -> String {
    let mut message = descriptor.clone();
    for part in path.split(['.', '[', ']']) {
        let field = message.get_field_by_json_name(part).or_else(|| message.get_field_by_name(part));
        if let Some(inner) = field.and_then(|field| field.kind().as_message().cloned()) {
            message = inner;
        }
    }
    let names: Vec<_> = message.fields().map(|field| field.json_name().to_owned()).collect();
    format!("the fields of {} are {}", message.name(), names.join(", "))
}

/// A message of `jobstream.v1` by its name, as JSON.
///
/// ```
/// use jobstream::proto::json::{EnumNames, to_value};
/// use jobstream::proto::v1::{CancelResponse, JobState};
///
/// let response = CancelResponse { state: JobState::Cancelled.into(), sequence: 3 };
/// let json = to_value("CancelResponse", &response, EnumNames::Short).expect("a message of the API");
/// assert_eq!(json.to_string(), r#"{"state":"CANCELLED","sequence":3}"#);
/// ```
///
/// # Errors
///
/// `InvalidField` if there is no such message, or it holds what JSON cannot represent, such as a time beyond the year 9999.
pub fn to_value(name: &str, message: &impl Message, names: EnumNames) -> Result<Value> {
    let invalid = |problem: String| Error::invalid(name, problem);
    let descriptor = MESSAGES.get_message_by_name(&format!("jobstream.v1.{name}"));
    let descriptor = descriptor.ok_or_else(|| invalid("is no message of jobstream.v1".to_owned()))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice());
    let message = message.map_err(|error| invalid(format!("is of another type: {error}")))?;
    render(&message, names).map_err(|error| invalid(format!("has no form in JSON: {error}")))
}

/// A JSON text of at most 30 levels as a value of a payload; `None` if it is malformed, or escapes half a surrogate pair.
pub fn value_of(text: &str) -> Option<prost_types::Value> {
    let descriptor = MESSAGES.get_message_by_name(JSON_VALUE)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    DynamicMessage::deserialize(descriptor, &mut deserializer).ok()?.transcode_to().ok()
}

/// A message of this type, from its encoded form, as JSON.
///
/// # Errors
///
/// If it holds what JSON cannot represent, such as a time beyond the year 9999.
pub(crate) fn render(message: &DynamicMessage, names: EnumNames) -> Result<Value, serde_json::Error> {
    let mut json = message.serialize_with_options(Serializer, &OPTIONS)?;
    adapt(&mut json, &message.descriptor(), names);
    Ok(json)
}

/// Turns the canonical form of a message into the one that is written.
fn adapt(json: &mut Value, descriptor: &MessageDescriptor, names: EnumNames) {
    let Value::Object(object) = json else { return };
    for field in descriptor.fields() {
        let name = field.json_name();
        let Some(value) = object.get_mut(name) else { continue };
        match (field.kind(), value) {
            (Kind::Enum(values), Value::String(text)) if text == values.default_value().name() => {
                object.shift_remove(name);
            }
            (Kind::Enum(values), Value::String(text)) if names == EnumNames::Short => {
                *text = short_name(&values, text).to_owned();
            }
            (Kind::Message(_), Value::Object(pairs)) if field.is_map() => pairs.sort_keys(),
            (Kind::Message(inner), value) if inner.full_name() == JSON_VALUE => drop_fractions(value),
            (Kind::Message(inner), Value::Array(items)) => {
                items.iter_mut().for_each(|item| adapt(item, &inner, names));
            }
            (Kind::Message(inner), value) => adapt(value, &inner, names),
            (Kind::String, Value::String(text)) if field.name() == CONTENT_TYPE && text.is_empty() => {
                object.shift_remove(name);
            }
            _ => {}
        }
    }
}

/// `QUEUED` for `JOB_STATE_QUEUED`.
fn short_name<'a>(values: &EnumDescriptor, name: &'a str) -> &'a str {
    let unspecified = values.default_value();
    let prefix = unspecified.name().strip_suffix("UNSPECIFIED").unwrap_or_default();
    name.strip_prefix(prefix).unwrap_or(name)
}

/// Writes `1.0` as `1` in a JSON payload, whose numbers are all doubles.
fn drop_fractions(json: &mut Value) {
    match json {
        Value::Number(number) => *number = without_fraction(number),
        Value::Array(items) => items.iter_mut().for_each(drop_fractions),
        Value::Object(fields) => fields.values_mut().for_each(drop_fractions),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn without_fraction(number: &Number) -> Number {
    match number.as_f64() {
        Some(whole) if whole.fract() == 0.0 && (-I64_MAX..I64_MAX).contains(&whole) => (whole as i64).into(),
        Some(whole) if whole.fract() == 0.0 && (0.0..U64_MAX).contains(&whole) => (whole as u64).into(),
        _ => number.clone(),
    }
}
