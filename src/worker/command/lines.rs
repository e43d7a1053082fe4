//! Splits a byte stream into lines of bounded length. Buffers at most one line and does no I/O.

use std::borrow::Cow;
use std::io::BufRead;

/// Splits lines across chunks. The concatenation of its output is its input.
#[derive(Debug)]
pub(super) struct LineSplitter {
    pending: Vec<u8>,
    bytes_max: usize,
}

impl LineSplitter {
    /// Creates a splitter for lines of at most `bytes_max` bytes with their ending. Longer lines are split into pieces.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { pending: Vec::new(), bytes_max: bytes_max.max(1) }
    }

    /// Removes the next line, with its ending, from the front of `chunk`. Returns `None` once the chunk is consumed; an
    /// incomplete line is buffered. A piece of a long line has no ending and does not split a UTF-8 character.
    pub(super) fn next<'a>(&mut self, chunk: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let capacity = self.bytes_max - self.pending.len();
        let len = line_len(&chunk[..chunk.len().min(capacity)]);
        let (front, rest) = chunk.split_at(len);
        *chunk = rest;
        if self.pending.is_empty() && front.ends_with(b"\n") {
            return Some(Cow::Borrowed(front));
        }
        self.pending.extend_from_slice(front);
        if self.pending.ends_with(b"\n") {
            return Some(Cow::Owned(std::mem::take(&mut self.pending)));
        }
        if self.pending.len() < self.bytes_max {
            return None;
        }
        let piece_len = match self.pending.len() - incomplete_tail(&self.pending) {
            0 => self.pending.len(),
            len => len,
        };
        let remainder = self.pending.split_off(piece_len);
        Some(Cow::Owned(std::mem::replace(&mut self.pending, remainder)))
    }

    /// The bytes after the last line ending, if there are any.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        Some(std::mem::take(&mut self.pending)).filter(|rest| !rest.is_empty())
    }
}

/// The number of bytes up to and including the first newline, or of all bytes.
fn line_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    // `skip_until` searches a word at a time. A byte loop costs seconds for gigabytes of output.
    rest.skip_until(b'\n').expect("reading from memory does not fail")
}

/// The number of bytes of an incomplete UTF-8 character at the end.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for (distance, byte) in bytes.iter().rev().take(3).enumerate() {
        let width = match byte {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if width > distance + 1 { distance + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]], bytes_max: usize) -> Vec<String> {
        let mut splitter = LineSplitter::new(bytes_max);
        let mut lines = Vec::new();
        for chunk in chunks {
            let mut chunk = *chunk;
            while let Some(line) = splitter.next(&mut chunk) {
                lines.push(line.into_owned());
            }
            assert!(chunk.is_empty());
        }
        lines.extend(splitter.finish());
        lines.into_iter().map(|line| String::from_utf8(line).expect("lines end between characters")).collect()
    }

    #[test]
    fn lines_are_found_across_chunks() {
        assert_eq!(split(&[b"a\nbc", b"d\n\n", b"e"], 100), ["a\n", "bcd\n", "\n", "e"]);
        assert_eq!(split(&[b"", b"a\n", b""], 100), ["a\n"]);
    }

    #[test]
    fn long_lines_are_split_into_pieces() {
        assert_eq!(split(&[b"abcdefgh\nij\n"], 3), ["abc", "def", "gh\n", "ij\n"]);
        assert_eq!(split(&[b"ab", b"cd", b"e\n"], 4), ["abcd", "e\n"]);
        assert_eq!(split(&[b"abc\n"], 4), ["abc\n"]);
    }

    #[test]
    fn pieces_end_between_characters() {
        assert_eq!(split(&["aé€😀z".as_bytes()], 4), ["aé", "€", "😀", "z"]);
    }

    #[test]
    fn a_limit_below_one_character_still_makes_progress() {
        let mut splitter = LineSplitter::new(1);
        let mut chunk = "€".as_bytes();
        let mut joined = Vec::new();
        while let Some(piece) = splitter.next(&mut chunk) {
            joined.extend_from_slice(&piece);
        }
        assert_eq!(joined, "€".as_bytes());
    }
}
