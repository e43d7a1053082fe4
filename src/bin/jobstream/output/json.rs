//! Messages as JSON: the names of proto JSON (`jobId`), and enum values without their prefix (`SUCCEEDED`).
//! What is unset is left out; 64-bit integers are strings, times RFC 3339, spans like `1.5s`.

mod admin;
mod payload;

use std::collections::HashMap;

use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::job_spec::Start;
use jobstream::proto::v1::outcome::End;
use jobstream::proto::v1::{
    Attempt, CancelResponse, Failure, GetResultResponse, Job, JobEvent, JobSpec, Outcome, Progress,
    RetryPolicy, RetryResponse, StateChange, SubmitResponse,
};
use serde_json::{Map, Value, json};

use super::text;

pub(crate) use admin::{queue, server_info, worker};
pub(crate) use payload::{payload, value, well_known};

/// A JSON object that grows field by field, in order.
#[derive(Debug, Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    /// Adds a field.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a field if there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a field unless the text is empty.
    pub(crate) fn with_text(self, name: &str, text: &str) -> Self {
        self.with_some(name, Some(text).filter(|text| !text.is_empty()))
    }

    /// The object.
    pub(crate) fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// The whole job.
pub(crate) fn job(job: &Job) -> Value {
    Object::default()
        .with("jobId", job.job_id.as_str())
        .with_some("spec", job.spec.as_ref().map(spec))
        .with("state", text::state(job.state()))
        .with_text("waitReason", text::wait_reason(job.wait_reason()))
        .with("attempt", job.attempt)
        .with_some("progress", job.progress.as_ref().map(progress))
        .with_some("outcome", job.outcome.as_ref().map(outcome))
        .with("cancelRequested", job.cancel_requested)
        .with_some("createTime", well_known(job.create_time))
        .with_some("startTime", well_known(job.start_time))
        .with_some("finishTime", well_known(job.finish_time))
        .with_some("nextAttemptTime", well_known(job.next_attempt_time))
        .with_some("expireTime", well_known(job.expire_time))
        .with("sequence", job.sequence)
        .with_text("originJobId", &job.origin_job_id)
        .with("attempts", job.attempts.iter().map(attempt).collect::<Vec<_>>())
        .done()
}

fn spec(spec: &JobSpec) -> Value {
    let (time, delay) = match &spec.start {
        Some(Start::StartTime(time)) => (Some(*time), None),
        Some(Start::StartDelay(delay)) => (None, Some(*delay)),
        None => (None, None),
    };
    Object::default()
        .with("kind", spec.kind.as_str())
        .with_text("queue", &spec.queue)
        .with_some("payload", spec.payload.as_ref().map(payload))
        .with("priority", spec.priority)
        .with_some("startTime", well_known(time))
        .with_some("startDelay", well_known(delay))
        .with_some("attemptTimeout", well_known(spec.attempt_timeout))
        .with_some("timeout", well_known(spec.timeout))
        .with_some("retry", spec.retry.as_ref().map(retry_policy))
        .with_some("retention", well_known(spec.retention))
        .with("labels", pairs(&spec.labels))
        .with("headers", pairs(&spec.headers))
        .done()
}

fn retry_policy(policy: &RetryPolicy) -> Value {
    Object::default()
        .with("maxAttempts", policy.max_attempts)
        .with_some("initialBackoff", well_known(policy.initial_backoff))
        .with("multiplier", policy.multiplier)
        .with_some("maxBackoff", well_known(policy.max_backoff))
        .with_some("jitter", policy.jitter)
        .with("maxLostAttempts", policy.max_lost_attempts)
        .done()
}

/// The pairs in the order of their keys.
fn pairs(pairs: &HashMap<String, String>) -> Value {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort();
    sorted.into_iter().fold(Object::default(), |object, (key, value)| object.with(key, value.as_str())).done()
}

fn attempt(attempt: &Attempt) -> Value {
    Object::default()
        .with("attempt", attempt.attempt)
        .with_some("startTime", well_known(attempt.start_time))
        .with_some("finishTime", well_known(attempt.finish_time))
        .with_some("failure", attempt.failure.as_ref().map(failure))
        .with_text("worker", &attempt.worker)
        .done()
}

/// How a job ended.
pub(crate) fn outcome(outcome: &Outcome) -> Value {
    match &outcome.end {
        Some(End::Result(result)) => json!({ "result": payload(result) }),
        Some(End::Failure(end)) => json!({ "failure": failure(end) }),
        Some(End::Cancellation(end)) => {
            json!({ "cancellation": { "reason": end.reason, "forced": end.forced } })
        }
        None => json!({}),
    }
}

