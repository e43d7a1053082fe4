//! Events: the numbered entries of a job's event stream.

use std::sync::Arc;

use super::{Failure, JobState, Outcome, Payload, Timestamp, WaitReason, truncate};

/// An entry of a job's event stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its sequence number. The numbers of a job's events are consecutive and start at 1.
    pub sequence: u32,
    /// Wall time of the event.
    pub time: Timestamp,
    /// The attempt of the event; 0 before the first attempt.
    pub attempt: u32,
    /// The contents of the event.
    pub body: EventBody,
}

/// An item of a watch.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchItem {
    /// An event.
    Event(Event),
    /// A range of output and log events that are no longer retained.
    Gap {
        /// First sequence number of the gap.
        first: u32,
        /// Last sequence number of the gap.
        last: u32,
    },
}

/// The contents of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// The job changed its state, or a cancel was requested.
    State(StateChange),
    /// The handler reported progress.
    Progress(Arc<Progress>),
    /// The handler sent output.
    Output(Output),
    /// The handler sent a log line.
    Log(Log),
}

/// A transition of a job to a state.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange {
    /// The new state.
    pub state: JobState,
    /// Why the job is not running, if it waits.
    pub wait_reason: Option<WaitReason>,
    /// The failure of the attempt that ended, if it failed and the job continues. That of the last attempt is the outcome.
    pub failure: Option<Arc<Failure>>,
    /// When the next attempt may start, if the job is scheduled.
    pub next_attempt_time: Option<Timestamp>,
    /// The outcome of the job, if it ended.
    pub outcome: Option<Outcome>,
    /// Whether a cancel was accepted while an attempt runs.
    pub cancel_requested: bool,
    /// The principal that requested the cancel; `None` if it was anonymous.
    pub principal: Option<Arc<str>>,
}

/// The progress of an attempt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// Completed fraction, from 0 to 1.
    pub fraction: Option<f64>,
    /// Number of units done.
    pub done: Option<f64>,
    /// Total number of units.
    pub total: Option<f64>,
    /// The unit; at most 64 bytes.
    pub unit: String,
    /// A human-readable description; at most 1 KiB.
    pub message: String,
}

/// Most bytes of a progress message or a cancel reason.
pub const MESSAGE_BYTES_MAX: usize = 1024;
const UNIT_BYTES_MAX: usize = 64;
const CHANNEL_BYTES_MAX: usize = 64;
const LOG_TEXT_BYTES_MAX: usize = 16 * 1024;

impl Progress {
    /// The progress within its bounds: texts are truncated, numbers that are not finite are dropped. A fraction that is not
    /// set is computed from the units.
    pub(crate) fn bounded(mut self) -> Self {
        truncate(&mut self.unit, UNIT_BYTES_MAX);
        truncate(&mut self.message, MESSAGE_BYTES_MAX);
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        (self.done, self.total) = (finite(self.done), finite(self.total));
        let fraction = finite(self.fraction).or_else(|| self.fraction_of_units());
        self.fraction = fraction.map(|value| value.clamp(0.0, 1.0));
        self
    }

    /// The units done as a fraction of a positive total.
    fn fraction_of_units(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0.0)?;
        self.done.map(|done| done / total)
    }

    /// Bytes of the unit and the message.
    pub(crate) fn text_bytes(&self) -> usize {
        self.unit.len() + self.message.len()
    }

    /// The progress under memory pressure: without unit and message.
    pub(crate) fn without_texts(self) -> Self {
        Self { unit: String::new(), message: String::new(), ..self }
    }
}

/// A chunk of output.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The contents of the chunk.
    pub payload: Payload,
    /// The channel, for jobs with several outputs; at most 64 bytes.
    pub channel: Arc<str>,
}

impl Output {
    pub(crate) fn bounded(mut self) -> Self {
        if self.channel.len() > CHANNEL_BYTES_MAX {
            self.channel = self.channel[..self.channel.floor_char_boundary(CHANNEL_BYTES_MAX)].into();
        }
        self
    }
}

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The severity.
    pub level: LogLevel,
    /// The line; at most 16 KiB.
    pub text: Arc<str>,
    /// The origin of the line.
    pub stream: LogStream,
}

impl Log {
    pub(crate) fn bounded(mut self) -> Self {
        if self.text.len() > LOG_TEXT_BYTES_MAX {
            self.text = self.text[..self.text.floor_char_boundary(LOG_TEXT_BYTES_MAX)].into();
        }
        self
    }
}

/// The severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Diagnostic details.
    Debug,
    /// Normal operation.
    Info,
    /// A possible problem.
    Warn,
    /// An error.
    Error,
}

/// The origin of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// The standard output of a program.
    Stdout,
    /// The standard error of a program.
    Stderr,
    /// A log call of the handler.
    Log,
}

/// The types of events that a watch includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTypes {
    /// State changes. The last one is always included.
    pub state_change: bool,
    /// Progress.
    pub progress: bool,
    /// Output.
    pub output: bool,
    /// Log lines.
    pub log: bool,
}

impl EventTypes {
    /// All events.
    pub const ALL: Self = Self { state_change: true, progress: true, output: true, log: true };
    /// Only the last state change.
    pub const NONE: Self = Self { state_change: false, progress: false, output: false, log: false };
}
