//! Converts the events that a watch receives.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{failure, name, outcome, payload, state, timestamp, wait_reason};
use crate::job::{
    Event, EventBody, JobChange, JobId, JobOptions, Log, LogLevel, LogStream, Output, Progress, StateChange,
};
use crate::proto::v1;
use crate::proto::v1::job_event;

/// The result of converting an event.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming<T = Event> {
    /// An event or a change that this client knows.
    Known(T),
    /// An event type that is newer than this client. The client skips it.
    New,
    /// An unknown state, or an outcome that cannot be converted.
    Unreadable,
}

/// Converts one event of a job's stream.
pub(crate) fn event(wire: v1::JobEvent) -> Incoming {
    let Some(body) = wire.event else { return Incoming::New };
    match event_body(body) {
        Some(body) => Incoming::Known(Event {
            sequence: wire.sequence,
            time: wire.time.map(timestamp).unwrap_or_default(),
            attempt: wire.attempt,
            body,
        }),
        None => Incoming::Unreadable,
    }
}

/// Converts a change of the feed of all jobs.
pub(crate) fn job_change(wire: v1::JobChange) -> Incoming<JobChange> {
    let Ok(job_id) = JobId::parse("job_id", &wire.job_id) else { return Incoming::Unreadable };
    let event = match wire.event.map(event) {
        Some(Incoming::Known(event)) => event,
        Some(Incoming::Unreadable) => return Incoming::Unreadable,
        Some(Incoming::New) | None => return Incoming::New,
    };
    let labels: BTreeMap<_, _> = wire.labels.into_iter().collect();
    Incoming::Known(JobChange {
        job_id,
        queue: wire.queue.into(),
        kind: wire.kind.into(),
        owner: name(wire.owner),
        options: (!labels.is_empty()).then(|| Arc::new(JobOptions { labels, ..JobOptions::default() })),
        event,
    })
}

fn event_body(wire: job_event::Event) -> Option<EventBody> {
    Some(match wire {
        job_event::Event::StateChange(change) => EventBody::State(state_change(change)?),
        job_event::Event::Progress(made) => EventBody::Progress(Arc::new(progress(made))),
        job_event::Event::Output(chunk) => EventBody::Output(output(chunk)?),
        job_event::Event::Log(line) => EventBody::Log(log(&line)),
    })
}

fn state_change(wire: v1::StateChange) -> Option<StateChange> {
    let state = state(wire.state())?;
    let wait_reason = wait_reason(wire.wait_reason());
    let outcome = match wire.outcome {
        Some(end) => Some(outcome(end)?),
        None if state.is_final() => return None,
        None => None,
    };
    Some(StateChange {
        state,
        wait_reason,
        failure: wire.failure.map(|failed| Arc::new(failure(failed))),
        next_attempt_time: wire.next_attempt_time.map(timestamp),
        outcome,
        cancel_requested: wire.cancel_requested,
        principal: name(wire.principal),
    })
}

/// Converts the progress of an attempt.
pub(in crate::proto) fn progress(wire: v1::Progress) -> Progress {
    let v1::Progress { fraction, done, total, unit, message } = wire;
    Progress { fraction, done, total, unit, message }
}

fn output(wire: v1::Output) -> Option<Output> {
    Some(Output { payload: payload(wire.payload)?, channel: wire.channel.into() })
}

/// Converts a log line.
pub(in crate::proto) fn log(wire: &v1::Log) -> Log {
    let level = match wire.level() {
        v1::LogLevel::Debug => LogLevel::Debug,
        v1::LogLevel::Unspecified | v1::LogLevel::Info => LogLevel::Info,
        v1::LogLevel::Warn => LogLevel::Warn,
        v1::LogLevel::Error => LogLevel::Error,
    };
    let stream = match wire.stream() {
        v1::LogStream::Stdout => LogStream::Stdout,
        v1::LogStream::Stderr => LogStream::Stderr,
        v1::LogStream::Unspecified | v1::LogStream::Log => LogStream::Log,
    };
    Log { level, text: wire.text.as_str().into(), stream }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Failure, FailureReason, JobState, Outcome, Payload, Timestamp, WaitReason};
    use crate::proto::render;

    #[test]
    fn every_event_round_trips() {
        let change = StateChange {
            state: JobState::Scheduled,
            wait_reason: Some(WaitReason::BackOff),
            failure: Some(Arc::new(Failure::new(FailureReason::Panic, "boom"))),
            next_attempt_time: Some(Timestamp::from_micros(3_000_000)),
            outcome: None,
            cancel_requested: true,
            principal: Some("billing".into()),
        };
        let outcome = Some(Outcome::Result(Payload::data("42")));
        let end = StateChange { state: JobState::Succeeded, outcome, ..change.clone() };
        let made = Progress { done: Some(3.0), unit: "files".to_owned(), ..Progress::default() };
        let line = Log { level: LogLevel::Warn, text: "hm".into(), stream: LogStream::Stderr };
        for body in [
            EventBody::State(change),
            EventBody::State(end),
            EventBody::Progress(Arc::new(made)),
            EventBody::Output(Output { payload: Payload::text("a"), channel: "rows".into() }),
            EventBody::Log(line),
        ] {
            let sent = Event { sequence: 4, time: Timestamp::from_micros(2_000_001), attempt: 2, body };
            assert_eq!(event(render::event(&sent)), Incoming::Known(sent));
        }
    }

    #[test]
    fn an_unknown_event_type_is_skipped_and_an_end_without_an_outcome_is_unreadable() {
        assert_eq!(event(v1::JobEvent { sequence: 1, ..Default::default() }), Incoming::New);
        let end = v1::StateChange { state: v1::JobState::Succeeded.into(), ..Default::default() };
        let wire = v1::JobEvent { event: Some(job_event::Event::StateChange(end)), ..Default::default() };
        assert_eq!(event(wire), Incoming::Unreadable);
    }
}
