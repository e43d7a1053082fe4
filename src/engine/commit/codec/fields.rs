//! The fields of a protobuf message, written one after the other: prost's encoding, without a message to be made first.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

/// Appends the fields of one message. As protobuf has it, one that has the default of its type is left out.
pub(super) struct Fields<'a>(&'a mut Vec<u8>);

impl<'a> Fields<'a> {
    pub(super) fn of(buffer: &'a mut Vec<u8>) -> Self {
        Self(buffer)
    }

    #[inline]
    fn key(&mut self, tag: u32, wire: WireType) {
        self.varint(u64::from(tag << 3 | wire as u32));
    }

    #[inline]
    fn varint(&mut self, number: u64) {
        if number < 0x80 { self.0.push(number as u8) } else { self.long_varint(number) }
    }

    fn long_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(super) fn number(&mut self, tag: u32, number: impl Into<u64>) {
        let number = number.into();
        if number != 0 {
            self.key(tag, WireType::Varint);
            self.varint(number);
        }
    }

    pub(super) fn signed(&mut self, tag: u32, number: i32) {
        self.number(tag, ((number << 1) ^ (number >> 31)) as u32);
    }

    pub(super) fn fixed(&mut self, tag: u32, bits: u64) {
        if bits != 0 {
            self.fixed_always(tag, bits);
        }
    }

    /// One that may be missing, and so is written whatever it is.
    pub(super) fn fixed_always(&mut self, tag: u32, bits: u64) {
        self.key(tag, WireType::SixtyFourBit);
        self.0.extend_from_slice(&bits.to_le_bytes());
    }

    pub(super) fn real(&mut self, tag: u32, number: f64) {
        self.fixed(tag, if number == 0.0 { 0 } else { number.to_bits() });
    }

    pub(super) fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.key(tag, WireType::LengthDelimited);
            self.varint(bytes.len() as u64);
            self.0.extend_from_slice(bytes);
        }
    }

    pub(super) fn text(&mut self, tag: u32, text: &str) {
        self.bytes(tag, text.as_bytes());
    }

    /// A message, also one without any fields.
    pub(super) fn message(&mut self, tag: u32, write: impl FnOnce(&mut Fields<'_>)) {
        self.large(tag, 0, write);
    }

    /// A message of about this many bytes: its length stands before it and takes room that is best known in advance.
    pub(super) fn large(&mut self, tag: u32, about: usize, write: impl FnOnce(&mut Fields<'_>)) {
        self.key(tag, WireType::LengthDelimited);
        let at = self.0.len();
        let begin = at + encoded_len_varint(about as u64);
        self.varint(0);
        if begin > at + 1 {
            self.0.resize(begin, 0);
        }
        write(&mut Fields(self.0));
        match self.0.len() - begin {
            length @ 0..0x80 if begin == at + 1 => self.0[at] = length as u8,
            length => self.put_length(at, begin, length),
        }
    }

    /// Writes the length of what begins there at this place, and moves it if that takes more or less room.
    fn put_length(&mut self, at: usize, begin: usize, length: usize) {
        let (end, needed) = (self.0.len(), encoded_len_varint(length as u64));
        if at + needed != begin {
            let moved_end = at + needed + length;
            self.0.resize(end.max(moved_end), 0);
            self.0.copy_within(begin..end, at + needed);
            self.0.truncate(moved_end);
        }
        encode_varint(length as u64, &mut &mut self.0[at..at + needed]);
    }

    pub(super) fn wide(&mut self, tag: u32, bits: u128) {
        self.message(tag, |wide| {
            wide.fixed(1, (bits >> u64::BITS) as u64);
            wide.fixed(2, bits as u64);
        });
    }

    pub(super) fn span(&mut self, tag: u32, span: Duration) {
        self.message(tag, |fields| {
            fields.number(1, span.as_secs());
            fields.number(2, span.subsec_nanos());
        });
    }

    pub(super) fn pairs(&mut self, tag: u32, pairs: &BTreeMap<String, String>) {
        for (key, value) in pairs {
            self.message(tag, |pair| {
                pair.text(1, key);
                pair.text(2, value);
            });
        }
    }

    pub(super) fn packed(&mut self, tag: u32, numbers: &[u32]) {
        if !numbers.is_empty() {
            self.message(tag, |packed| numbers.iter().for_each(|number| packed.varint(u64::from(*number))));
        }
    }
}
