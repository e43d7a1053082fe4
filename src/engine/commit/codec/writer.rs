//! Encodes values as messages of the schema without creating the messages: payloads and texts are copied once, into the entry.
//!
//! Each message is preceded by its length, so an entry is written twice: first to [`Lengths`], then to [`Output`].

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::slice;

use prost::encoding::{WireType, encode_varint, encoded_len_varint};
use smallvec::SmallVec;

use super::context::Context;
use super::schema as pb;

include!(concat!(env!("OUT_DIR"), "/jobstream.store.v1.writers.rs"));

/// Messages of an entry whose lengths fit on the stack: enough for most commands.
const MESSAGES_ON_STACK: usize = 32;

/// A type that is written as the message `M`.
pub(super) trait Write<M> {
    /// Appends the fields in the order of their numbers.
    fn write<S: Sink>(&self, to: &mut Writer<'_, M, S>);
}

/// Appends the fields of one message `M`, each by the method with its name. A field with its default value is left out, unless
/// it has presence.
pub(super) struct Writer<'a, M, S> {
    sink: &'a mut S,
    pub(super) context: &'a Context,
    message: PhantomData<M>,
}

/// A destination of encoded fields.
pub(super) trait Sink {
    fn put_varint(&mut self, number: u64);

    fn put_slice(&mut self, bytes: &[u8]);

    /// Appends what `write` appends, after its length.
    fn put_delimited(&mut self, write: impl FnOnce(&mut Self));
}

/// Measures an entry and its messages.
#[derive(Default)]
pub(super) struct Lengths {
    pub(super) bytes: usize,
    messages: SmallVec<[usize; MESSAGES_ON_STACK]>,
}

/// Appends the bytes of an entry to a buffer.
pub(super) struct Output<'a> {
    buffer: &'a mut Vec<u8>,
    messages: slice::Iter<'a, usize>,
}

impl Sink for Lengths {
    fn put_varint(&mut self, number: u64) {
        self.bytes += encoded_len_varint(number);
    }

    fn put_slice(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
    }

    fn put_delimited(&mut self, write: impl FnOnce(&mut Self)) {
        let (index, begin) = (self.messages.len(), self.bytes);
        self.messages.push(0);
        write(self);
        let length = self.bytes - begin;
        self.messages[index] = length;
        self.put_varint(length as u64);
    }
}

impl<'a> Output<'a> {
    /// An output for an entry that was written to `lengths` before.
    pub(super) fn new(buffer: &'a mut Vec<u8>, lengths: &'a Lengths) -> Self {
        buffer.reserve(lengths.bytes);
        Self { buffer, messages: lengths.messages.iter() }
    }
}

impl Sink for Output<'_> {
    fn put_varint(&mut self, number: u64) {
        encode_varint(number, self.buffer);
    }

    fn put_slice(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn put_delimited(&mut self, write: impl FnOnce(&mut Self)) {
        let length = self.messages.next().expect("the same entry was written to the lengths");
        self.put_varint(*length as u64);
        write(self);
    }
}

impl<'a, M, S: Sink> Writer<'a, M, S> {
    pub(super) fn new(sink: &'a mut S, context: &'a Context) -> Self {
        Self { sink, context, message: PhantomData }
    }

    fn put_key(&mut self, number: u32, wire_type: WireType) {
        self.sink.put_varint(u64::from(number << 3 | wire_type as u32));
    }

    fn put_number(&mut self, number: u32, value: impl Into<u64>) {
        let value = value.into();
        if value != 0 {
            self.put_key(number, WireType::Varint);
            self.sink.put_varint(value);
        }
    }

    fn put_enum(&mut self, number: u32, value: i32) {
        self.put_number(number, value as u64);
    }

    fn put_sint32(&mut self, number: u32, value: i32) {
        self.put_number(number, ((value << 1) ^ (value >> 31)) as u32);
    }

    fn put_optional_fixed64(&mut self, number: u32, bits: Option<u64>) {
        if let Some(bits) = bits {
            self.put_key(number, WireType::SixtyFourBit);
            self.sink.put_slice(&bits.to_le_bytes());
        }
    }

    fn put_fixed64(&mut self, number: u32, bits: u64) {
        self.put_optional_fixed64(number, Some(bits).filter(|bits| *bits != 0));
    }

    fn put_optional_sfixed64(&mut self, number: u32, value: Option<i64>) {
        self.put_optional_fixed64(number, value.map(i64::cast_unsigned));
    }

    fn put_sfixed64(&mut self, number: u32, value: i64) {
        self.put_fixed64(number, value.cast_unsigned());
    }

    fn put_optional_double(&mut self, number: u32, value: Option<f64>) {
        self.put_optional_fixed64(number, value.map(f64::to_bits));
    }

    fn put_double(&mut self, number: u32, value: f64) {
        self.put_optional_double(number, Some(value).filter(|value| *value != 0.0));
    }

    fn put_bytes(&mut self, number: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.put_key(number, WireType::LengthDelimited);
            self.sink.put_varint(bytes.len() as u64);
            self.sink.put_slice(bytes);
        }
    }

    fn put_string(&mut self, number: u32, text: &str) {
        self.put_bytes(number, text.as_bytes());
    }

    fn put_message<N>(&mut self, number: u32, value: Option<&impl Write<N>>) {
        if let Some(value) = value {
            self.put_key(number, WireType::LengthDelimited);
            let context = self.context;
            self.sink.put_delimited(|sink| value.write(&mut Writer::new(sink, context)));
        }
    }

    fn put_map(&mut self, number: u32, map: &BTreeMap<String, String>) {
        for pair in map {
            self.put_message(number, Some(&pair));
        }
    }

    fn put_packed(&mut self, number: u32, values: &[u32]) {
        if !values.is_empty() {
            self.put_key(number, WireType::LengthDelimited);
            self.sink
                .put_delimited(|sink| values.iter().for_each(|value| sink.put_varint(u64::from(*value))));
        }
    }
}

/// An entry of a map.
struct Pair;

impl Write<Pair> for (&String, &String) {
    fn write<S: Sink>(&self, to: &mut Writer<'_, Pair, S>) {
        to.put_string(1, self.0);
        to.put_string(2, self.1);
    }
}
