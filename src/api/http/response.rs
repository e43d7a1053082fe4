//! Responses: messages as JSON.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage, Value as Reflected};
use serde_json::Value;
use tonic::Status;

use super::compression;
use super::problem::Problem;
use crate::error::{Error, ErrorKind};
use crate::proto::json::{self, EnumNames};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const RPC_STATUS: &str = "google.rpc.Status";

/// Decodes a response message.
///
/// # Errors
///
/// An internal error: the message comes from the server itself.
pub(super) fn decode(descriptor: MessageDescriptor, message: &[u8]) -> Result<DynamicMessage, Problem> {
    DynamicMessage::decode(descriptor, message).map_err(|error| internal(&error))
}

/// A message as JSON. Errors within it are problem details, as those of a whole response.
///
/// # Errors
///
/// An internal error if the message has no form in JSON.
pub(super) fn to_json(message: &DynamicMessage) -> Result<Value, Problem> {
    let mut json = json::render(message, EnumNames::Full).map_err(|error| internal(&error))?;
    replace_statuses(&mut json, message);
    Ok(json)
}

/// A message of the API of this name as JSON.
///
/// # Errors
///
/// As [`to_json`].
pub(super) fn render(name: &str, message: &impl Message) -> Result<Value, Problem> {
    let descriptor = json::messages().get_message_by_name(&format!("jobstream.v1.{name}"));
    let descriptor = descriptor.ok_or_else(|| Problem::from(Status::internal("unknown message")))?;
    to_json(&decode(descriptor, &message.encode_to_vec())?)
}

/// A JSON response.
pub(super) fn respond(status: StatusCode, json: &Value) -> Response {
    let mut response = (status, json.to_string() + "\n").into_response();
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    compression::mark(&mut response);
    response
}

fn internal(error: &dyn std::error::Error) -> Problem {
    Error::new(ErrorKind::Internal, format!("the response cannot be written as JSON: {error}")).into()
}

/// Replaces each `google.rpc.Status` within a message by a problem. A status that is OK is an empty object.
fn replace_statuses(json: &mut Value, message: &DynamicMessage) {
    for (field, value) in message.fields() {
        let Some(json) = json.get_mut(field.json_name()) else { continue };
        match value {
            Reflected::Message(inner) => replace_status(json, inner),
            Reflected::List(items) => {
                let elements = json.as_array_mut().into_iter().flatten();
                for (json, item) in elements.zip(items) {
                    if let Reflected::Message(inner) = item {
                        replace_status(json, inner);
                    }
                }
            }
            _ => {}
        }
    }
}

fn replace_status(json: &mut Value, message: &DynamicMessage) {
    if message.descriptor().full_name() != RPC_STATUS {
        return replace_statuses(json, message);
    }
    let encoded = message.encode_to_vec();
    let status = tonic_types::Status::decode(encoded.as_slice()).unwrap_or_default();
    *json = match status.code {
        0 => Value::Object(serde_json::Map::new()),
        code => {
            let status = Status::with_details(code.into(), status.message, encoded.into());
            Problem::from(status).to_json()
        }
    };
}
