//! Handlers: async functions of a context, or short functions of a job, and how payloads become types.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{JobContext, JobError};
use crate::job::{Assignment, AttemptEnd, Encoding, Failure, FailureReason, InlineHandler, JobId, Payload};

/// What a handler answers.
pub(super) type HandlerResult = Result<Payload, JobError>;

/// An async handler of one kind.
pub(super) type AsyncHandler = Arc<dyn Fn(JobContext) -> HandlerFuture + Send + Sync>;
pub(super) type HandlerFuture = Pin<Box<dyn Future<Output = HandlerResult> + Send>>;

/// A handler that reads its payload as it came and answers one.
pub(super) fn raw<F, Fut>(handler: F) -> AsyncHandler
where
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    Arc::new(move |context| Box::pin(handler(context)))
}

/// A handler of typed input and output, carried as JSON.
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

/// What a short handler sees of its job.
#[derive(Debug)]
pub struct InlineJob {
    /// The job.
    pub job_id: JobId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Input.
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

/// Several short handlers as the one of a session.
pub(super) fn inline_by_kind(handlers: Vec<(Arc<str>, InlineHandler)>) -> InlineHandler {
    Arc::new(move |assignment: Assignment| match handlers.iter().find(|(kind, _)| *kind == assignment.kind) {
        Some((_, handler)) => handler(assignment),
        None => AttemptEnd::Failure(unknown_kind(&assignment.kind), None),
    })
}

pub(super) fn unknown_kind(kind: &str) -> Failure {
    Failure::new(FailureReason::UnknownKind, format!("this worker has no handler for kind {kind}"))
        .permanent()
}

/// How an attempt ended, from what its handler answered or panicked with.
pub(super) fn attempt_end(answer: Result<HandlerResult, Box<dyn Any + Send>>) -> AttemptEnd {
    match answer {
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

/// Reads a payload as JSON; an empty one reads as `null`.
pub(super) fn read_json<T: DeserializeOwned>(payload: &Payload) -> Result<T, JobError> {
    let bytes = if payload.is_empty() { &b"null"[..] } else { &payload.bytes[..] };
    serde_json::from_slice(bytes).map_err(|error| {
        let message = format!("the payload is not what this kind reads: {}", with_field::<T>(bytes, &error));
        JobError::of(Failure::new(FailureReason::BadPayload, message).permanent())
    })
}

/// The error, and the field it is about: that is looked for only now, because tracking it makes reading slower.
fn with_field<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> String {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(tracked) if tracked.path().iter().next().is_some() => format!("{}: {error}", tracked.path()),
        _ => error.to_string(),
    }
}

/// Output as JSON, in the arm in which the input came: who types JSON reads JSON, others read text with exact integers.
pub(super) fn json_payload(output: &impl Serialize, input: Encoding) -> HandlerResult {
    let json = serde_json::to_string(output)?;
    Ok(match input {
        Encoding::Json => Payload::json_text(json),
        Encoding::Data | Encoding::Text => Payload::text(json).with_content_type("application/json"),
    })
}
