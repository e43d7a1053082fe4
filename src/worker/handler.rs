//! Async and inline handlers, and the JSON conversion of typed ones.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::executor::ByKind;
use super::{JobContext, JobError};
use crate::job::{
    Assignment, AttemptEnd, Encoding, Failure, FailureReason, InlineHandler, JSON, JobId, Payload,
};

/// What a handler returns.
pub(super) type HandlerResult = Result<Payload, JobError>;

/// An async handler of one kind.
pub(super) type AsyncHandler = Arc<dyn Fn(JobContext) -> HandlerFuture + Send + Sync>;
pub(super) type HandlerFuture = Pin<Box<dyn Future<Output = HandlerResult> + Send>>;

/// A handler that reads the payload itself and returns a payload.
pub(super) fn raw<F, Fut>(handler: F) -> AsyncHandler
where
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    Arc::new(move |context| Box::pin(handler(context)))
}

/// A handler with typed input and output, encoded as JSON.
pub(super) fn typed<I, O, F, Fut>(handler: F) -> AsyncHandler
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(JobContext, I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, JobError>> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |context: JobContext| {
        let handler = handler.clone();
        Box::pin(async move {
            let input = context.input()?;
            let encoding = context.payload().encoding;
            let output = handler(context, input).await?;
            json_payload(&output, encoding)
        })
    })
}

/// The job that an inline handler receives.
#[derive(Debug)]
pub struct InlineJob {
    /// The job's id.
    pub job_id: JobId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The job's payload.
    pub payload: Payload,
}

/// A handler that runs on the thread that dispatched the attempt; a panic fails the attempt.
pub(super) fn inline<F>(handler: F) -> impl Fn(Assignment) -> AttemptEnd + Send + Sync
where
    F: Fn(InlineJob) -> HandlerResult + Send + Sync,
{
    move |assignment| {
        let Assignment { job_id, attempt, payload, .. } = assignment;
        let job = InlineJob { job_id, attempt, payload };
        attempt_end(catch_unwind(AssertUnwindSafe(|| handler(job))))
    }
}

/// One inline handler that selects from these by kind.
pub(super) fn inline_by_kind(handlers: ByKind<InlineHandler>) -> InlineHandler {
    Arc::new(move |assignment: Assignment| match handlers.get(&assignment.kind) {
        Some(handler) => handler(assignment),
        None => AttemptEnd::Failure(unknown_kind(&assignment.kind), None),
    })
}

pub(super) fn unknown_kind(kind: &str) -> Failure {
    Failure::new(FailureReason::UnknownKind, format!("this worker has no handler for kind {kind}"))
        .permanent()
}

/// The end of an attempt whose handler returned or panicked.
pub(super) fn attempt_end(returned: Result<HandlerResult, Box<dyn Any + Send>>) -> AttemptEnd {
    match returned {
        Ok(Ok(result)) => AttemptEnd::Success(result),
        Ok(Err(error)) => error.into_end(),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let message = format!("the handler panicked: {}", text.as_deref().unwrap_or("without a message"));
            AttemptEnd::Failure(Failure::new(FailureReason::Panic, message), None)
        }
    }
}

/// Parses a payload as JSON. An empty payload is read as `null`.
pub(super) fn read_json<T: DeserializeOwned>(payload: &Payload) -> Result<T, JobError> {
    let bytes = if payload.is_empty() { &b"null"[..] } else { &payload.bytes[..] };
    serde_json::from_slice(bytes).map_err(|error| {
        let message = format!(
            "the payload does not match the handler's input type: {}",
            with_field::<T>(bytes, &error)
        );
        JobError::of(Failure::new(FailureReason::BadPayload, message).permanent())
    })
}

/// The error with the path of the invalid field. The payload is parsed again for it: tracking paths slows parsing down.
fn with_field<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> String {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(tracked) if tracked.path().iter().next().is_some() => format!("{}: {error}", tracked.path()),
        _ => error.to_string(),
    }
}

/// Encodes output as JSON, in the encoding of the input. A client that sent the `json` arm receives it; other clients
/// receive text, which has exact integers.
pub(super) fn json_payload(output: &impl Serialize, input: Encoding) -> HandlerResult {
    let json = serde_json::to_string(output)?;
    Ok(match input {
        Encoding::Json => Payload::json_text(json),
        Encoding::Data | Encoding::Text => Payload::text(json).with_content_type("application/json"),
    })
}

/// The result of a program or an HTTP endpoint as a payload: JSON if the input and the result are JSON, else text if the
/// result is UTF-8, else bytes.
pub(super) fn result_payload(result: Bytes, content_type: &str, input: Encoding) -> Payload {
    let is_json = input == Encoding::Json
        && essence(content_type).eq_ignore_ascii_case(JSON)
        && serde_json::from_slice::<serde::de::IgnoredAny>(&result).is_ok();
    match is_json {
        true => Payload::json_text(result),
        false => text_or_data(result).with_content_type(content_type),
    }
}

pub(super) fn text_or_data(bytes: Bytes) -> Payload {
    match std::str::from_utf8(&bytes) {
        Ok(_) => Payload::utf8(bytes),
        Err(_) => Payload::data(bytes),
    }
}

/// A MIME type without its parameters.
pub(super) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}
