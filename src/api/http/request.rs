//! Binds an HTTP request to the request message of its route: captures of the path, query parameters and the body.

use bytes::Bytes;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Value};

use super::problem::Problem;
use super::query;
use super::route::{Body, Route};
use crate::error::{Error, Result};
use crate::job::quoted;
use crate::proto::{codec, json};

/// A request with its route. The body has been read.
pub(super) struct BoundRequest<'a> {
    pub(super) route: &'a Route,
    pub(super) parts: Parts,
    pub(super) captures: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl BoundRequest<'_> {
    /// The request message.
    ///
    /// # Errors
    ///
    /// `InvalidField` with the JSON names of the fields.
    pub(super) fn message(&self) -> Result<DynamicMessage> {
        let parameters = query::pairs(self.parts.uri.query())?;
        self.message_with(&parameters)
    }

    /// The request message, from these query parameters instead of all.
    pub(super) fn message_with(&self, parameters: &[(String, String)]) -> Result<DynamicMessage> {
        let input = self.route.rpc.input();
        let mut message = match self.route.body {
            Body::Message if !self.body.is_empty() => json::parse(&input, &self.body)?,
            _ => DynamicMessage::new(input.clone()),
        };
        if let Body::Field(name) = self.route.body
            && let Some(field) = input.get_field_by_name(name)
            && let Some(inner) = field.kind().as_message()
        {
            message.set_field(&field, Value::Message(json::parse(inner, &self.body)?));
        }
        for (name, value) in &self.captures {
            let Some(field) = input.get_field_by_name(name) else { continue };
            self.check_not_repeated(&message, &field)?;
            message.set_field(&field, Value::String(value.clone()));
        }
        // Most requests have no parameters, and the names that they may have are not collected for them.
        let known = if parameters.is_empty() { Vec::new() } else { query::parameters(self.route) };
        for (name, value) in parameters {
            query::set(&mut message, &known, name, value)?;
        }
        Ok(message)
    }

    /// Refuses a field in the body that the path sets as well.
    fn check_not_repeated(&self, message: &DynamicMessage, field: &FieldDescriptor) -> Result<()> {
        match message.has_field(field) {
            true => Err(Error::invalid(field.json_name(), "is in the path: leave it out of the body")),
            false => Ok(()),
        }
    }

    /// The value of a header as text; `None` if there is none.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }
}

/// The message as its generated type, within the limits of requests.
pub(super) fn transcode<T: Message + Default>(message: &DynamicMessage) -> Result<T, Problem> {
    Ok(codec::decode_request(&message.encode_to_vec())?)
}

/// The captures of a route's path in the path of a request, whose last segment is given without its action.
///
/// # Errors
///
/// `InvalidField` if a segment is not UTF-8.
pub(super) fn captures(route: &Route, path: &str, last: &str) -> Result<Vec<(&'static str, String)>> {
    let mut captures = Vec::new();
    let mut segments = path.split('/').peekable();
    for template in route.path.split('/') {
        let (Some(segment), is_last) = (segments.next(), segments.peek().is_none()) else { break };
        let segment = if is_last { last } else { segment };
        if let Some(name) = template.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| {
                Error::invalid(
                    name,
                    format!("is {}, which is not UTF-8 after percent-decoding", quoted(segment)),
                )
            })?;
            captures.push((name, decoded.into_owned()));
        }
    }
    Ok(captures)
}

/// The field path of an error with JSON names, without the field that is the body: `retry.maxAttempts` for
/// `job.retry.max_attempts`.
pub(super) fn json_path(route: &Route, path: &str) -> String {
    let path = match route.body {
        Body::Field(name) => path.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).unwrap_or(path),
        Body::None | Body::Message => path,
    };
    let name_end = path.find(['.', '[']).unwrap_or(path.len());
    let alias = route.aliases.iter().find(|(_, field)| *field == &path[..name_end]);
    alias.map_or_else(|| camel_case(path), |(name, _)| format!("{name}{}", &path[name_end..]))
}

/// The path with each name up to the first quoted key in lower camel case.
fn camel_case(path: &str) -> String {
    let (names, rest) = path.split_at(path.find('"').unwrap_or(path.len()));
    let mut out = String::with_capacity(path.len());
    let mut is_upper = false;
    for char in names.chars() {
        match (char, is_upper) {
            ('_', _) => is_upper = true,
            (char, true) => {
                out.extend(char.to_uppercase());
                is_upper = false;
            }
            (char, false) => out.push(char),
        }
    }
    out + rest
}
