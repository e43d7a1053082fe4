//! Conversions between the JSON of the driver and the types of the library.

use std::fmt::Display;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jobstream::client::{Error, ErrorKind, ResultError, reason};
use jobstream::job::{
    Cancellation, Encoding, Event, EventBody, Failure, JSON, Outcome, Payload, StateChange,
};
use serde_json::{Map, Value, json};

/// The response to a command.
pub(crate) type Response = Result<Value, CommandError>;

/// The error response of a command.
pub(crate) struct CommandError(pub(crate) Value);

pub(crate) fn other_error(message: impl Into<String>) -> CommandError {
    CommandError(json!({"class": "other", "reason": "", "message": message.into()}))
}

/// The error of a value that the client rejects without a call.
pub(crate) fn caller_error(error: impl Display) -> CommandError {
    CommandError(json!({"class": "invalid_argument", "reason": "", "message": error.to_string()}))
}

pub(crate) fn not_finished() -> CommandError {
    CommandError(json!({"class": "not_finished", "reason": "", "message": "the wait timed out"}))
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        let class = match (error.kind(), error.reason()) {
            (_, reason::SERVER_RESTARTED) => "server_restarted",
            (_, reason::RESULT_EXPIRED) => "result_expired",
            (_, reason::JOB_ID_REUSED) => "job_id_reused",
            (_, reason::ILLEGAL_STATE) => "illegal_state",
            (ErrorKind::NotFound, _) => "job_not_found",
            (ErrorKind::InvalidArgument, _) => "invalid_request",
            (ErrorKind::ResourceExhausted, _) => "resource_exhausted",
            (ErrorKind::Unavailable | ErrorKind::Unreachable, _) => "unavailable",
            (ErrorKind::DeadlineExceeded, _) => "deadline_exceeded",
            _ => "other",
        };
        let fields: Vec<_> = error.violations().iter().map(|violation| &violation.field).collect();
        Self(json!({
            "class": class, "reason": error.reason(), "message": error.message(), "violations": fields,
        }))
    }
}

impl From<ResultError> for CommandError {
    fn from(error: ResultError) -> Self {
        let message = error.to_string();
        match error {
            ResultError::Failed { failure, .. } => job_failed(&failure, &message),
            ResultError::Cancelled { cancellation, .. } => job_cancelled(&cancellation, &message),
            ResultError::Call(error) => error.into(),
            _ => other_error(message),
        }
    }
}

pub(crate) fn job_failed(failure: &Failure, message: &str) -> CommandError {
    CommandError(json!({
        "class": "job_failed", "reason": "", "message": message,
        "failure": {
            "reason": failure.reason.name(),
            "type": failure.error_type, "message": failure.message, "attempt": failure.attempt,
            "retryable": failure.retryable,
        },
    }))
}

pub(crate) fn job_cancelled(cancellation: &Cancellation, message: &str) -> CommandError {
    CommandError(json!({
        "class": "job_cancelled", "reason": "", "message": message,
        "cancellation": {"reason": cancellation.reason, "forced": cancellation.forced},
    }))
}

/// A string field of the command; empty if it is missing.
pub(crate) fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_default()
}

pub(crate) fn millis(body: &Value, name: &str) -> Option<Duration> {
    body[name].as_u64().map(Duration::from_millis)
}

/// The pairs of an object of strings.
pub(crate) fn texts(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let pairs = object.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// The entries of a list of strings.
pub(crate) fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The value of a payload of type `json`.
pub(crate) fn json_value(payload: &Value) -> Option<Result<Value, CommandError>> {
    let is_json = payload["type"] == "json";
    is_json
        .then(|| serde_json::from_str(text(payload, "text")).map_err(|error| other_error(error.to_string())))
}

pub(crate) fn payload(wire: &Value) -> Result<Payload, CommandError> {
    Ok(match text(wire, "type") {
        "json" => Payload::text(text(wire, "text")).with_content_type(JSON),
        "data" => {
            let bytes = BASE64_STANDARD
                .decode(text(wire, "base64"))
                .map_err(|error| other_error(error.to_string()))?;
            Payload::data(bytes).with_content_type(text(wire, "content_type"))
        }
        _ => Payload::text(text(wire, "text")),
    })
}

pub(crate) fn payload_json(payload: &Payload) -> Value {
    let as_text = || String::from_utf8_lossy(&payload.bytes);
    match payload.encoding {
        _ if payload.content_type() == JSON => json!({"type": "json", "text": as_text()}),
        Encoding::Text => json!({"type": "text", "text": as_text()}),
        _ => json!({
            "type": "data",
            "base64": BASE64_STANDARD.encode(&payload.bytes),
            "content_type": payload.content_type(),
        }),
    }
}

/// The failure of the attempt that ended. That of the last attempt is the outcome of the job.
fn failure_of(change: &StateChange) -> Option<&Failure> {
    match &change.outcome {
        Some(Outcome::Failure(failure)) => Some(failure),
        _ => change.failure.as_deref(),
    }
}

pub(crate) fn event_json(event: &Event) -> Value {
    let mut item = match &event.body {
        EventBody::State(change) => json!({
            "type": "state", "state": change.state.name(),
            "failure": failure_of(change).map(|failure| &failure.message),
        }),
        EventBody::Progress(progress) => json!({
            "type": "progress", "fraction": progress.fraction, "done": progress.done, "total": progress.total,
            "unit": progress.unit, "message": progress.message,
        }),
        EventBody::Output(output) => json!({
            "type": "output", "payload": payload_json(&output.payload), "channel": &*output.channel,
        }),
        EventBody::Log(log) => {
            let level = format!("{:?}", log.level).to_lowercase();
            json!({"type": "log", "text": &*log.text, "level": level})
        }
    };
    let fields = item.as_object_mut().into_iter();
    fields.for_each(|fields: &mut Map<String, Value>| {
        fields.insert("sequence".to_owned(), event.sequence.into());
        fields.insert("attempt".to_owned(), event.attempt.into());
    });
    item
}
