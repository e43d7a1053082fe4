//! Enumerations, both ways: each value has the number of the value of the same name in the schema.

use super::Unreadable;
use super::schema as pb;
use crate::job::{Encoding, FailureReason, JobState, LogLevel, LogStream, WaitReason};

pub(super) trait Numbered: Sized {
    fn number(self) -> i32;

    /// # Errors
    ///
    /// `Newer` if no value has this number.
    fn of_number(number: i32) -> Result<Self, Unreadable>;
}

/// The number of an optional value; 0 for none.
pub(super) fn of_option(value: Option<impl Numbered>) -> i32 {
    value.map_or(0, Numbered::number)
}

/// The value of an optional number; `None` for 0.
pub(super) fn option_of<T: Numbered>(number: i32) -> Result<Option<T>, Unreadable> {
    if number == 0 { Ok(None) } else { T::of_number(number).map(Some) }
}

macro_rules! numbered {
    ($type:ident, $name:literal: $($value:ident),+) => {
        impl Numbered for $type {
            fn number(self) -> i32 {
                match self {
                    $(Self::$value => pb::$type::$value as i32,)+
                }
            }

            fn of_number(number: i32) -> Result<Self, Unreadable> {
                match pb::$type::try_from(number) {
                    $(Ok(pb::$type::$value) => Ok(Self::$value),)+
                    _ => Err(Unreadable::Newer(format!(concat!($name, " {}"), number))),
                }
            }
        }
    };
}

numbered!(JobState, "job state": Scheduled, Queued, Running, Succeeded, Failed, Cancelled);
numbered!(
    WaitReason,
    "wait reason": NotDue,
    BackOff,
    QueuePaused,
    NoWorker,
    WorkersBusy,
    Draining,
    Starting,
    WorkerLimit
);
numbered!(
    FailureReason,
    "failure reason": Handler,
    Panic,
    AttemptTimeout,
    WorkerLost,
    Deadline,
    ExitStatus,
    UnknownKind,
    BadPayload,
    ResultTooLarge,
    NotStarted
);
numbered!(Encoding, "payload encoding": Data, Text, Json);
numbered!(LogLevel, "log level": Debug, Info, Warn, Error);
numbered!(LogStream, "log stream": Stdout, Stderr, Log);
