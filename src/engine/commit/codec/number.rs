//! The numbers that stand for the values of enumerations. They are never changed and never used again.

use super::Unreadable;
use crate::job::{Encoding, FailureReason, JobState, LogLevel, LogStream, WaitReason};

/// An enumeration whose values have numbers. 0 is none of them, but where it may be left out.
pub(super) trait Numbered: Sized {
    fn number(self) -> u32;

    /// # Errors
    ///
    /// `Newer` if no value has this number.
    fn of_number(number: u32) -> Result<Self, Unreadable>;
}

/// The number of a value that there may be; 0 for none.
pub(super) fn of_option(value: Option<impl Numbered>) -> u32 {
    value.map_or(0, Numbered::number)
}

/// The value that there may be; none for 0.
pub(super) fn option_of<T: Numbered>(number: u32) -> Result<Option<T>, Unreadable> {
    if number == 0 { Ok(None) } else { T::of_number(number).map(Some) }
}

macro_rules! numbered {
    ($type:ty, $name:literal, $($value:ident = $number:literal),+) => {
        impl Numbered for $type {
            fn number(self) -> u32 {
                match self {
                    $(Self::$value => $number,)+
                }
            }

            fn of_number(number: u32) -> Result<Self, Unreadable> {
                match number {
                    $($number => Ok(Self::$value),)+
                    _ => Err(Unreadable::Newer(format!(concat!($name, " {}"), number))),
                }
            }
        }
    };
}

numbered!(
    JobState,
    "job state",
    Scheduled = 1,
    Queued = 2,
    Running = 3,
    Succeeded = 4,
    Failed = 5,
    Cancelled = 6
);
numbered!(
    WaitReason,
    "wait reason",
    NotDue = 1,
    BackOff = 2,
    QueuePaused = 3,
    NoWorker = 4,
    WorkersBusy = 5,
    Draining = 6,
    Starting = 7,
    WorkerLimit = 8
);
numbered!(
    FailureReason,
    "failure reason",
    Handler = 1,
    Panic = 2,
    AttemptTimeout = 3,
    WorkerLost = 4,
    Deadline = 5,
    ExitStatus = 6,
    UnknownKind = 7,
    BadPayload = 8,
    ResultTooLarge = 9,
    NotStarted = 10
);
numbered!(Encoding, "payload encoding", Data = 0, Text = 1, Json = 2);
numbered!(LogLevel, "log level", Debug = 1, Info = 2, Warn = 3, Error = 4);
numbered!(LogStream, "log stream", Stdout = 1, Stderr = 2, Log = 3);
