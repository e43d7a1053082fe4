//! Fuzz targets: segments of any bytes, on a simulated disk.

use std::sync::Arc;

use super::format::{FrameKind, HEADER_BYTES, Stamp};
use super::inspect::survey;
use super::names::segment_name;
use super::simulated::Disk;
use super::{Options, Position, SEGMENT_BYTES_MIN, recovery};
use crate::error::Result;

const LOG_ID: u64 = 0x1122_3344_5566_7788;

/// Opens a log whose only segment has these bytes after its header.
pub fn segment(bytes: &[u8]) {
    let Ok(disk) = new_disk() else { return };
    disk.change(&segment_name(1), |file| {
        let length = bytes.len().min(file.len() - HEADER_BYTES as usize);
        file[HEADER_BYTES as usize..][..length].copy_from_slice(&bytes[..length]);
    });
    open_again(&disk);
    // And in place of its header.
    let disk = Disk::default();
    disk.put(&segment_name(1), bytes.to_vec());
    open_again(&disk);
}

/// Opens a log whose only segment has intact frames of any kind and order. Each is made of five bytes and its payload.
pub fn frames(mut bytes: &[u8]) {
    let mut file = Vec::new();
    while let Some(([kind, segment, sequence, synced, length], rest)) = bytes.split_first_chunk() {
        let (payload, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let kind = [FrameKind::Entry, FrameKind::Mark, FrameKind::Seal][usize::from(kind % 3)];
        let number = |byte: &u8| if *byte > 250 { u64::MAX } else { u64::from(*byte) };
        let stamp = Stamp { log_id: LOG_ID, segment: number(segment), synced: number(synced) };
        stamp.encode(&mut file, kind, number(sequence), payload);
        bytes = rest;
    }
    segment(&file);
}

fn new_disk() -> Result<Disk> {
    let disk = Disk::default();
    recovery::open(Arc::new(disk.clone()), &options(), LOG_ID, &mut |_, _, _| Ok(()))?;
    Ok(disk)
}

fn options() -> Options {
    Options { segment_bytes: SEGMENT_BYTES_MIN, reserve_bytes: 1024, ..Options::default() }
}

/// Inspects a log and opens it twice: all three must read the same entries.
fn open_again(disk: &Disk) {
    let mut inspected = Vec::new();
    let report = survey(disk, &mut |_, _, entry| {
        inspected.push(entry.to_vec());
        Ok(())
    });
    let Some(first) = open(disk) else { return };
    if report.is_ok_and(|report| report.damages.is_empty()) {
        assert_eq!(first, inspected, "recovery and inspection read the same entries");
    }
    assert_eq!(open(disk), Some(first), "a log that was opened once can be opened again");
}

fn open(disk: &Disk) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    let mut collect = |_: Position, _: u64, entry: &[u8]| {
        entries.push(entry.to_vec());
        Ok(())
    };
    recovery::open(Arc::new(disk.clone()), &options(), LOG_ID, &mut collect).ok().map(|_| entries)
}
