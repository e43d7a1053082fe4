//! Bytes of any kind where a log should be: they are read or refused, and never a panic. For `fuzz/` and the tests alone.

use std::time::Duration;

use crate::clock::Now;
use crate::core::{Core, CoreOptions, Effects, SnapshotBounds};
use crate::engine;
use crate::job::Timestamp;
pub use crate::wal::disk::fuzzing::{frames, segment};

/// Most timers that are run of jobs that came out of bytes.
const TIMERS: usize = 1_000;

/// Entries, each behind its length in two bytes: what can be read is read again from what it is written as, and taken in
/// by a core, which then lives on.
pub fn entries(bytes: &[u8]) {
    let mut core = Core::new(CoreOptions::default(), [0; 32]);
    let mut now = Now { monotonic: Duration::ZERO, wall: Timestamp::default() };
    for bytes in parts(bytes) {
        let Ok(entry) = engine::decode(bytes) else { continue };
        let written = encoded(&entry);
        let again = engine::decode(&written).expect("it was written just now");
        // The bytes are compared: what is not a number equals nothing.
        assert_eq!(encoded(&again), written, "it is read as it was written");
        now = entry.now;
        entry.records.into_iter().for_each(|record| core.replay(record));
    }
    let mut effects = Effects { records: Some(Vec::new()), ..Effects::default() };
    core.resume(now, Duration::ZERO, &mut effects);
    core.tick(now, TIMERS, &mut effects);
    let mut next = Some(0);
    while let Some(from) = next {
        next = core.snapshots(from, None, SnapshotBounds { jobs: 3, bytes: 1 << 16 }).next;
    }
}

fn encoded(entry: &engine::Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    engine::encode_part(entry.now, entry.part, &entry.records, &mut bytes);
    bytes
}

/// The parts behind lengths; the last may be shorter than its length says.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (part, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        bytes = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Inputs made of each seed.
    const INPUTS: usize = 400;

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// Changes a few places: bits, bytes, parts that are cut out, doubled, or taken from another seed.
    fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
        for _ in 0..random.random_range(1..5) {
            let at = random.random_range(0..=bytes.len().saturating_sub(1));
            let end = bytes.len().min(at + random.random_range(1..40));
            match random.random_range(0..6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
                1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
                2 => drop(bytes.drain(at..end)),
                3 => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
                4 => {
                    let from = random.random_range(0..=other.len());
                    let to = other.len().min(from + random.random_range(1..40));
                    bytes.splice(at..end, other[from..to].iter().copied()).for_each(drop);
                }
                _ => bytes.truncate(end),
            }
        }
    }

    fn feed(target: &str, eat: fn(&[u8])) {
        let seeds = seeds(target);
        assert!(!seeds.is_empty());
        let mut random = StdRng::seed_from_u64(1);
        for seed in &seeds {
            eat(seed);
            for _ in 0..INPUTS {
                let mut bytes = seed.clone();
                change(&mut bytes, &seeds[random.random_range(0..seeds.len())], &mut random);
                eat(&bytes);
            }
        }
    }

    #[test]
    fn entries_of_any_bytes_are_read_or_refused() {
        feed("entries", entries);
    }

    #[test]
    fn segments_of_any_bytes_are_read_or_refused() {
        feed("segment", segment);
    }

    #[test]
    fn frames_of_any_kind_and_order_are_read_or_refused() {
        feed("frames", frames);
    }

    #[test]
    fn bytes_fall_into_parts_behind_their_lengths() {
        let found: Vec<_> = parts(&[1, 0, 7, 0, 0, 9, 0, 8]).collect();
        assert_eq!(found, [&[7][..], &[], &[8]]);
        assert_eq!(parts(&[1]).count(), 0);
    }
}
