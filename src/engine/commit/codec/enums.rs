//! Conversion between enumerations and numbers: a value has the number of the value with its name in the schema.

use super::Unreadable;
use super::schema as pb;
use crate::job::{Encoding, FailureReason, JobState, LogLevel, LogStream, WaitReason};

/// An enumeration of the schema.
pub(super) trait SchemaEnum: Sized {
    fn number(self) -> i32;

    /// # Errors
    ///
    /// `Newer` if no value has this number.
    fn from_number(number: i32) -> Result<Self, Unreadable>;
}

/// The number of an optional value; 0 for none.
pub(super) fn write_optional(value: Option<impl SchemaEnum>) -> i32 {
    value.map_or(0, SchemaEnum::number)
}

/// The value of an optional number; `None` for 0.
pub(super) fn read_optional<T: SchemaEnum>(number: i32) -> Result<Option<T>, Unreadable> {
    if number == 0 { Ok(None) } else { T::from_number(number).map(Some) }
}

macro_rules! schema_enum {
    ($type:ident, $name:literal: $($value:ident),+) => {
        impl SchemaEnum for $type {
            fn number(self) -> i32 {
                match self {
                    $(Self::$value => pb::$type::$value as i32,)+
                }
            }

            fn from_number(number: i32) -> Result<Self, Unreadable> {
                match pb::$type::try_from(number) {
                    $(Ok(pb::$type::$value) => Ok(Self::$value),)+
                    _ => Err(Unreadable::Newer(format!(concat!($name, " {}"), number))),
                }
            }
        }
    };
}

schema_enum!(JobState, "job state": Scheduled, Queued, Running, Succeeded, Failed, Cancelled);
schema_enum!(
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
schema_enum!(
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
schema_enum!(Encoding, "payload encoding": Data, Text, Json);
schema_enum!(LogLevel, "log level": Debug, Info, Warn, Error);
schema_enum!(LogStream, "log stream": Stdout, Stderr, Log);
