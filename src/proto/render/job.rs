//! Converts jobs. Their specs have the defaults filled in.

use std::sync::LazyLock;
use std::time::Duration;

use prost::Message;

use super::payload::payload_without_json;
use super::{
    duration, failure, failure_without_details, outcome, payload, progress, state, timestamp, wait_reason,
};
use crate::job::{
    AttemptView, Failure, JobOptions, JobView, NewJob, Outcome, RetryPolicy, Start, TraceContext,
};
use crate::proto::v1::job_spec;
use crate::proto::v1::outcome::End;
use crate::proto::{RESPONSE_BYTES_MAX, v1};

/// The server's defaults for options that a spec does not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Defaults {
    /// Longest time of one attempt.
    pub(crate) attempt_timeout: Duration,
    /// How long a finished job is retained.
    pub(crate) retention: Duration,
}

impl Default for Defaults {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self { attempt_timeout: hour, retention: hour }
    }
}

/// Converts a job as [`job`] does, within [`RESPONSE_BYTES_MAX`] if possible. A larger job is reduced in two steps: without
/// the failure details of its attempts, then with JSON as text instead of a value, which is smaller.
pub(crate) fn bounded_job(view: &JobView, include_payloads: bool, defaults: &Defaults) -> v1::Job {
    let mut wire = job(view, include_payloads, defaults);
    if wire.encoded_len() <= RESPONSE_BYTES_MAX {
        return wire;
    }
    let failures = wire.attempts.iter_mut().filter_map(|attempt| attempt.failure.as_mut());
    failures.for_each(|failure| failure.details = None);
    if wire.encoded_len() <= RESPONSE_BYTES_MAX {
        return wire;
    }
    if let Some(sent) = wire.spec.as_mut().and_then(|spec| spec.payload.as_mut()) {
        *sent = payload_without_json(&view.spec.payload);
    }
    let is_larger = include_payloads && wire.encoded_len() > RESPONSE_BYTES_MAX;
    if let (true, Some(sent), Some(Outcome::Result(result))) = (is_larger, &mut wire.outcome, &view.outcome) {
        sent.end = Some(End::Result(payload_without_json(result)));
    }
    wire
}

/// Converts a job. Without payloads, the input, the content of the result and the failure details are omitted.
pub(crate) fn job(view: &JobView, include_payloads: bool, defaults: &Defaults) -> v1::Job {
    let attempt = |attempt| self::attempt(attempt, include_payloads);
    v1::Job {
        job_id: view.id.to_string(),
        spec: Some(v1::JobSpec {
            job_id: view.id.to_string(),
            ..job_spec(&view.spec, include_payloads, defaults)
        }),
        state: state(view.state).into(),
        wait_reason: wait_reason(view.wait_reason).into(),
        attempt: view.attempt,
        progress: view.progress.as_deref().map(progress),
        outcome: view.outcome.as_ref().map(if include_payloads { outcome } else { outcome_without_payload }),
        cancel_requested: view.cancel_requested,
        create_time: Some(timestamp(view.create_time)),
        start_time: view.start_time.map(timestamp),
        finish_time: view.finish_time.map(timestamp),
        next_attempt_time: view.next_attempt_time.map(timestamp),
        expire_time: view.expire_time.map(timestamp),
        sequence: view.sequence,
        origin_job_id: options(&view.spec).origin.map(|origin| origin.to_string()).unwrap_or_default(),
        attempts: view.attempts.iter().map(attempt).collect(),
        owner: view.owner.as_deref().unwrap_or_default().to_owned(),
    }
}

