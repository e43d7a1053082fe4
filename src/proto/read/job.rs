//! Converts the jobs that GetJob and ListJobs return.

use std::sync::Arc;

use super::event::progress;
use super::{failure, name, outcome, state, timestamp, wait_reason};
use crate::job::{AttemptView, JobId, JobView, NewJob};
use crate::proto::parse::{self, PayloadSource};
use crate::proto::v1;

/// Converts a job. `None` if a required field is missing or invalid.
pub(crate) fn job(wire: v1::Job) -> Option<JobView> {
    let (state, wait_reason) = (state(wire.state())?, wait_reason(wire.wait_reason()));
    let outcome = match wire.outcome {
        Some(end) => Some(outcome(end)?),
        None => None,
    };
    Some(JobView {
        id: JobId::parse("job_id", &wire.job_id).ok()?,
        spec: spec(wire.spec?, &wire.origin_job_id)?,
        owner: name(wire.owner),
        state,
        wait_reason,
        attempt: wire.attempt,
        progress: wire.progress.map(|made| Arc::new(progress(made))),
        outcome,
        cancel_requested: wire.cancel_requested,
        create_time: timestamp(wire.create_time?),
        start_time: wire.start_time.map(timestamp),
        finish_time: wire.finish_time.map(timestamp),
        next_attempt_time: wire.next_attempt_time.map(timestamp),
        expire_time: wire.expire_time.map(timestamp),
        sequence: wire.sequence,
        attempts: wire.attempts.into_iter().map(attempt).collect(),
    })
}

fn spec(wire: v1::JobSpec, origin: &str) -> Option<NewJob> {
    let mut spec = parse::new_job(wire, "spec", PayloadSource::Shared, usize::MAX).ok()?;
    if !origin.is_empty() {
        spec.options_mut().origin = Some(JobId::parse("origin_job_id", origin).ok()?);
    }
    Some(spec)
}

fn attempt(wire: v1::Attempt) -> AttemptView {
    AttemptView {
        attempt: wire.attempt,
        start_time: wire.start_time.map(timestamp).unwrap_or_default(),
        finish_time: wire.finish_time.map(timestamp),
        failure: wire.failure.map(|failed| Arc::new(failure(failed))),
        worker: wire.worker.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::{FailureReason, JobState, Kind, Outcome, Payload, Progress, Timestamp};
    use crate::proto::render::{self, Defaults};

    #[test]
    fn a_job_round_trips() {
        let id = JobId::mint();
        let mut spec = NewJob::new(Kind::parse("kind", "resize").unwrap(), Payload::text("x"));
        spec.id = Some(id);
        let options = spec.options_mut();
        options.attempt_timeout = Some(Duration::from_secs(5));
        options.retention = Some(Duration::from_secs(60));
        options.origin = Some(JobId::mint());
        options.labels.insert("a".to_owned(), "b".to_owned());
        let lost = crate::job::Failure::new(FailureReason::WorkerLost, "gone");
        let time = Timestamp::from_micros(1_000_000);
        let sent = JobView {
            id,
            spec,
            owner: Some("billing".into()),
            state: JobState::Succeeded,
            wait_reason: None,
            attempt: 2,
            progress: Some(Arc::new(Progress { fraction: Some(0.5), ..Progress::default() })),
            outcome: Some(Outcome::Result(Payload::data("42"))),
            cancel_requested: true,
            create_time: time,
            start_time: Some(time),
            finish_time: Some(time),
            next_attempt_time: None,
            expire_time: Some(time),
            sequence: 9,
            attempts: vec![AttemptView {
                attempt: 1,
                start_time: time,
                finish_time: Some(time),
                failure: Some(Arc::new(lost)),
                worker: "pool".into(),
            }],
        };
        assert_eq!(job(render::bounded_job(&sent, true, &Defaults::default())), Some(sent));
    }
}
