//! The encoding of entries: an entry is a message of `proto/jobstream/store/v1/record.proto` with the records of one command.
//!
//! Unknown fields are ignored. An unknown record, event or value of an enumeration is an error: without it, a job would be
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
use crate::core::{Record, StateChanged};
use crate::job::{EventBody, Failure, Outcome, StateChange, Timestamp};
use schema as pb;
use values::Read;
use writer::{Lengths, Output, Sink, Writer};

/// Most bytes of an entry's header, and of a record beside its payload: names, labels, headers and texts have limits.
pub(super) const AROUND_PAYLOAD_BYTES: usize = 64 << 10;

/// The number of an entry among the entries of its command, from 1, and their count; both 0 if it is the only one. A command
/// without its last entry was never acknowledged and is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub(crate) number: u32,
    pub(crate) count: u32,
}

/// The records of a command, or a part of them, and the time of the command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) now: Now,
    pub(crate) part: Part,
    pub(crate) records: Vec<Record>,
}

/// Why an entry cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A newer version wrote it, with this unknown value.
    Newer(String),
    /// It is no entry, or a field is missing.
    Damaged(String),
}

/// Appends the only entry of a command to the buffer.
#[cfg(test)]
pub(crate) fn encode(now: Now, records: &[Record], buffer: &mut Vec<u8>) {
    encode_part(now, Part::default(), records, buffer);
}

/// Appends one of several entries of a command to the buffer.
pub(crate) fn encode_part(now: Now, part: Part, records: &[Record], buffer: &mut Vec<u8>) {
    let mut lengths = Lengths::default();
    write(now, part, records, &mut lengths);
    write(now, part, records, &mut Output::new(buffer, &lengths));
}

/// Whether an entry with these records, or a part of it, has at most so many bytes. Only records with large payloads are
/// measured.
pub(super) fn fits(now: Now, records: &[Record], bytes_max: usize) -> bool {
    let payload_bytes: usize = records.iter().map(payload_bytes).sum();
    payload_bytes + (1 + records.len()) * AROUND_PAYLOAD_BYTES <= bytes_max || {
        let mut lengths = Lengths::default();
        write(now, Part { number: u32::MAX, count: u32::MAX }, records, &mut lengths);
        lengths.bytes <= bytes_max
    }
}

/// Bytes of the payloads in a record.
fn payload_bytes(record: &Record) -> usize {
    let event = match record {
        Record::Accepted(accepted) => return accepted.job.payload.bytes.len(),
        Record::StateChanged(StateChanged { event, .. }) | Record::Reported(_, event) => event,
        _ => return 0,
    };
    let details = |failure: &Failure| failure.details.as_ref().map_or(0, |details| details.bytes.len());
    match &event.body {
        EventBody::State(StateChange { failure, outcome, .. }) => {
            let outcome = match outcome {
                Some(Outcome::Result(result)) => result.bytes.len(),
                Some(Outcome::Failure(failure)) => details(failure),
                Some(Outcome::Cancellation(_)) | None => 0,
            };
            outcome + failure.as_deref().map_or(0, details)
        }
        EventBody::Output(output) => output.payload.bytes.len(),
        EventBody::Progress(_) | EventBody::Log(_) => 0,
    }
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

/// Decodes an entry. Each payload is copied once.
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
