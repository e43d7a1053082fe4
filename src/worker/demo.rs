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

fn span(field: &str, seconds: f64) -> Result<Duration, JobError> {
    match (0.0..=SECONDS_MAX).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(JobError::permanent(format!("{field} is {seconds}, it must be 0 to {SECONDS_MAX}"))),
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sleep {
    seconds: f64,
}

impl Default for Sleep {
    fn default() -> Self {
        Self { seconds: 1.0 }
    }
}

async fn sleep(context: JobContext, input: Sleep) -> Result<Value, JobError> {
    context.unless_cancelled(tokio::time::sleep(span("seconds", input.seconds)?)).await?;
    Ok(json!({ "slept_seconds": input.seconds }))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Count {
    to: u32,
    interval_seconds: f64,
}

impl Default for Count {
    fn default() -> Self {
        Self { to: 5, interval_seconds: 0.2 }
    }
}

async fn count(context: JobContext, input: Count) -> Result<Value, JobError> {
    let interval = span("interval_seconds", input.interval_seconds)?;
    for number in 1..=input.to {
        context.unless_cancelled(tokio::time::sleep(interval)).await?;
        context.progress_of(f64::from(number), f64::from(input.to), "numbers");
    }
    Ok(json!({ "counted": input.to }))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Chunks {
    chunks: u32,
    interval_seconds: f64,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { chunks: 5, interval_seconds: 0.2 }
    }
}

async fn stream(context: JobContext, input: Chunks) -> Result<Value, JobError> {
    let interval = span("interval_seconds", input.interval_seconds)?;
    for number in 1..=input.chunks {
        context.unless_cancelled(tokio::time::sleep(interval)).await?;
        context.output(Payload::text(format!("chunk {number} of {}\n", input.chunks))).await?;
    }
    Ok(json!({ "chunks": input.chunks }))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fail {
    message: String,
    retryable: bool,
}

impl Default for Fail {
    fn default() -> Self {
        Self { message: "failed as requested".to_owned(), retryable: false }
    }
}

async fn fail(input: Fail) -> Result<(), JobError> {
    let error = match input.retryable {
        true => JobError::retryable(input.message),
        false => JobError::permanent(input.message),
    };
    Err(error.with_type("demo.Failure"))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Flaky {
    failures: u32,
}

impl Default for Flaky {
    fn default() -> Self {
        Self { failures: 2 }
    }
}

async fn flaky(context: JobContext, input: Flaky) -> Result<Value, JobError> {
    let attempt = context.attempt();
    if attempt <= input.failures {
        let message = format!("attempt {attempt} fails as requested, the first {} do", input.failures);
        return Err(JobError::retryable(message).with_type("demo.Flaky"));
    }
    Ok(json!({ "succeeded_at_attempt": attempt }))
}
