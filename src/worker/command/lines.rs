//! Cuts a stream of bytes into lines of bounded length. Holds at most one line; does no input or output.

use std::borrow::Cow;
use std::io::BufRead;

/// Finds lines across chunks. What it returns, joined, is exactly what went in.
#[derive(Debug)]
pub(super) struct LineSplitter {
    pending: Vec<u8>,
    bytes_max: usize,
}

impl LineSplitter {
    /// Lines of at most `bytes_max` bytes, their ending included; longer ones come in pieces.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { pending: Vec::new(), bytes_max: bytes_max.max(1) }
    }

    /// Takes the next line, with its ending, off the front of `chunk`; `None` once all of it is taken and
    /// what remains waits for more. A piece of a long line has no ending and stops short of a split UTF-8
    /// character.
    pub(super) fn next<'a>(&mut self, chunk: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let room = self.bytes_max - self.pending.len();
        let take = line_len(&chunk[..chunk.len().min(room)]);
        let (front, rest) = chunk.split_at(take);
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
        let cut = match self.pending.len() - incomplete_tail(&self.pending) {
            0 => self.pending.len(),
            whole => whole,
        };
        let held_back = self.pending.split_off(cut);
        Some(Cow::Owned(std::mem::replace(&mut self.pending, held_back)))
    }

    /// What came after the last line ending, if anything did.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        Some(std::mem::take(&mut self.pending)).filter(|rest| !rest.is_empty())
    }
}

/// Bytes up to and including the first newline, or all of them.
fn line_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    // The standard library searches a word at a time here; a plain loop costs seconds on gigabytes of output.
    rest.skip_until(b'\n').expect("reading from memory does not fail")
}

/// How many bytes at the end begin a UTF-8 character without completing it.
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
    fn long_lines_come_in_pieces() {
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
