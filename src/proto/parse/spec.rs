//! Parses job specs: validates every field and fills in defaults.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::time::{self, DELAY, TIMEOUT};
use super::{
    ATTEMPTS_MAX, MAP_ENTRIES_MAX, MAP_KEY_BYTES_MAX, MAP_VALUE_BYTES_MAX, MULTIPLIER_MAX, PayloadSource,
    Violations, payload, prefixed,
};
use crate::error::Result;
use crate::job::{
    JobId, JobOptions, Kind, NewJob, PRIORITY_MAX, QueueName, RetryPolicy, Start, TraceContext, quoted,
};
use crate::proto::v1;
use crate::proto::v1::job_spec;

/// Parses the spec of a new job. `path` is the path of the spec in the request: `job`, `jobs[3]`.
///
/// # Errors
///
/// `PayloadTooLarge` if the payload is too large; else `InvalidField` with every invalid field.
pub(crate) fn new_job(
    mut spec: v1::JobSpec,
    path: impl fmt::Display,
    source: PayloadSource,
    payload_bytes_max: usize,
) -> Result<NewJob> {
    let mut found = Violations::default();
    let id = optional_job_id("job_id", &spec.job_id, &mut found);
    let kind = found.absorb(Kind::parse("kind", &spec.kind));
    let queue = match spec.queue.as_str() {
        "" | QueueName::DEFAULT => Some(QueueName::default()),
        name => found.absorb(QueueName::parse("queue", name)),
    };
    let payload = found.absorb(payload(spec.payload.take(), "payload", source, payload_bytes_max));
    let priority = found.check("priority", priority(spec.priority));
    let options = options(spec, &mut found);
    found
        .finish(|| {
            Some(NewJob { id, kind: kind?, queue: queue?, payload: payload?, priority: priority?, options })
        })
        .map_err(|error| prefixed(&path, error))
}

/// Parses an optional job id. An empty text is no id.
pub(super) fn optional_job_id(field: &str, text: &str, found: &mut Violations) -> Option<JobId> {
    match text {
        "" => None,
        _ => found.absorb(JobId::parse(field, text)),
    }
}

fn priority(priority: i32) -> Result<i8, String> {
    i8::try_from(priority)
        .ok()
        .filter(|priority| i32::from(*priority).abs() <= PRIORITY_MAX)
        .ok_or_else(|| format!("is {priority}: allowed is -{PRIORITY_MAX} to {PRIORITY_MAX}"))
}

/// Parses the options. Returns `None` if all have their defaults, so that most jobs need no allocation.
fn options(spec: v1::JobSpec, found: &mut Violations) -> Option<Arc<JobOptions>> {
    let is_plain = spec.start.is_none()
        && spec.attempt_timeout.is_none()
        && spec.timeout.is_none()
        && spec.retry.is_none()
        && spec.retention.is_none()
        && spec.labels.is_empty()
        && spec.headers.is_empty()
        && spec.trace_context.is_none();
    if is_plain {
        return None;
    }
    let mut span = |field, wire, span| found.check(field, time::optional(wire, span)).flatten();
    let options = JobOptions {
        attempt_timeout: span("attempt_timeout", spec.attempt_timeout, &TIMEOUT),
        timeout: span("timeout", spec.timeout, &TIMEOUT),
        retention: span("retention", spec.retention, &DELAY),
        start: start(spec.start, found),
        retry: spec.retry.map(|retry| retry_policy(&retry, found)).unwrap_or_default(),
        labels: map("labels", spec.labels, found),
        headers: map("headers", spec.headers, found),
        origin: None,
        trace: trace_context(spec.trace_context, found),
    };
    (options != JobOptions::default()).then(|| Arc::new(options))
}

/// Parses the trace context. An empty one is none.
fn trace_context(wire: Option<v1::TraceContext>, found: &mut Violations) -> Option<Arc<TraceContext>> {
    let v1::TraceContext { traceparent, tracestate, baggage } = wire?;
    let context = found.absorb(TraceContext::parse("trace_context", &traceparent, &tracestate, &baggage))?;
    (!context.is_empty()).then(|| Arc::new(context))
}

