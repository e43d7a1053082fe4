//! Converts events.

use super::job::outcome_without_payload;
use super::{failure, failure_without_details, outcome, payload, state, timestamp, wait_reason};
use crate::job::{Event, EventBody, JobChange, Log, LogLevel, LogStream, Output, Progress, StateChange};
use crate::proto::v1;
use crate::proto::v1::job_event;

/// Converts one event of a job's stream.
pub(crate) fn event(event: &Event) -> v1::JobEvent {
    let body = match &event.body {
        EventBody::State(change) => job_event::Event::StateChange(state_change(change)),
        EventBody::Progress(made) => job_event::Event::Progress(progress(made)),
        EventBody::Output(chunk) => job_event::Event::Output(output(chunk)),
        EventBody::Log(line) => job_event::Event::Log(log(line)),
    };
    v1::JobEvent {
        sequence: event.sequence,
        time: Some(timestamp(event.time)),
        attempt: event.attempt,
        event: Some(body),
    }
}

/// Converts a change of the feed. The event has no content of a result and no failure details.
pub(crate) fn job_change(change: &JobChange) -> v1::JobChange {
    let mut event = event(&change.event);
    if let (EventBody::State(state), Some(job_event::Event::StateChange(wire))) =
        (&change.event.body, &mut event.event)
    {
        wire.failure = state.failure.as_deref().map(failure_without_details);
        wire.outcome = state.outcome.as_ref().map(outcome_without_payload);
    }
    v1::JobChange {
        job_id: change.job_id.to_string(),
        queue: (*change.queue).to_owned(),
        kind: (*change.kind).to_owned(),
        labels: change.labels().clone().into_iter().collect(),
        owner: change.owner.as_deref().unwrap_or_default().to_owned(),
        event: Some(event),
    }
}

/// Converts the progress of an attempt.
pub(crate) fn progress(progress: &Progress) -> v1::Progress {
    v1::Progress {
        fraction: progress.fraction,
        done: progress.done,
        total: progress.total,
        unit: progress.unit.clone(),
        message: progress.message.clone(),
    }
}

fn state_change(change: &StateChange) -> v1::StateChange {
    v1::StateChange {
        state: state(change.state).into(),
        wait_reason: wait_reason(change.wait_reason).into(),
        failure: change.failure.as_deref().map(failure),
        next_attempt_time: change.next_attempt_time.map(timestamp),
        outcome: change.outcome.as_ref().map(outcome),
        cancel_requested: change.cancel_requested,
        principal: change.principal.as_deref().unwrap_or_default().to_owned(),
    }
}

/// Converts a chunk of output.
pub(crate) fn output(output: &Output) -> v1::Output {
    v1::Output { payload: Some(payload(&output.payload)), channel: (*output.channel).to_owned() }
}

/// Converts a log line.
pub(crate) fn log(log: &Log) -> v1::Log {
    let level = match log.level {
        LogLevel::Debug => v1::LogLevel::Debug,
        LogLevel::Info => v1::LogLevel::Info,
        LogLevel::Warn => v1::LogLevel::Warn,
        LogLevel::Error => v1::LogLevel::Error,
    };
    let stream = match log.stream {
        LogStream::Stdout => v1::LogStream::Stdout,
        LogStream::Stderr => v1::LogStream::Stderr,
        LogStream::Log => v1::LogStream::Log,
    };
    v1::Log { level: level.into(), text: (*log.text).to_owned(), stream: stream.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::job::{Failure, FailureReason, JobState, Outcome, Payload, Timestamp, WaitReason};

    fn rendered(body: EventBody) -> job_event::Event {
        let wire = event(&Event { sequence: 4, time: Timestamp::from_micros(2_000_000), attempt: 2, body });
        assert_eq!((wire.sequence, wire.attempt), (4, 2));
        assert_eq!(wire.time, Some(prost_types::Timestamp { seconds: 2, nanos: 0 }));
        wire.event.unwrap()
    }

    #[test]
    fn a_state_change_before_a_retry_has_its_failure_and_time() {
        let change = StateChange {
            state: JobState::Scheduled,
            wait_reason: Some(WaitReason::BackOff),
            failure: Some(Arc::new(Failure::new(FailureReason::Panic, "boom"))),
            next_attempt_time: Some(Timestamp::from_micros(3_000_000)),
            outcome: None,
            cancel_requested: true,
            principal: Some("billing".into()),
        };
        let job_event::Event::StateChange(wire) = rendered(EventBody::State(change)) else {
            panic!("a change")
        };
        assert_eq!((wire.state(), wire.wait_reason()), (v1::JobState::Scheduled, v1::WaitReason::BackOff));
        assert_eq!(wire.failure.unwrap().reason(), v1::FailureReason::Panic);
        assert_eq!(wire.next_attempt_time.unwrap().seconds, 3);
        assert!(wire.outcome.is_none() && wire.cancel_requested && wire.principal == "billing");
    }

    #[test]
    fn the_last_state_change_has_the_outcome() {
        let change = StateChange {
            state: JobState::Succeeded,
            wait_reason: None,
            failure: None,
            next_attempt_time: None,
            outcome: Some(Outcome::Result(Payload::data("42"))),
            cancel_requested: false,
            principal: None,
        };
        let job_event::Event::StateChange(wire) = rendered(EventBody::State(change)) else {
            panic!("a change")
        };
        assert_eq!(wire.outcome, Some(outcome(&Outcome::Result(Payload::data("42")))));
        assert_eq!(wire.wait_reason(), v1::WaitReason::Unspecified);
    }

    #[test]
    fn progress_output_and_logs_have_all_their_fields() {
        let made = Progress { done: Some(3.0), unit: "files".to_owned(), ..Progress::default() };
        let job_event::Event::Progress(wire) = rendered(EventBody::Progress(Arc::new(made))) else {
            panic!("progress")
        };
        assert_eq!((wire.done, wire.total, wire.unit.as_str()), (Some(3.0), None, "files"));

        let chunk = Output { payload: Payload::text("a"), channel: "rows".into() };
        let job_event::Event::Output(wire) = rendered(EventBody::Output(chunk)) else { panic!("output") };
        assert_eq!((wire.payload, wire.channel.as_str()), (Some(payload(&Payload::text("a"))), "rows"));

        let line = Log { level: LogLevel::Warn, text: "hm".into(), stream: LogStream::Stderr };
        let job_event::Event::Log(wire) = rendered(EventBody::Log(line)) else { panic!("a log line") };
        assert_eq!((wire.level(), wire.stream()), (v1::LogLevel::Warn, v1::LogStream::Stderr));
        assert_eq!(wire.text, "hm");
    }
}