/// The spec of a job with defaults filled in.
fn job_spec(spec: &NewJob, include_payload: bool, defaults: &Defaults) -> v1::JobSpec {
    let options = options(spec);
    v1::JobSpec {
        job_id: spec.id.map(|id| id.to_string()).unwrap_or_default(),
        kind: spec.kind.as_str().to_owned(),
        queue: spec.queue.as_str().to_owned(),
        payload: include_payload.then(|| payload(&spec.payload)),
        priority: spec.priority.into(),
        start: start(options.start),
        attempt_timeout: Some(duration(options.attempt_timeout.unwrap_or(defaults.attempt_timeout))),
        timeout: options.timeout.map(duration),
        retry: Some(retry_policy(&options.retry)),
        retention: Some(duration(options.retention.unwrap_or(defaults.retention))),
        labels: options.labels.clone().into_iter().collect(),
        headers: options.headers.clone().into_iter().collect(),
        trace_context: options.trace.as_deref().map(trace_context),
    }
}

/// Converts a trace context.
pub(crate) fn trace_context(context: &TraceContext) -> v1::TraceContext {
    v1::TraceContext {
        traceparent: context.traceparent().unwrap_or_default(),
        tracestate: context.tracestate().to_owned(),
        baggage: context.baggage().to_owned(),
    }
}

fn options(spec: &NewJob) -> &JobOptions {
    static DEFAULT: LazyLock<JobOptions> = LazyLock::new(JobOptions::default);
    spec.options.as_deref().unwrap_or(&DEFAULT)
}

fn start(start: Start) -> Option<job_spec::Start> {
    match start {
        Start::Now => None,
        Start::At(time) => Some(job_spec::Start::StartTime(timestamp(time))),
        Start::After(delay) => Some(job_spec::Start::StartDelay(duration(delay))),
    }
}

/// Converts a retry policy.
pub(crate) fn retry_policy(policy: &RetryPolicy) -> v1::RetryPolicy {
    v1::RetryPolicy {
        max_attempts: policy.max_attempts,
        initial_backoff: Some(duration(policy.initial_backoff)),
        multiplier: policy.multiplier,
        max_backoff: Some(duration(policy.max_backoff)),
        jitter: Some(policy.jitter),
        max_lost_attempts: policy.max_lost_attempts,
    }
}

/// Converts an outcome. A result becomes an empty payload, and failure details are omitted.
pub(super) fn outcome_without_payload(end: &Outcome) -> v1::Outcome {
    match end {
        Outcome::Result(_) => v1::Outcome { end: Some(End::Result(v1::Payload::default())) },
        Outcome::Failure(failed) => v1::Outcome { end: Some(End::Failure(failure_without_details(failed))) },
        Outcome::Cancellation(_) => outcome(end),
    }
}