/// Parses the start. A time in the past is valid: a repeated submit after the start must have an equal spec.
fn start(wire: Option<job_spec::Start>, found: &mut Violations) -> Start {
    let start = match wire {
        None => None,
        Some(job_spec::Start::StartTime(time)) => {
            found.check("start_time", time::timestamp(time)).map(Start::At)
        }
        Some(job_spec::Start::StartDelay(delay)) => found
            .check("start_delay", time::duration(delay, &DELAY))
            .filter(|delay| !delay.is_zero())
            .map(Start::After),
    };
    start.unwrap_or_default()
}

fn retry_policy(wire: &v1::RetryPolicy, found: &mut Violations) -> RetryPolicy {
    let default = RetryPolicy::default();
    let mut count = |field, wire, default| match wire {
        0 => default,
        _ => found.check(field, count(wire)).unwrap_or(default),
    };
    let max_attempts = count("retry.max_attempts", wire.max_attempts, default.max_attempts);
    let max_lost_attempts =
        count("retry.max_lost_attempts", wire.max_lost_attempts, default.max_lost_attempts);
    let multiplier = match wire.multiplier {
        0.0 => default.multiplier,
        factor => found
            .check("retry.multiplier", number(factor, 1.0..=MULTIPLIER_MAX))
            .unwrap_or(default.multiplier),
    };
    let jitter = wire.jitter.and_then(|share| found.check("retry.jitter", number(share, 0.0..=1.0)));
    let mut delay = |field, wire| found.check(field, time::optional(wire, &DELAY));
    let initial_backoff = delay("retry.initial_backoff", wire.initial_backoff);
    let max_backoff = delay("retry.max_backoff", wire.max_backoff);
    if let (Some(initial), Some(max)) = (initial_backoff, max_backoff) {
        let initial = initial.unwrap_or(default.initial_backoff);
        let is_default = if max.is_none() { " by default" } else { "" };
        let max = max.unwrap_or(default.max_backoff);
        if max < initial {
            let (max, initial) = (max.as_secs_f64(), initial.as_secs_f64());
            found.add(
                "retry.max_backoff",
                format!("is {max} s{is_default}, less than initial_backoff ({initial} s): raise it to that"),
            );
        }
    }
    RetryPolicy {
        max_attempts,
        initial_backoff: initial_backoff.flatten().unwrap_or(default.initial_backoff),
        multiplier,
        max_backoff: max_backoff.flatten().unwrap_or(default.max_backoff),
        jitter: jitter.unwrap_or(default.jitter),
        max_lost_attempts,
    }
}

fn count(count: u32) -> Result<u32, String> {
    match count {
        0..=ATTEMPTS_MAX => Ok(count),
        _ => Err(format!("is {count}, the limit is {ATTEMPTS_MAX}")),
    }
}

fn number(number: f64, allowed: RangeInclusive<f64>) -> Result<f64, String> {
    match allowed.contains(&number) {
        true => Ok(number),
        false => Err(format!("is {number}: allowed is {} to {}", allowed.start(), allowed.end())),
    }
}

/// Parses labels or headers. With too many entries, only their number is reported.
pub(super) fn map(
    field: &str,
    wire: HashMap<String, String>,
    found: &mut Violations,
) -> BTreeMap<String, String> {
    if wire.is_empty() {
        return BTreeMap::new();
    }
    if wire.len() > MAP_ENTRIES_MAX {
        found.add(field, format!("has {} entries, the limit is {MAP_ENTRIES_MAX}", wire.len()));
        return BTreeMap::new();
    }
    let map: BTreeMap<_, _> = wire.into_iter().collect();
    for (key, value) in &map {
        if let Some(description) = describe_invalid_entry(key, value) {
            found.add(format_args!("{field}[{}]", quoted(key)), description);
        }
    }
    map
}

fn describe_invalid_entry(key: &str, value: &str) -> Option<String> {
    let mut errors = Vec::new();
    if key.is_empty() || key.len() > MAP_KEY_BYTES_MAX {
        errors.push(format!("the key has {} bytes: allowed is 1 to {MAP_KEY_BYTES_MAX}", key.len()));
    }
    if value.len() > MAP_VALUE_BYTES_MAX {
        errors.push(format!("the value has {} bytes, the limit is {MAP_VALUE_BYTES_MAX}", value.len()));
    }
    if key.contains(char::is_control) {
        errors.push("the key has a control character".to_owned());
    }
    if value.contains(char::is_control) {
        errors.push(format!("the value {} has a control character", quoted(value)));
    }
    (!errors.is_empty()).then(|| errors.join(", "))
}
