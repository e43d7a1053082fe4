//! Converts domain types to protobuf messages: outcomes, failures, states, timestamps and durations.

mod event;
mod job;
mod json;
mod memory;
mod payload;
mod queue;
mod stats;
mod worker;

pub(crate) use event::{event, job_change, log, output, progress};
pub(crate) use job::{Defaults, bounded_job, retry_policy, trace_context};
pub(crate) use memory::memory_use;
pub(crate) use payload::payload;
pub(crate) use queue::queue;
pub(crate) use stats::stats;
pub(crate) use worker::{assignment, attempt_cancel, drain, worker};

use std::time::Duration;

use crate::job::{Cancellation, Failure, FailureReason, JobState, Outcome, Timestamp, WaitReason};
use crate::proto::v1;
use crate::proto::v1::outcome::End;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// The largest valid protobuf duration, about 10,000 years. JSON of a larger one is an error for the whole message.
const DURATION_MAX: Duration = Duration::from_secs(315_576_000_000);

/// Converts a timestamp exactly.
pub(crate) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.as_micros();
    let nanos = micros.rem_euclid(MICROS_PER_SECOND) as i32 * 1000;
    prost_types::Timestamp { seconds: micros.div_euclid(MICROS_PER_SECOND), nanos }
}

/// Converts a duration exactly, at most to [`DURATION_MAX`].
pub(crate) fn duration(span: Duration) -> prost_types::Duration {
    let span = span.min(DURATION_MAX);
    prost_types::Duration { seconds: span.as_secs().cast_signed(), nanos: span.subsec_nanos() as i32 }
}

/// Converts a job state.
pub(crate) fn state(state: JobState) -> v1::JobState {
    match state {
        JobState::Scheduled => v1::JobState::Scheduled,
        JobState::Queued => v1::JobState::Queued,
        JobState::Running => v1::JobState::Running,
        JobState::Succeeded => v1::JobState::Succeeded,
        JobState::Failed => v1::JobState::Failed,
        JobState::Cancelled => v1::JobState::Cancelled,
    }
}

/// Converts the reason why a job waits. Unspecified if it does not wait.
pub(crate) fn wait_reason(reason: Option<WaitReason>) -> v1::WaitReason {
    match reason {
        None => v1::WaitReason::Unspecified,
        Some(WaitReason::NotDue) => v1::WaitReason::NotDue,
        Some(WaitReason::BackOff) => v1::WaitReason::BackOff,
        Some(WaitReason::QueuePaused) => v1::WaitReason::QueuePaused,
        Some(WaitReason::NoWorker) => v1::WaitReason::NoWorker,
        Some(WaitReason::WorkersBusy) => v1::WaitReason::WorkersBusy,
        Some(WaitReason::Draining) => v1::WaitReason::Draining,
        Some(WaitReason::Starting) => v1::WaitReason::Starting,
        Some(WaitReason::WorkerLimit) => v1::WaitReason::WorkerLimit,
    }
}

/// Converts an outcome. The content of a result is shared, not copied, unless it is text.
pub(crate) fn outcome(outcome: &Outcome) -> v1::Outcome {
    let end = match outcome {
        Outcome::Result(result) => End::Result(payload(result)),
        Outcome::Failure(failed) => End::Failure(failure(failed)),
        Outcome::Cancellation(cancelled) => End::Cancellation(cancellation(cancelled)),
    };
    v1::Outcome { end: Some(end) }
}

/// Converts the failure of an attempt.
pub(crate) fn failure(failure: &Failure) -> v1::Failure {
    v1::Failure { details: failure.details.as_ref().map(payload), ..failure_without_details(failure) }
}

fn failure_without_details(failure: &Failure) -> v1::Failure {
    v1::Failure {
        reason: failure_reason(failure.reason).into(),
        r#type: failure.error_type.clone(),
        message: failure.message.clone(),
        details: None,
        attempt: failure.attempt,
        retryable: failure.retryable,
    }
}

