//! The commands of a client: submit, run, result, state, cancel, watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jobstream::client::{Client, ClientOptions, Job, JobRequest, WatchItem, WatchOptions};
use jobstream::job::{JobId, Outcome, Payload, RetryPolicy, TraceContext};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Command;
use crate::interceptors::Named;
use crate::wire::{self, CommandError, Response, millis};

type SetDuration = fn(JobRequest, Duration) -> JobRequest;

/// Creates a lazy client with the options of the command.
pub(crate) fn client(body: &Value) -> Result<Client, CommandError> {
    let mut options = ClientOptions::default();
    if let Some(timeout) = millis(body, "call_timeout") {
        options.call_timeout = timeout;
    }
    if let Some(patience) = millis(body, "patience") {
        options.patience = patience;
    }
    if let Some(tries) = body["tries"].as_u64() {
        options.retry.tries_max = tries as u32;
    }
    let client = Client::lazy(wire::text(body, "address"), options)?;
    Ok(wire::strings(&body["interceptors"]).fold(client, |client, name| client.interceptor(Named::new(name))))
}

pub(crate) async fn submit(client: &Client, body: &Value) -> Result<Job<Value>, CommandError> {
    Ok(request(client, body)?.submit().await?)
}

pub(crate) async fn run(client: &Client, body: &Value) -> Response {
    let request = request(client, body)?;
    let outcome = match millis(body, "wait") {
        None => request.run_outcome().await,
        Some(limit) => match tokio::time::timeout(limit, request.run_outcome()).await {
            Ok(outcome) => outcome,
            Err(_) => return Err(wire::not_finished()),
        },
    };
    match outcome? {
        Outcome::Result(payload) => Ok(json!({"payload": payload_json(&payload)?})),
        Outcome::Failure(failure) => Err(wire::job_failed(&failure, "the job failed")),
        Outcome::Cancellation(cancellation) => {
            Err(wire::job_cancelled(&cancellation, "the job was cancelled"))
        }
    }
}

/// Encodes the payload. JSON is decoded and encoded again.
fn payload_json(payload: &Payload) -> Response {
    if payload.content_type() != jobstream::job::JSON {
        return Ok(wire::payload_json(payload));
    }
    let value: Value =
        serde_json::from_slice(&payload.bytes).map_err(|error| wire::other_error(error.to_string()))?;
    Ok(json!({"type": "json", "text": value.to_string()}))
}

pub(crate) fn request(client: &Client, body: &Value) -> Result<JobRequest, CommandError> {
    let request = with_options(client.job(wire::text(body, "kind")), body)?;
    Ok(match &body["payload"] {
        Value::Null => request,
        payload => match wire::json_value(payload) {
            Some(value) => request.json(&value?)?,
            None => request.payload(&wire::payload(payload)?),
        },
    })
}

pub(crate) async fn load(client: &Client, body: &Value) -> Response {
    let jobs = body["jobs"].as_u64().unwrap_or_default();
    let in_flight = body["in_flight"].as_u64().unwrap_or(1) as usize;
    let kind = wire::text(body, "kind").to_owned();
    let began = Instant::now();
    let numbers = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (client, kind, numbers) = (client.clone(), kind.clone(), numbers.clone());
        tasks.spawn(async move {
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return Ok::<_, CommandError>(());
                }
                client.job(&kind).json(&json!({"n": number}))?.submit::<Value>().await?;
            }
        });
    }
    for task in tasks.join_all().await {
        task?;
    }
    Ok(json!({"seconds": began.elapsed().as_secs_f64()}))
}

fn with_options(mut request: JobRequest, body: &Value) -> Result<JobRequest, CommandError> {
    if body["job_id"].is_string() {
        request = request.id(job_id(body)?);
    }
    if let Some(queue) = body["queue"].as_str() {
        request = request.queue(queue);
    }
    if let Some(priority) = body["priority"].as_i64() {
        request = request.priority(priority as i32);
    }
    let durations: [(&str, SetDuration); 4] = [
        ("delay", JobRequest::delay),
        ("timeout", JobRequest::timeout),
        ("attempt_timeout", JobRequest::attempt_timeout),
        ("retention", JobRequest::retention),
    ];
    for (name, set) in durations {
        if let Some(duration) = millis(body, name) {
            request = set(request, duration);
        }
    }
    if let Some(attempts) = body["max_attempts"].as_u64() {
        let mut policy = RetryPolicy { max_attempts: attempts as u32, ..RetryPolicy::default() };
        if let Some(backoff) = millis(body, "initial_backoff") {
            policy.initial_backoff = backoff;
        }
        request = request.retry(policy);
    }
    for (key, value) in wire::texts(&body["labels"]) {
        request = request.label(key, value);
    }
    for (key, value) in wire::texts(&body["headers"]) {
        request = request.header(key, value);
    }
    let part = |name: &str| body["trace_context"][name].as_str();
    let trace = TraceContext::of_headers(part("traceparent"), part("tracestate"), part("baggage"));
    Ok(trace.iter().fold(request, JobRequest::trace_context))
}

pub(crate) async fn result(job: &Job<Value>, body: &Value) -> Response {
    let payload = match millis(body, "timeout") {
        None => job.payload().await,
        Some(limit) => match tokio::time::timeout(limit, job.payload()).await {
            Ok(payload) => payload,
            Err(_) => return Err(wire::not_finished()),
        },
    };
    Ok(json!({"payload": result_json(&payload?, job).await?}))
}

/// Encodes the payload; JSON through the typed API.
async fn result_json(payload: &Payload, job: &Job<Value>) -> Result<Value, CommandError> {
    if payload.content_type() != jobstream::job::JSON {
        return Ok(wire::payload_json(payload));
    }
    Ok(json!({"type": "json", "text": job.result().await?.to_string()}))
}

pub(crate) async fn state(job: &Job<Value>) -> Response {
    Ok(json!({"state": job.state().await?.name()}))
}

pub(crate) async fn cancel(job: &Job<Value>, body: &Value) -> Response {
    let reason = wire::text(body, "reason");
    let state = match millis(body, "grace") {
        Some(grace) => job.cancel_within(reason, grace).await?,
        None => job.cancel(reason).await?,
    };
    Ok(json!({"state": state.name()}))
}

pub(crate) async fn watch(job: &Job<Value>, command: &Command) -> Response {
    let body = &command.body;
    let after_sequence = body["after"].as_u64().unwrap_or_default() as u32;
    let mut options = WatchOptions::default();
    options.after_sequence = after_sequence;
    if let Some(heartbeat) = millis(body, "heartbeat") {
        options.heartbeat = heartbeat;
    }
    let mut watch = job.watch_with(options);
    while let Some(item) = watch.next().await {
        command.emit(match item? {
            WatchItem::Event(event) => wire::event_json(&event),
            WatchItem::Gap { first, last } => json!({"type": "gap", "first": first, "last": last}),
        });
    }
    Ok(json!({}))
}

pub(crate) fn job_id(body: &Value) -> Result<JobId, CommandError> {
    let text = wire::text(body, "job_id");
    JobId::parse("job_id", text).map_err(wire::caller_error)
}
