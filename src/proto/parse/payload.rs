//! Parses payloads: content in one of three `oneof` arms, copied out of the receive buffer where necessary.

use bytes::Bytes;

use super::json::{Numbers, Refusal};
use super::{CONTENT_TYPE_BYTES_MAX, Violations, json, too_large};
use crate::error::Result;
use crate::job::{self, Payload, quoted};
use crate::proto::v1;
use crate::proto::v1::payload::Body;

/// Data of at least this size shares the receive buffer, if the message has no other payload.
const ZERO_COPY_BYTES_MIN: usize = 16 * 1024;

/// Whether a payload shares its message with other payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadSource {
    /// It is the only payload of the message.
    Alone,
    /// The message has other payloads. Data is always copied, so that one long-lived job does not retain the whole batch.
    Shared,
}

/// Parses a payload of at most `payload_bytes_max` stored bytes. An unset payload is empty.
///
/// # Errors
///
/// `PayloadTooLarge` with `field`; `InvalidField` naming `field.json` with the path inside the value, or
/// `field.content_type`.
pub(crate) fn payload(
    wire: Option<v1::Payload>,
    field: &str,
    source: PayloadSource,
    payload_bytes_max: usize,
) -> Result<Payload> {
    payload_with(wire, field, source, payload_bytes_max, Numbers::Exact)
}

/// Parses a payload of any size that a server sent. All JSON numbers are accepted.
pub(crate) fn payload_of_server(wire: Option<v1::Payload>) -> Result<Payload> {
    payload_with(wire, "payload", PayloadSource::Alone, usize::MAX, Numbers::All)
}

fn payload_with(
    wire: Option<v1::Payload>,
    field: &str,
    source: PayloadSource,
    payload_bytes_max: usize,
    numbers: Numbers,
) -> Result<Payload> {
    let Some(v1::Payload { content_type, body }) = wire else { return Ok(Payload::default()) };
    let is_json = matches!(body, Some(Body::Json(_)));
    let mut found = Violations::default();
    let content = match content(body, source, numbers) {
        Ok(content) => Some(content),
        Err(Refusal { path, description, .. }) => {
            found.check(format_args!("{field}.json{path}"), Err(description))
        }
    };
    let size = content.as_ref().map_or(0, |content| content.bytes.len());
    if size > payload_bytes_max {
        return Err(too_large(field.to_owned(), size, payload_bytes_max));
    }
    found.check(format_args!("{field}.content_type"), check_content_type(&content_type, is_json));
    found.finish(|| Some(content?.with_content_type(&content_type)))
}

fn content(body: Option<Body>, source: PayloadSource, numbers: Numbers) -> Result<Payload, Refusal> {
    match body {
        None => Ok(Payload::default()),
        Some(Body::Data(data)) => Ok(Payload::data(owned(data, source))),
        Some(Body::Text(text)) => Ok(Payload::text(text.into_boxed_str())),
        Some(Body::Json(value)) => Ok(Payload::json_text(json::to_text(&value, numbers)?.into_boxed_slice())),
    }
}

/// Copies the data unless it is large and alone. Data is a slice of the receive buffer, which it would retain.
fn owned(data: Bytes, source: PayloadSource) -> Bytes {
    match source {
        PayloadSource::Alone if data.len() >= ZERO_COPY_BYTES_MIN => data,
        _ => Bytes::copy_from_slice(&data),
    }
}

fn check_content_type(content_type: &str, is_json: bool) -> Result<(), String> {
    if content_type.len() > CONTENT_TYPE_BYTES_MAX {
        return Err(format!("has {} bytes, the limit is {CONTENT_TYPE_BYTES_MAX}", content_type.len()));
    }
    if !content_type.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(format!("{} has a character that is not printable ASCII", quoted(content_type)));
    }
    if is_json && !matches!(content_type, "" | job::JSON) {
        return Err(format!(
            "is {}, but the json arm is always {}: leave it unset, or send text or data",
            quoted(content_type),
            job::JSON
        ));
    }
    Ok(())
}
