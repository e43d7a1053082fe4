//! Checks the list lengths and the JSON size of an encoded request before it is decoded.
//!
//! A list element takes as little as two encoded bytes, and hundreds of bytes decoded. The scan counts elements in the
//! encoded bytes, and refuses a request with more than any valid one has. Values are validated after decoding.

mod shape;

use prost::DecodeError;
use smallvec::{SmallVec, smallvec};

use crate::error::{Error, Result};
use crate::job::json_too_deep;
use shape::{Field, Kind, SHAPES, Shape};

/// Smaller requests are decoded without a scan, in bytes: they cannot become large.
pub(crate) const SCANNED_BYTES_MIN: usize = 1024;
/// Nested messages up to this size are not scanned, in bytes. JSON values are always scanned.
const SCANNED_MESSAGE_BYTES_MIN: usize = 64;
/// Deepest nesting of messages; prost decodes no deeper.
const DEPTH_MAX: usize = 100;
/// Most memory of decoded JSON values: a factor of the request size, plus a fixed number of bytes.
const JSON_MEMORY_FACTOR: usize = 8;
const JSON_MEMORY_FIXED: usize = 16 << 20;
/// Memory of a value in a list, in bytes: its size, twice, because a growing list reserves as much again.
const LIST_VALUE_BYTES: usize = 64;
/// Memory of an object with at least one field, in bytes: one B-tree node.
const OBJECT_BYTES: usize = 632;
/// Memory of each field of an object, in bytes: its share of half-full B-tree nodes, and its name.
const OBJECT_FIELD_BYTES: usize = 128;

/// Checks an encoded request. `name` is its message type, for example `SubmitRequest`.
///
/// # Errors
///
/// `Invalid` naming the list with too many entries, or the JSON value that is too large or nested too deep. `Malformed` if
/// the bytes are not a message.
pub(crate) fn check(name: &str, bytes: &[u8]) -> Result<(), Refusal> {
    let Some(root) = SHAPES.find(name) else { return Ok(()) };
    let mut scan =
        Scan { path: Vec::new(), totals: vec![0; SHAPES.limits_count()], found: None, json: Json::default() };
    match scan.message(root, bytes, 0) {
        _ if scan.found.is_some() => {}
        Ok(()) => {}
        Err(Stop::Malformed) => return Err(Refusal::Malformed),
        Err(Stop::TooDeep) => {
            let field = scan.json.path.take().unwrap_or_else(|| scan.path_to(None));
            return Err(Error::invalid(field, json_too_deep()).into());
        }
    }
    if let Some(error) = scan.found {
        return Err(error.into());
    }
    let memory_max = bytes.len().saturating_mul(JSON_MEMORY_FACTOR).saturating_add(JSON_MEMORY_FIXED);
    let Json { values, memory, path } = scan.json;
    if memory > memory_max {
        let description = format!(
            "has {values} values that take about {memory} bytes of memory, the limit for a request of {} bytes is \
             {memory_max}: send it as text",
            bytes.len()
        );
        return Err(Error::invalid(path.unwrap_or_default(), description).into());
    }
    Ok(())
}

/// Why a request is not decoded.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It exceeds a limit.
    Invalid(Error),
    /// Its bytes are not a message.
    Malformed,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

enum Stop {
    Malformed,
    TooDeep,
}

/// The state of a scan.
struct Scan {
    /// The path of the current message: field names, with an index for lists.
    path: Vec<(&'static str, Option<usize>)>,
    /// Entries of each limited list in the whole request. A message that occurs twice is merged by the decoder.
    totals: Vec<usize>,
    found: Option<Error>,
    json: Json,
}

#[derive(Default)]
struct Json {
    values: usize,
    memory: usize,
    /// The last field with a JSON value.
    path: Option<String>,
}

impl Scan {
    fn message(&mut self, shape: &'static Shape, mut bytes: &[u8], depth: usize) -> Result<(), Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::TooDeep);
        }
        let mut counts: SmallVec<[usize; 4]> = smallvec![0; shape.lists];
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            let field = usize::try_from(tag >> 3).ok().and_then(|number| shape.field(number));
            let content = match tag & 7 {
                0 => varint(&mut bytes).map(|_| None)?,
                1 => take(&mut bytes, 8).map(|_| None)?,
                2 => {
                    let length = varint(&mut bytes)?;
                    Some(take(&mut bytes, usize::try_from(length).map_err(|_| Stop::Malformed)?)?)
                }
                5 => take(&mut bytes, 4).map(|_| None)?,
                // Groups: the API has none.
                _ => return Err(Stop::Malformed),
            };
            let Some(field) = field else { continue };
            let index = field.list.map(|list| {
                let count: &mut usize = &mut counts[list];
                let before = *count;
                *count += entries(field, content);
                before
            });
            if let (Some(content), Kind::Message(inner)) = (content, field.kind) {
                self.nested_message(field, index, SHAPES.at(inner), content, depth)?;
            }
        }
        self.count(shape, &counts);
        Ok(())
    }

    fn nested_message(
        &mut self,
        field: &'static Field,
        index: Option<usize>,
        shape: &'static Shape,
        content: &[u8],
        depth: usize,
    ) -> Result<(), Stop> {
        if content.len() <= SCANNED_MESSAGE_BYTES_MIN && !shape.is_json {
            return Ok(());
        }
        if !shape.is_json {
            self.path.push((field.name, index));
            self.message(shape, content, depth + 1)?;
            self.path.pop();
            return Ok(());
        }
        if field.is_json_root {
            self.json.path = Some(self.path_to(Some(field.name)));
        }
        self.message(shape, content, depth + 1)
    }

    /// Adds the list entries of one message to the totals, and checks the limits.
    fn count(&mut self, shape: &'static Shape, counts: &[usize]) {
        for field in shape.lists_of() {
            let count = field.list.map_or(0, |list| counts[list]);
            if shape.is_json {
                self.json.values += count;
                self.json.memory += match field.is_map {
                    true if count > 0 => OBJECT_BYTES + count * OBJECT_FIELD_BYTES,
                    true => 0,
                    false => count * LIST_VALUE_BYTES,
                };
            }
            let Some(limit) = &field.limit else { continue };
            let total = &mut self.totals[limit.id];
            *total += count;
            let total = *total;
            if self.found.is_none() && (count > limit.scanned_max() || total > limit.total_max()) {
                let path = self.path_to(Some(field.name));
                let count = if count > limit.scanned_max() { count } else { total };
                self.found = Some(Error::invalid(path, limit.describe(count)));
            }
        }
    }

    fn path_to(&self, last: Option<&str>) -> String {
        let mut parts: Vec<_> = self
            .path
            .iter()
            .map(|(name, index)| index.map_or_else(|| (*name).to_owned(), |index| format!("{name}[{index}]")))
            .collect();
        parts.extend(last.map(str::to_owned));
        parts.join(".")
    }
}

/// List entries in one encoded field. Numbers may be packed.
fn entries(field: &Field, content: Option<&[u8]>) -> usize {
    match (field.kind, content) {
        (Kind::Packed, Some(packed)) => packed.iter().filter(|byte| **byte < 0x80).count(),
        _ => 1,
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Stop> {
    prost::encoding::decode_varint(bytes).map_err(|_: DecodeError| Stop::Malformed)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Stop> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Stop::Malformed)?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests;
