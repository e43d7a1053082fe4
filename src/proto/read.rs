//! Converts messages of a server to domain types: the inverse of `render`.
//!
//! A newer server must not break an older client. An unknown value becomes the nearest known one; a conversion returns
//! `None` only if the message makes no sense without the value.

pub(super) mod event;
mod job;

pub(crate) use event::{Incoming, event, job_change};
pub(crate) use job::job;

use std::sync::Arc;
use std::time::Duration;

use super::parse;
use crate::job::{Cancellation, Failure, FailureReason, JobState, Outcome, Payload, Timestamp, WaitReason};
use crate::proto::v1;
use crate::proto::v1::outcome::End;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Converts a payload. An unset payload is empty.
pub(crate) fn payload(wire: Option<v1::Payload>) -> Option<Payload> {
    parse::payload_of_server(wire).ok()
}

/// Converts the outcome of a job.
pub(crate) fn outcome(wire: v1::Outcome) -> Option<Outcome> {
    Some(match wire.end? {
        End::Result(result) => Outcome::Result(payload(Some(result))?),
        End::Failure(failed) => Outcome::Failure(Arc::new(failure(failed))),
        End::Cancellation(v1::Cancellation { reason, forced, principal }) => {
            let principal = name(principal);
            Outcome::Cancellation(Arc::new(Cancellation { reason, principal, forced }))
        }
    })
}

/// A name that is empty if there is none.
fn name(text: String) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// Converts the failure of an attempt. An unknown reason becomes `Handler`.
pub(crate) fn failure(wire: v1::Failure) -> Failure {
    let reason = failure_reason(wire.reason());
    Failure {
        reason,
        error_type: wire.r#type,
        message: wire.message,
        details: wire.details.and_then(|details| payload(Some(details))),
        attempt: wire.attempt,
        retryable: wire.retryable,
    }
}

pub(super) fn failure_reason(wire: v1::FailureReason) -> FailureReason {
    match wire {
        v1::FailureReason::Unspecified | v1::FailureReason::Handler => FailureReason::Handler,
        v1::FailureReason::Panic => FailureReason::Panic,
        v1::FailureReason::AttemptTimeout => FailureReason::AttemptTimeout,
        v1::FailureReason::WorkerLost => FailureReason::WorkerLost,
        v1::FailureReason::Deadline => FailureReason::Deadline,
        v1::FailureReason::ExitStatus => FailureReason::ExitStatus,
        v1::FailureReason::UnknownKind => FailureReason::UnknownKind,
        v1::FailureReason::BadPayload => FailureReason::BadPayload,
        v1::FailureReason::ResultTooLarge => FailureReason::ResultTooLarge,
        v1::FailureReason::NotStarted => FailureReason::NotStarted,
    }
}

/// Converts a job state. An unspecified state is `None`.
pub(crate) fn state(wire: v1::JobState) -> Option<JobState> {
    match wire {
        v1::JobState::Unspecified => None,
        v1::JobState::Scheduled => Some(JobState::Scheduled),
        v1::JobState::Queued => Some(JobState::Queued),
        v1::JobState::Running => Some(JobState::Running),
        v1::JobState::Succeeded => Some(JobState::Succeeded),
        v1::JobState::Failed => Some(JobState::Failed),
        v1::JobState::Cancelled => Some(JobState::Cancelled),
    }
}

/// Converts the reason why a job waits. `None` if it does not wait.
pub(crate) fn wait_reason(wire: v1::WaitReason) -> Option<WaitReason> {
    match wire {
        v1::WaitReason::Unspecified => None,
        v1::WaitReason::NotDue => Some(WaitReason::NotDue),
        v1::WaitReason::BackOff => Some(WaitReason::BackOff),
        v1::WaitReason::QueuePaused => Some(WaitReason::QueuePaused),
        v1::WaitReason::NoWorker => Some(WaitReason::NoWorker),
        v1::WaitReason::WorkersBusy => Some(WaitReason::WorkersBusy),
        v1::WaitReason::Draining => Some(WaitReason::Draining),
        v1::WaitReason::Starting => Some(WaitReason::Starting),
        v1::WaitReason::WorkerLimit => Some(WaitReason::WorkerLimit),
    }
}

/// Converts a timestamp, to the microsecond.
pub(crate) fn timestamp(wire: prost_types::Timestamp) -> Timestamp {
    let micros = wire.seconds.saturating_mul(MICROS_PER_SECOND);
    Timestamp::from_micros(micros.saturating_add(i64::from(wire.nanos / 1000)))
}

/// Converts a duration. A negative one becomes zero.
pub(crate) fn duration(wire: prost_types::Duration) -> Duration {
    Duration::try_from(wire).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::render;

    #[test]
    fn every_outcome_round_trips() {
        let failed = Failure {
            error_type: "io.NotFound".to_owned(),
            details: Some(Payload::text("row 7")),
            attempt: 3,
            ..Failure::new(FailureReason::ExitStatus, "status 2").permanent()
        };
        let (reason, principal) = ("no longer needed".to_owned(), Some("billing".into()));
        let cancelled = Cancellation { reason, principal, forced: true };
        for sent in [
            Outcome::Result(Payload::text("{}").with_content_type("application/json")),
            Outcome::Failure(Arc::new(failed)),
            Outcome::Cancellation(Arc::new(cancelled)),
        ] {
            assert_eq!(outcome(render::outcome(&sent)), Some(sent));
        }
    }

    #[test]
    fn every_reason_state_and_time_round_trips() {
        for reason in 1..=10 {
            let wire = v1::FailureReason::try_from(reason).unwrap();
            let sent = Failure::new(failure_reason(wire), "");
            assert_eq!(render::failure(&sent).reason(), wire);
        }
        for number in 0..=6 {
            let wire = v1::WaitReason::try_from(number).unwrap();
            assert_eq!(render::wait_reason(wait_reason(wire)), wire);
        }
        for number in 1..=6 {
            let wire = v1::JobState::try_from(number).unwrap();
            assert_eq!(state(wire).map(render::state), Some(wire));
        }
        for micros in [0, 1, -1, 1_767_225_600_123_456] {
            let sent = Timestamp::from_micros(micros);
            assert_eq!(timestamp(render::timestamp(sent)), sent);
        }
        assert_eq!(duration(render::duration(Duration::new(3, 7))), Duration::new(3, 7));
    }

    #[test]
    fn an_unknown_value_becomes_the_nearest_known_one() {
        let wire = v1::Failure { reason: 99, message: "new".to_owned(), ..Default::default() };
        assert_eq!(failure(wire).reason, FailureReason::Handler);
        assert_eq!(outcome(v1::Outcome { end: None }), None);
    }
}