fn failure(failure: &Failure) -> Value {
    Object::default()
        .with("reason", text::reason(failure.reason()))
        .with_text("type", &failure.r#type)
        .with("message", failure.message.as_str())
        .with_some("details", failure.details.as_ref().map(payload))
        .with("attempt", failure.attempt)
        .with("retryable", failure.retryable)
        .done()
}

fn progress(progress: &Progress) -> Value {
    Object::default()
        .with_some("fraction", progress.fraction)
        .with_some("done", progress.done)
        .with_some("total", progress.total)
        .with_text("unit", &progress.unit)
        .with_text("message", &progress.message)
        .done()
}

/// One event of a job.
pub(crate) fn event(event: &JobEvent) -> Value {
    let object = Object::default()
        .with("sequence", event.sequence)
        .with_some("time", well_known(event.time))
        .with("attempt", event.attempt);
    match &event.event {
        Some(Event::StateChange(change)) => object.with("stateChange", state_change(change)),
        Some(Event::Progress(news)) => object.with("progress", progress(news)),
        Some(Event::Output(output)) => {
            let chunk = Object::default()
                .with_some("payload", output.payload.as_ref().map(payload))
                .with_text("channel", &output.channel);
            object.with("output", chunk.done())
        }
        Some(Event::Log(log)) => {
            let line = Object::default()
                .with_text("level", text::level(log.level()))
                .with("text", log.text.as_str())
                .with_text("stream", text::stream(log.stream()));
            object.with("log", line.done())
        }
        None => object,
    }
    .done()
}

fn state_change(change: &StateChange) -> Value {
    Object::default()
        .with("state", text::state(change.state()))
        .with_text("waitReason", text::wait_reason(change.wait_reason()))
        .with_some("failure", change.failure.as_ref().map(failure))
        .with_some("nextAttemptTime", well_known(change.next_attempt_time))
        .with_some("outcome", change.outcome.as_ref().map(outcome))
        .with_some("cancelRequested", Some(true).filter(|_| change.cancel_requested))
        .done()
}

/// What GetResult answers for this job.
pub(crate) fn result(job_id: &str, answer: &GetResultResponse) -> Value {
    Object::default()
        .with("jobId", job_id)
        .with("state", text::state(answer.state()))
        .with_text("waitReason", text::wait_reason(answer.wait_reason()))
        .with_some("outcome", answer.outcome.as_ref().map(outcome))
        .with("sequence", answer.sequence)
        .with_some("expireTime", well_known(answer.expire_time))
        .done()
}

/// The answer to a submit.
pub(crate) fn submitted(answer: &SubmitResponse) -> Value {
    json!({
        "jobId": answer.job_id,
        "disposition": text::disposition(answer.disposition()),
        "state": text::state(answer.state()),
        "durability": text::durability(answer.durability()),
        "sequence": answer.sequence,
    })
}

/// The answer to a retry of this job.
pub(crate) fn retried(origin_job_id: &str, answer: &RetryResponse) -> Value {
    json!({
        "jobId": answer.job_id,
        "originJobId": origin_job_id,
        "disposition": text::disposition(answer.disposition()),
        "state": text::state(answer.state()),
        "durability": text::durability(answer.durability()),
        "sequence": answer.sequence,
    })
}

/// The answer to a cancel of this job.
pub(crate) fn cancelled(job_id: &str, answer: &CancelResponse) -> Value {
    json!({ "jobId": job_id, "state": text::state(answer.state()), "sequence": answer.sequence })
}

#[cfg(test)]
mod tests {
    use jobstream::proto::v1::{
        Cancellation, FailureReason, JobState, Log, LogLevel, LogStream, Output, WaitReason,
    };
    use prost_types::{Duration, Timestamp};

    use super::*;
    use crate::payload::text_payload;

    #[test]
    fn a_job_has_proto_json_names_and_short_enum_values() {
        let spec = JobSpec {
            kind: "resize".into(),
            start: Some(Start::StartDelay(Duration { seconds: 1, nanos: 500_000_000 })),
            labels: [("b".into(), "2".into()), ("a".into(), "1".into())].into(),
            ..JobSpec::default()
        };
        let mut waiting = Job { job_id: "id".into(), spec: Some(spec), attempt: 2, ..Job::default() };
        waiting.create_time = Some(Timestamp { seconds: 1, nanos: 0 });
        waiting.set_state(JobState::Queued);
        waiting.set_wait_reason(WaitReason::NoWorker);
        let shown = job(&waiting);
        assert_eq!(shown["jobId"], "id");
        assert_eq!(shown["state"], "QUEUED");
        assert_eq!(shown["waitReason"], "NO_WORKER");
        assert_eq!(shown["createTime"], "1970-01-01T00:00:01Z");
        assert_eq!(shown["spec"]["startDelay"], "1.500s");
        assert_eq!(shown["spec"]["labels"].to_string(), r#"{"a":"1","b":"2"}"#);
        assert_eq!(shown.get("finishTime"), None);
    }

    #[test]
    fn every_end_of_a_job_is_shown() {
        let end = |end| outcome(&Outcome { end: Some(end) });
        let mut failed = Failure { message: "boom".into(), attempt: 3, ..Failure::default() };
        failed.set_reason(FailureReason::ExitStatus);
        assert_eq!(end(End::Failure(failed))["failure"]["reason"], "EXIT_STATUS");
        assert_eq!(end(End::Result(text_payload("hi")))["result"]["text"], "hi");
        let cancellation = Cancellation { reason: "no need".into(), forced: true };
        assert_eq!(
            end(End::Cancellation(cancellation)),
            json!({ "cancellation": { "reason": "no need", "forced": true } })
        );
    }

    #[test]
    fn events_carry_their_content() {
        let of = |content| event(&JobEvent { sequence: 4, event: Some(content), ..JobEvent::default() });
        let output = Output { payload: Some(text_payload("chunk")), channel: "a".into() };
        assert_eq!(of(Event::Output(output))["output"]["payload"]["text"], "chunk");
        let mut log = Log { text: "line".into(), ..Log::default() };
        log.set_level(LogLevel::Warn);
        log.set_stream(LogStream::Stderr);
        assert_eq!(
            of(Event::Log(log))["log"],
            json!({ "level": "WARN", "text": "line", "stream": "STDERR" })
        );
        let news = Progress { fraction: Some(0.5), ..Progress::default() };
        assert_eq!(
            of(Event::Progress(news)),
            json!({ "sequence": 4, "attempt": 0, "progress": { "fraction": 0.5 } })
        );
        let change = StateChange { state: JobState::Running.into(), ..StateChange::default() };
        assert_eq!(of(Event::StateChange(change))["stateChange"], json!({ "state": "RUNNING" }));
    }
}
