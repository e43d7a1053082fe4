//! The bytes of one entry of the log: what one command recorded, as a protobuf message.
//!
//! Fields that are not known are ignored, as protobuf has it. What cannot be ignored without losing something, a sort of
//! record or the value of an enumeration, is refused.

mod bound;
mod context;
mod fields;
mod json;
mod message;
mod number;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use bound::bytes_max;
use context::Context;
pub use json::entry_to_json;

use std::fmt;

use prost::Message;

use crate::clock::Now;
use crate::core::Record;
use crate::job::Timestamp;

/// A record takes at least this much of an entry: its tag and length, and those of what it is. What holds smaller ones is
/// none, and gets no room for them.
const RECORD_BYTES_MIN: usize = 4;

/// Which one an entry is of those of one command, from 1, and how many those are; both 0 if it is alone. What a crash left
/// of a command that is not all there counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub(crate) number: u32,
    pub(crate) count: u32,
}

/// What one command recorded, and when it ran.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) now: Now,
    pub(crate) part: Part,
    pub(crate) records: Vec<Record>,
}

/// Why an entry cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A newer version wrote it, with something that is not known here.
    Newer(String),
    /// It is none, or a part of it is missing.
    Damaged(String),
}

/// Appends the bytes of an entry.
pub(crate) fn encode(now: Now, records: &[Record], buffer: &mut Vec<u8>) {
    encode_part(now, Part::default(), records, buffer);
}

/// Appends the bytes of an entry that may not be all of its command.
pub(crate) fn encode_part(now: Now, part: Part, records: &[Record], buffer: &mut Vec<u8>) {
    write::entry(now, part, records, buffer);
}

/// Reads the bytes of an entry; nothing of what it answers refers to them.
///
/// # Errors
///
/// `Newer`, `Damaged`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Entry, Unreadable> {
    let message::Entry { monotonic, wall, records: encoded, part: number, parts: count } =
        message::Entry::decode(bytes)?;
    let now = Now { monotonic: monotonic.try_into()?, wall: Timestamp::from_micros(wall) };
    let mut records = Vec::with_capacity(encoded.len().min(bytes.len() / RECORD_BYTES_MIN));
    let mut context = Context { now, job: None };
    for record in encoded {
        // From a slice, so that each payload is copied and does not keep the rest of its record.
        let record = read::record(message::Record::decode(&record[..])?, &context)?;
        context.job = record.job();
        records.push(record);
    }
    Ok(Entry { now, part: Part { number, count }, records })
}

impl Unreadable {
    /// A part that an entry of every version has is not there.
    fn without(part: &str) -> Self {
        Self::Damaged(format!("it has no {part}"))
    }
}

impl From<prost::DecodeError> for Unreadable {
    fn from(error: prost::DecodeError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(what) => {
                write!(
                    f,
                    "a newer version of jobstream wrote the log: {what} is not known here: use that version"
                )
            }
            Self::Damaged(what) => write!(f, "an entry of the log cannot be read: {what}"),
        }
    }
}

impl std::error::Error for Unreadable {}
