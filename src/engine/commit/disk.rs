//! The log on disk, as what entries go to.

use super::{Cut, Log, Reader};
use crate::error::Result;
use crate::log::Nearness;

impl Log for crate::log::Log {
    fn append(&mut self, entries: &[&[u8]]) -> Result<()> {
        self.append_alone(entries).map(drop)
    }

    fn make_ahead(&mut self) {
        self.make_ahead();
    }

    fn prepare(&mut self) -> Result<bool> {
        self.prepare()
    }

    fn bytes(&self) -> u64 {
        self.segments().map(|segment| segment.bytes).sum()
    }

    fn nearness(&self) -> Nearness {
        self.nearness()
    }

    fn is_bounded(&self) -> bool {
        self.options().bytes_max.is_some()
    }

    fn overdraw(&mut self) {
        self.overdraw();
    }

    fn cuts(&self) -> Vec<Cut> {
        let mut before = 0;
        let cuts = self.segments().map(|segment| {
            let cut =
                Cut { segment: segment.number, sequence: self.first_sequence(segment.number), bytes: before };
            before += segment.bytes;
            cut
        });
        cuts.skip(1).collect()
    }

    fn entry_bytes_max(&self) -> usize {
        self.entry_bytes_max()
    }

    fn trim(&mut self, before: u64) -> Result<()> {
        self.trim(before)
    }

    fn has_room(&self) -> bool {
        self.has_room()
    }

    fn next_sequence(&self) -> u64 {
        self.next_sequence()
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(self.reader())
    }

    fn close(self: Box<Self>) -> Result<()> {
        (*self).close()
    }
}

impl Reader for crate::log::Reader {
    fn read(&self, sequence: u64) -> Result<Option<Vec<u8>>> {
        self.read(sequence)
    }
}
