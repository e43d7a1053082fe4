//! Messages of a server, read back into the domain: the other direction of `render`.
//!
//! What a newer server adds must not break an older client: unknown values read as the nearest known one, and only
//! what cannot be understood without them is `None`.

pub(super) mod event;
mod job;

pub(crate) use event::{Incoming, event};
pub(crate) use job::job;

use std::sync::Arc;
use std::time::Duration;

use super::parse::{self, ParseLimits};
use crate::job::{Cancellation, Failure, FailureReason, JobState, Outcome, Payload, Timestamp, WaitReason};
use crate::proto::v1;
use crate::proto::v1::outcome::End;

const MICROS_A_SECOND: i64 = 1_000_000;

/// A server keeps to its own limits, which may be larger than those known here.
const NO_LIMITS: ParseLimits = ParseLimits { payload_bytes_max: usize::MAX };

/// A payload; an unset one is empty.
pub(crate) fn payload(wire: Option<v1::Payload>) -> Option<Payload> {
    parse::payload_of_server(wire, &NO_LIMITS).ok()
}

/// How a job ended.
pub(crate) fn outcome(wire: v1::Outcome) -> Option<Outcome> {
    Some(match wire.end? {
        End::Result(result) => Outcome::Result(payload(Some(result))?),
        End::Failure(failed) => Outcome::Failure(Arc::new(failure(failed))),
        End::Cancellation(v1::Cancellation { reason, forced }) => {
            Outcome::Cancellation(Arc::new(Cancellation { reason, forced }))
        }
    })
}

/// Why an attempt failed. A reason that is not known here reads as the most general one.
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

fn failure_reason(wire: v1::FailureReason) -> FailureReason {
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

/// A state; `None` if it is not known here.
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

/// Why a job waits, if it does.
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

/// A point in time, to the microsecond.
pub(crate) fn timestamp(wire: prost_types::Timestamp) -> Timestamp {
    let micros = wire.seconds.saturating_mul(MICROS_A_SECOND);
    Timestamp::from_micros(micros.saturating_add(i64::from(wire.nanos / 1000)))
}

/// A span; a negative one is zero.
pub(crate) fn duration(wire: prost_types::Duration) -> Duration {
    Duration::try_from(wire).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::render;

    #[test]
    fn every_outcome_is_read_as_it_was_sent() {
        let failed = Failure {
            error_type: "io.NotFound".to_owned(),
            details: Some(Payload::text("row 7")),
            attempt: 3,
            ..Failure::new(FailureReason::ExitStatus, "status 2").permanent()
        };
        let cancelled = Cancellation { reason: "no longer needed".to_owned(), forced: true };
        for sent in [
            Outcome::Result(Payload::text("{}").with_content_type("application/json")),
            Outcome::Failure(Arc::new(failed)),
            Outcome::Cancellation(Arc::new(cancelled)),
        ] {
            assert_eq!(outcome(render::outcome(&sent)), Some(sent));
        }
    }

    #[test]
    fn every_reason_state_and_time_is_read_as_it_was_sent() {
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
    fn what_a_newer_server_adds_reads_as_the_nearest_known() {
        let wire = v1::Failure { reason: 99, message: "new".to_owned(), ..Default::default() };
        assert_eq!(failure(wire).reason, FailureReason::Handler);
        assert_eq!(outcome(v1::Outcome { end: None }), None);
    }
}
