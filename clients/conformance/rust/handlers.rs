//! The handlers of the agent, one per behaviour.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobstream::job::{JSON, LogLevel, LogStream, Payload};
use jobstream::worker::{JobContext, JobError, Worker};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Command;
use crate::wire::CommandError;

/// The releases of `hold` handlers by job id.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<Mutex<HashMap<String, watch::Sender<Option<Payload>>>>>);

impl Held {
    pub(crate) fn release(&self, job_id: &str, payload: Payload) {
        self.of(job_id).send_replace(Some(payload));
    }

    fn of(&self, job_id: &str) -> watch::Sender<Option<Payload>> {
        self.0.lock().entry(job_id.to_owned()).or_default().clone()
    }

    /// Waits for the release of the job.
    async fn wait(&self, job_id: &str) -> Payload {
        let mut release = self.of(job_id).subscribe();
        let released = release.wait_for(Option::is_some).await;
        released.ok().and_then(|payload| payload.clone()).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Chunks {
    chunks: u32,
}

#[derive(Deserialize)]
struct Counted {
    done: f64,
    total: f64,
}

#[derive(Deserialize)]
struct Sized {
    width: i64,
}

#[derive(Deserialize)]
struct Failing {
    mode: String,
    message: String,
}

/// Registers a behaviour as the handler of a kind.
pub(crate) fn add(worker: Worker, kind: &str, behaviour: &str, held: &Held, command: &Command) -> Worker {
    match behaviour {
        "echo" => worker.raw_handler(kind, echo),
        "stream" => worker.raw_handler(kind, stream),
        "info" => worker.raw_handler(kind, async |context| as_json(&info(&context))),
        "trace" => worker.raw_handler(kind, async |context| as_json(&trace(&context))),
        "emit" => worker.handler(kind, emit),
        "count" => worker.handler(kind, count),
        "fail" => worker.handler(kind, fail),
        "typed" => worker.handler(kind, async |_, input: Sized| Ok(input.width * 2)),
        _ => {
            let (held, command, stops_on_cancel) = (held.clone(), command.clone(), behaviour == "hold");
            worker.raw_handler(kind, move |context| {
                hold(context, held.clone(), command.clone(), stops_on_cancel)
            })
        }
    }
}

async fn echo(context: JobContext) -> Result<Payload, JobError> {
    let payload = context.payload();
    match payload.content_type() {
        JSON => as_json(&context.input::<Value>()?),
        _ => Ok(payload.clone()),
    }
}

async fn stream(context: JobContext) -> Result<Payload, JobError> {
    let answer = echo(context.clone()).await?;
    context.output_on("out", answer.clone()).await?;
    Ok(answer)
}

fn as_json(value: &Value) -> Result<Payload, JobError> {
    Ok(Payload::text(value.to_string()).with_content_type(JSON))
}

fn info(context: &JobContext) -> Value {
    let left = Instant::from(context.deadline()).saturating_duration_since(Instant::now());
    json!({
        "job_id": context.job_id().to_string(), "attempt": context.attempt(), "kind": context.kind(),
        "queue": context.queue(), "headers": context.headers().collect::<HashMap<_, _>>(),
        "deadline": left.as_millis() as u64,
    })
}

fn trace(context: &JobContext) -> Value {
    let trace = context.trace_context().cloned().unwrap_or_default();
    json!({
        "traceparent": trace.traceparent().unwrap_or_default(), "tracestate": trace.tracestate(),
        "baggage": trace.baggage(),
    })
}

async fn emit(context: JobContext, input: Chunks) -> Result<u32, JobError> {
    for step in 1..=input.chunks {
        context.progress(f64::from(step) / f64::from(input.chunks), format!("step {step}"));
        context.output_on("out", Payload::text(format!("chunk {step}"))).await?;
        context.log_at(LogLevel::Warn, LogStream::Log, &format!("line {step}"));
    }
    Ok(input.chunks)
}

async fn count(context: JobContext, input: Counted) -> Result<f64, JobError> {
    context.progress_of(input.done, input.total, "steps");
    Ok(input.done)
}

async fn fail(_: JobContext, input: Failing) -> Result<Value, JobError> {
    Err(match input.mode.as_str() {
        "permanent" => JobError::permanent(input.message).with_type("PermanentError"),
        "later" => JobError::retry_after(Duration::from_millis(50), input.message).with_type("RetryLater"),
        "panic" => std::panic::panic_any(input.message),
        _ => JobError::retryable(input.message).with_type("Error"),
    })
}

async fn hold(
    context: JobContext,
    held: Held,
    command: Command,
    stops_on_cancel: bool,
) -> Result<Payload, JobError> {
    let job_id = context.job_id().to_string();
    let (settled, held_job) = (command.clone(), job_id.clone());
    context.on_settled(move |end| {
        let error = end.err().map(|error| CommandError::from(error).0);
        settled.emit(json!({"type": "settled", "job_id": held_job, "error": error}));
    });
    command.emit(json!({"type": "started", "job_id": job_id, "attempt": context.attempt()}));
    let released = held.wait(&job_id);
    if !stops_on_cancel {
        return Ok(released.await);
    }
    match context.unless_cancelled(released).await {
        Ok(payload) => Ok(payload),
        Err(error) => {
            command.emit(json!({"type": "cancelled", "job_id": job_id}));
            Err(error)
        }
    }
}