fn cancellation(cancellation: &Cancellation) -> v1::Cancellation {
    v1::Cancellation {
        reason: cancellation.reason.clone(),
        forced: cancellation.forced,
        principal: cancellation.principal.as_deref().unwrap_or_default().to_owned(),
    }
}

fn failure_reason(reason: FailureReason) -> v1::FailureReason {
    match reason {
        FailureReason::Handler => v1::FailureReason::Handler,
        FailureReason::Panic => v1::FailureReason::Panic,
        FailureReason::AttemptTimeout => v1::FailureReason::AttemptTimeout,
        FailureReason::WorkerLost => v1::FailureReason::WorkerLost,
        FailureReason::Deadline => v1::FailureReason::Deadline,
        FailureReason::ExitStatus => v1::FailureReason::ExitStatus,
        FailureReason::UnknownKind => v1::FailureReason::UnknownKind,
        FailureReason::BadPayload => v1::FailureReason::BadPayload,
        FailureReason::ResultTooLarge => v1::FailureReason::ResultTooLarge,
        FailureReason::NotStarted => v1::FailureReason::NotStarted,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::job::Payload;

    #[test]
    fn times_are_exact_to_the_microsecond() {
        let wire = |micros| {
            let time = timestamp(Timestamp::from_micros(micros));
            (time.seconds, time.nanos)
        };
        assert_eq!(wire(1_500_001), (1, 500_001_000));
        assert_eq!(wire(-1), (-1, 999_999_000));
        assert_eq!(wire(i64::MAX), (253_402_300_799, 999_999_000));
    }

    #[test]
    fn durations_are_exact_to_the_nanosecond() {
        let wire = duration(Duration::new(3, 7));
        assert_eq!((wire.seconds, wire.nanos), (3, 7));
        let longest = duration(Duration::MAX);
        assert_eq!((longest.seconds, longest.nanos), (315_576_000_000, 0));
    }

    #[test]
    fn each_outcome_has_its_own_arm() {
        let result = outcome(&Outcome::Result(Payload::text("done")));
        assert!(matches!(result.end, Some(End::Result(_))));
        let lost = Failure { attempt: 3, ..Failure::new(FailureReason::WorkerLost, "gone").permanent() };
        let Some(End::Failure(failed)) = outcome(&Outcome::Failure(Arc::new(lost))).end else {
            panic!("a failure is a failure")
        };
        assert_eq!(failed.reason(), v1::FailureReason::WorkerLost);
        assert_eq!((failed.message.as_str(), failed.attempt, failed.retryable), ("gone", 3, false));
        let (reason, principal) = ("no longer needed".to_owned(), Some("billing".into()));
        let cancelled = Cancellation { reason, principal, forced: true };
        let Some(End::Cancellation(cancelled)) = outcome(&Outcome::Cancellation(Arc::new(cancelled))).end
        else {
            panic!("a cancellation is a cancellation")
        };
        assert_eq!((cancelled.reason.as_str(), cancelled.forced), ("no longer needed", true));
        assert_eq!(cancelled.principal, "billing");
    }

    #[test]
    fn a_failure_includes_its_details() {
        let mut failed = Failure::new(FailureReason::Handler, "bad row");
        failed.details = Some(Payload::text("row 7"));
        let wire = failure(&failed);
        assert_eq!(wire.details, Some(payload(&Payload::text("row 7"))));
    }

    #[test]
    fn states_have_the_names_of_the_api() {
        for domain in [JobState::Scheduled, JobState::Queued, JobState::Running, JobState::Succeeded] {
            assert_eq!(state(domain).as_str_name(), format!("JOB_STATE_{}", domain.name()));
        }
        assert_eq!(state(JobState::Failed).as_str_name(), "JOB_STATE_FAILED");
        assert_eq!(state(JobState::Cancelled).as_str_name(), "JOB_STATE_CANCELLED");
        assert_eq!(wait_reason(None), v1::WaitReason::Unspecified);
        assert_eq!(wait_reason(Some(WaitReason::NoWorker)).as_str_name(), "WAIT_REASON_NO_WORKER");
    }
}
