//! Bounds of a request that are checked on its bytes, before it is decoded.
//!
//! An element of a list takes two bytes on the wire and hundreds in memory. So the elements are counted first, and a request
//! with more of them than any valid one has is refused while it takes no more than its own bytes. What is wrong with its
//! values is found after decoding.

mod shape;

use prost::DecodeError;

use crate::error::{Error, Result};
use shape::{Field, Kind, SHAPES, Shape};

/// Requests up to this size are decoded at once, in bytes: what they can grow to is small.
pub(crate) const SCANNED_BYTES_MIN: usize = 1024;
/// Messages inside a request up to this size are not looked into, in bytes; only JSON values are, whatever their size.
const LOOKED_INTO_BYTES_MIN: usize = 64;
/// Deepest nesting of messages; prost decodes no deeper.
const DEPTH_MAX: usize = 100;
/// Memory that JSON values may take to be decoded, in bytes for each byte of the request, and in bytes beside that.
const JSON_MEMORY_FACTOR: usize = 8;
const JSON_MEMORY_FIXED: usize = 16 << 20;
/// Memory of a value in a list, in bytes: its own, and as much that a growing list takes beside.
const LIST_VALUE_BYTES: usize = 64;
/// Memory of an object with a field, in bytes: one node of a tree.
const OBJECT_BYTES: usize = 632;
/// Memory of each field of an object, in bytes: its share of half-full nodes, and its name.
const OBJECT_FIELD_BYTES: usize = 128;

/// Checks the encoded request of this message type: `SubmitRequest`.
///
/// # Errors
///
/// `InvalidField` naming the list that has too many entries, or the JSON that is too large or nested too deep. `Internal`
/// if the bytes are no message.
pub(crate) fn check(name: &str, bytes: &[u8]) -> Result<(), Refusal> {
    let Some(root) = SHAPES.find(name) else { return Ok(()) };
    let mut scan =
        Scan { path: Vec::new(), totals: vec![0; SHAPES.limited()], found: None, json: Json::default() };
    match scan.message(root, bytes, 0) {
        _ if scan.found.is_some() => {}
        Ok(()) => {}
        Err(Stop::Malformed) => return Err(Refusal::Malformed),
        Err(Stop::TooDeep) => {
            let field = scan.json.path.take().unwrap_or_else(|| scan.path_to(None));
            let limit = super::parse::JSON_DEPTH_MAX;
            return Err(Error::invalid(
                field,
                format!("is nested deeper than {limit} levels: send it as text"),
            )
            .into());
        }
    }
    if let Some(error) = scan.found {
        return Err(error.into());
    }
    let memory_max = bytes.len().saturating_mul(JSON_MEMORY_FACTOR).saturating_add(JSON_MEMORY_FIXED);
    let Json { values, memory, path } = scan.json;
    if memory > memory_max {
        let description = format!(
            "holds {values} values that take about {memory} bytes to read, the limit for a request of {} bytes is \
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
    /// It breaks a bound.
    Invalid(Error),
    /// It is no message.
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

/// What was counted so far.
struct Scan {
    /// The fields that lead to the message at hand, with their place if they are lists.
    path: Vec<(&'static str, Option<usize>)>,
    /// Entries of each limited list in the whole request: those of a message that comes twice are merged.
    totals: Vec<usize>,
    found: Option<Error>,
    json: Json,
}

#[derive(Default)]
struct Json {
    values: usize,
    memory: usize,
    /// The newest field with JSON.
    path: Option<String>,
}

impl Scan {
    fn message(&mut self, shape: &'static Shape, mut bytes: &[u8], depth: usize) -> Result<(), Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::TooDeep);
        }
        let mut counts = vec_of_zeros(shape.lists);
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
                // Groups: no message of the API has any.
                _ => return Err(Stop::Malformed),
            };
            let Some(field) = field else { continue };
            let place = field.list.map(|list| {
                let count: &mut usize = &mut counts[list];
                let before = *count;
                *count += entries(field, content);
                before
            });
            if let (Some(content), Kind::Message(inner)) = (content, field.kind) {
                self.inner(field, place, SHAPES.at(inner), content, depth)?;
            }
        }
        self.count(shape, &counts);
        Ok(())
    }

    fn inner(
        &mut self,
        field: &'static Field,
        place: Option<usize>,
        shape: &'static Shape,
        content: &[u8],
        depth: usize,
    ) -> Result<(), Stop> {
        if content.len() <= LOOKED_INTO_BYTES_MIN && !shape.is_json {
            return Ok(());
        }
        if !shape.is_json {
            self.path.push((field.name, place));
            self.message(shape, content, depth + 1)?;
            self.path.pop();
            return Ok(());
        }
        if field.begins_json {
            self.json.path = Some(self.path_to(Some(field.name)));
        }
        self.message(shape, content, depth + 1)
    }

    /// Adds up what a message has of each list.
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
            .map(|(name, place)| place.map_or_else(|| (*name).to_owned(), |place| format!("{name}[{place}]")))
            .collect();
        parts.extend(last.map(str::to_owned));
        parts.join(".")
    }
}

/// Entries of a list in one field of the wire: numbers may come packed.
fn entries(field: &Field, content: Option<&[u8]>) -> usize {
    match (field.kind, content) {
        (Kind::Packed, Some(packed)) => packed.iter().filter(|byte| **byte < 0x80).count(),
        _ => 1,
    }
}

fn vec_of_zeros(lists: usize) -> smallvec::SmallVec<[usize; 4]> {
    smallvec::smallvec![0; lists]
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
