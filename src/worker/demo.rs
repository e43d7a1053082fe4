//! Demo handlers for trying out a server: `demo.echo`, `sleep`, `count`, `stream`, `fail` and `flaky`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{JobContext, JobError, Worker};
use crate::job::Payload;

/// The demo kinds, each with a description and an example payload.
pub const KINDS: [(&str, &str, &str); 6] = [
    ("demo.echo", "returns its payload", r#"{"hi":"there"}"#),
    ("demo.sleep", "sleeps", r#"{"seconds":2}"#),
    ("demo.count", "counts and reports progress", r#"{"to":5}"#),
    ("demo.stream", "emits chunks of output", r#"{"chunks":5}"#),
    ("demo.fail", "fails permanently", r#"{"message":"no"}"#),
    ("demo.flaky", "fails until the third attempt", r#"{"failures":2}"#),
];

/// Adds the demo kinds to a worker.
pub fn add_to(worker: Worker) -> Worker {
    worker
        .inline_handler("demo.echo", |job| Ok(job.payload))
        .handler("demo.sleep", |context, input: Option<Sleep>| sleep(context, input.unwrap_or_default()))
        .handler("demo.count", |context, input: Option<Count>| count(context, input.unwrap_or_default()))
        .handler("demo.stream", |context, input: Option<Chunks>| stream(context, input.unwrap_or_default()))
        .handler("demo.fail", |_, input: Option<Fail>| fail(input.unwrap_or_default()))
        .handler("demo.flaky", |context, input: Option<Flaky>| flaky(context, input.unwrap_or_default()))
}

/// Longest wait of a demo handler, in seconds: a day.
const SECONDS_MAX: f64 = 86_400.0;

/// Default time between two steps of a demo handler, in seconds.
const INTERVAL_SECONDS: f64 = 0.2;

fn span(field: &str, seconds: f64) -> Result<Duration, JobError> {
    match (0.0..=SECONDS_MAX).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(JobError::permanent(format!("{field} is {seconds}, it must be 0 to {SECONDS_MAX}"))),
    }
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Sleep {
    /// Default 1.
    seconds: Option<f64>,
}

async fn sleep(context: JobContext, input: Sleep) -> Result<Value, JobError> {
    let seconds = input.seconds.unwrap_or(1.0);
    context.unless_cancelled(tokio::time::sleep(span("seconds", seconds)?)).await?;
    Ok(json!({ "slept_seconds": seconds }))
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Count {
    /// Default 5.
    to: Option<u32>,
    interval_seconds: Option<f64>,
}

async fn count(context: JobContext, input: Count) -> Result<Value, JobError> {
    let interval = span("interval_seconds", input.interval_seconds.unwrap_or(INTERVAL_SECONDS))?;
    let to = input.to.unwrap_or(5);
    for number in 1..=to {
        context.unless_cancelled(tokio::time::sleep(interval)).await?;
        context.progress_of(f64::from(number), f64::from(to), "numbers");
    }
    Ok(json!({ "counted": to }))
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Chunks {
    /// Default 5.
    chunks: Option<u32>,
    interval_seconds: Option<f64>,
}

async fn stream(context: JobContext, input: Chunks) -> Result<Value, JobError> {
    let interval = span("interval_seconds", input.interval_seconds.unwrap_or(INTERVAL_SECONDS))?;
    let chunks = input.chunks.unwrap_or(5);
    for number in 1..=chunks {
        context.unless_cancelled(tokio::time::sleep(interval)).await?;
        context.output(Payload::text(format!("chunk {number} of {chunks}\n"))).await?;
    }
    Ok(json!({ "chunks": chunks }))
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Fail {
    message: Option<String>,
    retryable: bool,
}

async fn fail(input: Fail) -> Result<(), JobError> {
    let message = input.message.unwrap_or_else(|| "failed as requested".to_owned());
    let error = match input.retryable {
        true => JobError::retryable(message),
        false => JobError::permanent(message),
    };
    Err(error.with_type("demo.Failure"))
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Flaky {
    /// Default 2.
    failures: Option<u32>,
}

async fn flaky(context: JobContext, input: Flaky) -> Result<Value, JobError> {
    let (attempt, failures) = (context.attempt(), input.failures.unwrap_or(2));
    if attempt <= failures {
        let message = format!("attempt {attempt} fails as requested, the first {failures} do");
        return Err(JobError::retryable(message).with_type("demo.Flaky"));
    }
    Ok(json!({ "succeeded_at_attempt": attempt }))
}
