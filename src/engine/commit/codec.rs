//! The entries of the log as bytes: each is a message of `proto/jobstream/store/v1/record.proto`, with the records of one
//! command.
//!
//! Unknown fields are ignored. An unknown record, event or value of an enumeration is refused: without it, a job would be
//! restored in a wrong state.

mod attempt;
mod context;
mod enums;
mod event;
mod job;
mod json;
mod record;
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod schema;
#[cfg(test)]
mod tests;
mod values;
mod writer;

use context::Context;
pub use json::entry_to_json;

use std::fmt;
use std::time::Duration;

use prost::Message;
use prost::encoding::{DecodeContext, decode_key};

use crate::clock::Now;
use crate::core::Record;
use crate::job::Timestamp;
use schema as pb;
use values::Read;
use writer::{Lengths, Output, Sink, Writer};

/// More than the times take that an entry or a record may leave out.
const TIMES_BYTES_MAX: usize = 64;

/// The number of an entry among the entries of its command, from 1, and their count; both 0 if it is the only one. A
/// command whose last entry is missing was never acknowledged and is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub(crate) number: u32,
    pub(crate) count: u32,
}

/// The records of one command, or a part of them, and when it ran.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) now: Now,
    pub(crate) part: Part,
    pub(crate) records: Vec<Record>,
}

/// Why an entry cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A newer version wrote it: it holds this, which is unknown here.
    Newer(String),
    /// It is not an entry, or a part of it is missing.
    Damaged(String),
}

/// Appends the only entry of a command to the buffer.
pub(crate) fn encode(now: Now, records: &[Record], buffer: &mut Vec<u8>) {
    encode_part(now, Part::default(), records, buffer);
}

/// Appends one of several entries of a command to the buffer.
pub(crate) fn encode_part(now: Now, part: Part, records: &[Record], buffer: &mut Vec<u8>) {
    let mut lengths = Lengths::default();
    write(now, part, records, &mut lengths);
    write(now, part, records, &mut Output::new(buffer, &lengths));
}

/// At least as many bytes as an entry with these records has.
pub(in crate::engine::commit) fn bytes_max(records: &[Record]) -> usize {
    let now = Now { monotonic: Duration::ZERO, wall: Timestamp::default() };
    let mut lengths = Lengths::default();
    write(now, Part { number: u32::MAX, count: u32::MAX }, records, &mut lengths);
    lengths.bytes + (1 + records.len()) * TIMES_BYTES_MAX
}

fn write(now: Now, part: Part, records: &[Record], sink: &mut impl Sink) {
    let mut context = Context { now, job: None };
    let mut header: Writer<'_, pb::Entry, _> = Writer::new(sink, &context);
    header.monotonic(Some(&now.monotonic));
    header.wall_us(now.wall.as_micros());
    header.part(part.number);
    header.parts(part.count);
    for record in records {
        let mut entry: Writer<'_, pb::Entry, _> = Writer::new(sink, &context);
        entry.records(Some(record));
        context.job = record.job();
    }
}

/// Decodes an entry. The answer does not refer to the bytes: each payload is copied once.
///
/// # Errors
///
/// `Newer`, `Damaged`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Entry, Unreadable> {
    let mut entry = pb::Entry::default();
    let mut records: Vec<Record> = Vec::new();
    let mut first_now = None;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (number, wire_type) = decode_key(&mut rest)?;
        entry.merge_field(number, wire_type, &mut rest, DecodeContext::default())?;
        // Records are converted one at a time: their messages are many times larger than their bytes.
        if let Some(record) = entry.records.pop() {
            let now = now_of(&entry)?;
            first_now.get_or_insert(now);
            let job = records.last().and_then(Record::job);
            records.push(Record::read(record, &Context { now, job })?);
        }
    }
    let now = now_of(&entry)?;
    if first_now.is_some_and(|first| first != now) {
        return Err(Unreadable::Damaged("its times come after its records".to_owned()));
    }
    Ok(Entry { now, part: Part { number: entry.part, count: entry.parts }, records })
}

fn now_of(entry: &pb::Entry) -> Result<Now, Unreadable> {
    let wall = Timestamp::from_micros(entry.wall_us);
    let context = Context { now: Now { monotonic: Duration::ZERO, wall }, job: None };
    let monotonic = Duration::read(entry.monotonic.unwrap_or_default(), &context)?;
    Ok(Now { monotonic, wall })
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
