//! Events: the numbered entries of a job's stream.

use std::sync::Arc;

use super::{Failure, JobState, Outcome, Payload, Timestamp, WaitReason, cut};

/// One entry of a job's stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number, from 1, without holes.
    pub sequence: u32,
    /// When it happened.
    pub time: Timestamp,
    /// The attempt it belongs to; 0 before the first.
    pub attempt: u32,
    /// What happened.
    pub body: EventBody,
}

/// One thing a watcher is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchItem {
    /// An event.
    Event(Event),
    /// Output and log events of this range are no longer kept.
    Gap {
        /// First sequence that is gone.
        from: u32,
        /// Last sequence that is gone.
        to: u32,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// The job moved to another state, or a cancel was requested.
    State(StateChange),
    /// The handler reported progress.
    Progress(Arc<Progress>),
    /// The handler produced output.
    Output(Output),
    /// The handler wrote a log line.
    Log(Log),
}

/// The state a job moved to.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange {
    /// The state from now on.
    pub state: JobState,
    /// Why it is not running, if it waits.
    pub wait_reason: Option<WaitReason>,
    /// Why the attempt just ended failed, if it did.
    pub failure: Option<Arc<Failure>>,
    /// When the next attempt may start, if scheduled.
    pub next_attempt_time: Option<Timestamp>,
    /// How the job ended, if it did.
    pub outcome: Option<Outcome>,
    /// Whether a cancel was accepted while an attempt runs.
    pub cancel_requested: bool,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// Share done, 0 to 1.
    pub fraction: Option<f64>,
    /// Units done.
    pub done: Option<f64>,
    /// Units in all.
    pub total: Option<f64>,
    /// What is counted; at most 64 bytes.
    pub unit: String,
    /// For a person; at most 1 KiB.
    pub message: String,
}

/// Most bytes of a progress message or a cancel reason.
pub const MESSAGE_BYTES_MAX: usize = 1024;
const UNIT_BYTES_MAX: usize = 64;
const CHANNEL_BYTES_MAX: usize = 64;
const LOG_TEXT_BYTES_MAX: usize = 16 * 1024;

impl Progress {
    /// Cut to its bounds; numbers that are not numbers are dropped.
    pub(crate) fn bounded(mut self) -> Self {
        cut(&mut self.unit, UNIT_BYTES_MAX);
        cut(&mut self.message, MESSAGE_BYTES_MAX);
        self.fraction = self.fraction.filter(|value| value.is_finite()).map(|value| value.clamp(0.0, 1.0));
        self.done = self.done.filter(|value| value.is_finite());
        self.total = self.total.filter(|value| value.is_finite());
        self
    }

    /// Bytes of its texts.
    pub(crate) fn text_bytes(&self) -> usize {
        self.unit.len() + self.message.len()
    }

    /// The numbers alone, for when there is no memory for texts.
    pub(crate) fn without_texts(self) -> Self {
        Self { unit: String::new(), message: String::new(), ..self }
    }
}

/// A chunk of output.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The chunk.
    pub payload: Payload,
    /// Which of several outputs; at most 64 bytes.
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
    /// How important it is.
    pub level: LogLevel,
    /// The line; at most 16 KiB.
    pub text: Arc<str>,
    /// Where it came from.
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

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Details.
    Debug,
    /// Ordinary news.
    Info,
    /// Something looks wrong.
    Warn,
    /// Something is wrong.
    Error,
}

/// Where a log line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// A command's standard output.
    Stdout,
    /// A command's standard error.
    Stderr,
    /// The handler's log call.
    Log,
}

/// Which kinds of events a watcher wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTypes {
    /// State changes other than the last, which is always sent.
    pub state_change: bool,
    /// Progress.
    pub progress: bool,
    /// Output.
    pub output: bool,
    /// Log lines.
    pub log: bool,
}

impl EventTypes {
    /// Everything.
    pub const ALL: Self = Self { state_change: true, progress: true, output: true, log: true };
    /// Nothing but the end.
    pub const NONE: Self = Self { state_change: false, progress: false, output: false, log: false };
}
