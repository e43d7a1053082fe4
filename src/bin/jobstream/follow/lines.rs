//! Events of a job as one line each, for people.

use std::time::SystemTime;

use jobstream::proto::v1::{Gap, JobEvent, JobState, Progress, StateChange};
use prost_types::Timestamp;

use crate::output::text;

/// `events 3 to 9 are no longer retained`.
pub(super) fn gap_line(gap: &Gap) -> String {
    format!("events {} to {} are no longer retained", gap.first, gap.last)
}

/// `QUEUED (NO_WORKER)`, `RUNNING, attempt 2`, `SCHEDULED (BACK_OFF) for 1.2s: attempt 1 failed: HANDLER: boom`.
pub(super) fn state_line(event: &JobEvent, change: &StateChange) -> String {
    let mut line = text::state(change.state()).to_owned();
    if change.state() == JobState::Running && event.attempt > 1 {
        line += &format!(", attempt {}", event.attempt);
    }
    let wait_reason = text::wait_reason(change.wait_reason());
    if !wait_reason.is_empty() {
        line += &format!(" ({wait_reason})");
    }
    let time = |time: Option<Timestamp>| SystemTime::try_from(time?).ok();
    if let (Some(now), Some(next)) = (time(event.time), time(change.next_attempt_time)) {
        let wait = next.duration_since(now).unwrap_or_default();
        line += &format!(" for {}", text::duration(wait));
    }
    if change.cancel_requested {
        line += ", cancel requested";
        if !change.principal.is_empty() {
            line += &format!(" by {}", change.principal);
        }
    }
    if let Some(failure) = &change.failure {
        line += &format!(": attempt {} failed: {}", failure.attempt, text::failure(failure));
    }
    line
}

/// `40% 2/5 files: copying`.
pub(crate) fn progress_line(progress: &Progress) -> String {
    let percent = fraction(progress).map(|fraction| format!("{:.0}%", fraction * 100.0));
    let count = progress.done.map(|done| {
        let total = progress.total.map(|total| format!("/{total}")).unwrap_or_default();
        format!("{done}{total} {}", progress.unit).trim_end().to_owned()
    });
    let numbers = [percent, count].into_iter().flatten().collect::<Vec<_>>().join(" ");
    match (numbers.as_str(), progress.message.as_str()) {
        (numbers, "") => numbers.to_owned(),
        ("", message) => message.to_owned(),
        (numbers, message) => format!("{numbers}: {message}"),
    }
}

/// The share done, from 0 to 1, if the progress has or implies one.
pub(super) fn fraction(progress: &Progress) -> Option<f64> {
    let of_total = || match (progress.done?, progress.total?) {
        (done, total) if total > 0.0 => Some(done / total),
        _ => None,
    };
    progress
        .fraction
        .or_else(of_total)
        .filter(|fraction| fraction.is_finite())
        .map(|share| share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use jobstream::proto::v1::{Failure, FailureReason, WaitReason};

    use super::*;

    #[test]
    fn a_state_line_says_why_and_until_when() {
        let mut change = StateChange { state: JobState::Queued.into(), ..StateChange::default() };
        change.set_wait_reason(WaitReason::NoWorker);
        assert_eq!(state_line(&JobEvent::default(), &change), "QUEUED (NO_WORKER)");

        let mut failure = Failure { attempt: 1, message: "boom".into(), ..Failure::default() };
        failure.set_reason(FailureReason::Handler);
        let mut change = StateChange { state: JobState::Scheduled.into(), ..StateChange::default() };
        change.failure = Some(failure);
        change.next_attempt_time = Some(prost_types::Timestamp { seconds: 3, nanos: 200_000_000 });
        let time = Some(prost_types::Timestamp { seconds: 2, nanos: 0 });
        let expected = "SCHEDULED for 1.2s: attempt 1 failed: HANDLER: boom";
        assert_eq!(state_line(&JobEvent { time, ..JobEvent::default() }, &change), expected);

        let change = StateChange { state: JobState::Running.into(), ..StateChange::default() };
        assert_eq!(
            state_line(&JobEvent { attempt: 2, ..JobEvent::default() }, &change),
            "RUNNING, attempt 2"
        );
    }

    #[test]
    fn progress_is_a_share_a_count_or_words() {
        let counted =
            Progress { done: Some(2.0), total: Some(5.0), unit: "files".into(), ..Progress::default() };
        assert_eq!(progress_line(&counted), "40% 2/5 files");
        let shared = Progress { fraction: Some(1.7), message: "done".into(), ..Progress::default() };
        assert_eq!(progress_line(&shared), "100%: done");
        let message = Progress { message: "copying".into(), ..Progress::default() };
        assert_eq!((progress_line(&message), fraction(&message)), ("copying".to_owned(), None));
        let broken = Progress { done: Some(1.0), total: Some(0.0), ..Progress::default() };
        assert_eq!(fraction(&broken), None);
    }
}