fn attempt(view: &AttemptView, include_payloads: bool) -> v1::Attempt {
    let failure: fn(&Failure) -> v1::Failure =
        if include_payloads { failure } else { failure_without_details };
    v1::Attempt {
        attempt: view.attempt,
        start_time: Some(timestamp(view.start_time)),
        finish_time: view.finish_time.map(timestamp),
        failure: view.failure.as_deref().map(failure),
        worker: (*view.worker).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::job::{FailureReason, JobId, JobState, Kind, Payload, Timestamp};
    use crate::proto::parse::{self, PayloadSource};

    fn failed_job() -> JobView {
        let mut failed = Failure::new(FailureReason::Handler, "bad row");
        failed.details = Some(Payload::text("row 7"));
        let failed = Arc::new(failed);
        let mut spec = NewJob::new(Kind::parse("kind", "import").unwrap(), Payload::data("input"));
        spec.options_mut().origin = Some(JobId::from_bytes([9; 16]));
        let time = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        JobView {
            id: JobId::from_bytes([7; 16]),
            spec,
            owner: Some("billing".into()),
            state: JobState::Failed,
            wait_reason: None,
            attempt: 1,
            progress: None,
            outcome: Some(Outcome::Failure(failed.clone())),
            cancel_requested: false,
            create_time: time(1),
            start_time: Some(time(2)),
            finish_time: Some(time(3)),
            next_attempt_time: None,
            expire_time: Some(time(4)),
            sequence: 3,
            attempts: vec![AttemptView {
                attempt: 1,
                start_time: time(2),
                finish_time: Some(time(3)),
                failure: Some(failed),
                worker: "local".into(),
            }],
        }
    }

    fn details(end: Option<v1::Outcome>) -> Option<v1::Payload> {
        let Some(End::Failure(failed)) = end.unwrap().end else { panic!("the job failed") };
        failed.details
    }

    #[test]
    fn a_job_is_rendered_with_its_history() {
        let wire = job(&failed_job(), true, &Defaults::default());
        assert_eq!(wire.job_id, JobId::from_bytes([7; 16]).to_string());
        assert_eq!(wire.owner, "billing");
        assert_eq!(wire.origin_job_id, JobId::from_bytes([9; 16]).to_string());
        assert_eq!((wire.state(), wire.attempt, wire.sequence), (v1::JobState::Failed, 1, 3));
        let seconds = |time: Option<prost_types::Timestamp>| time.map(|time| time.seconds);
        assert_eq!((seconds(wire.create_time), seconds(wire.start_time)), (Some(1), Some(2)));
        assert_eq!((seconds(wire.finish_time), seconds(wire.expire_time)), (Some(3), Some(4)));
        assert_eq!(wire.next_attempt_time, None);
        assert_eq!((wire.attempts.len(), wire.attempts[0].worker.as_str()), (1, "local"));
        let spec = wire.spec.unwrap();
        assert_eq!((spec.job_id, spec.kind.as_str()), (wire.job_id, "import"));
        assert_eq!(spec.payload, Some(payload(&Payload::data("input"))));
        assert!(
            details(wire.outcome).is_some() && wire.attempts[0].failure.as_ref().unwrap().details.is_some()
        );
    }

    #[test]
    fn payloads_are_omitted_unless_requested() {
        let wire = job(&failed_job(), false, &Defaults::default());
        assert_eq!(wire.spec.unwrap().payload, None);
        assert_eq!(details(wire.outcome), None);
        assert_eq!(wire.attempts[0].failure.as_ref().unwrap().details, None);
        let end = outcome_without_payload(&Outcome::Result(Payload::data("result"))).end;
        assert_eq!(end, Some(End::Result(v1::Payload::default())));
    }

    #[test]
    fn a_spec_is_rendered_with_its_defaults() {
        let spec = NewJob::new(Kind::parse("kind", "k").unwrap(), Payload::default());
        let wire = job_spec(&spec, true, &Defaults::default());
        let hour = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
        assert_eq!((wire.queue.as_str(), wire.attempt_timeout, wire.retention), ("default", hour, hour));
        assert_eq!((wire.timeout, wire.start), (None, None));
        let retry = wire.retry.unwrap();
        assert_eq!((retry.max_attempts, retry.multiplier, retry.jitter), (1, 2.0, Some(0.2)));
        assert_eq!((retry.max_backoff, retry.max_lost_attempts), (hour, 3));
    }

    #[test]
    fn a_rendered_spec_is_read_back_the_same() {
        let mut spec = NewJob::new(Kind::parse("kind", "k").unwrap(), Payload::text("in"));
        spec.id = Some(JobId::from_bytes([7; 16]));
        spec.priority = -5;
        let day = Duration::from_secs(24 * 3600);
        let options = spec.options_mut();
        options.start = Start::After(Duration::new(3, 7));
        options.attempt_timeout = Some(Duration::from_millis(1));
        options.timeout = Some(day);
        options.retention = Some(day);
        options.retry.max_attempts = 7;
        options.labels.insert("a".to_owned(), "1".to_owned());
        options.headers.insert("b".to_owned(), String::new());
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        options.trace = Some(TraceContext::parse("trace_context", parent, "a=1", "b=2").unwrap().into());
        let wire = job_spec(&spec, true, &Defaults::default());
        let limits = 1 << 20;
        let read = parse::new_job(wire, "job", PayloadSource::Alone, limits);
        assert_eq!(read, Ok(spec));
    }
}
