//! Arbitrary bytes in place of a log never cause a panic.

use proptest::prelude::*;

use super::*;

fn verify_and_open(disk: &Disk) {
    readable(disk).ok();
    open(disk).ok();
    // If the first open succeeded, the next one does too.
    open(disk).ok();
}

fn grown_log() -> Disk {
    let (disk, mut log) = new_log();
    for number in 0..20 {
        log.append_and_preallocate(&entries(3 * number..3 * number + 3, 40 * number % 300)).unwrap();
    }
    log.trim(2).unwrap();
    log.append_and_preallocate(&entries(60..70, 33)).unwrap();
    disk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let disk = Disk::default();
        disk.put(&segment_name(1), bytes.clone());
        verify_and_open(&disk);
        format::FrameHeader::decode(&bytes, LOG_ID);
        // After a valid header.
        let mut segment = new_log().0.bytes(&segment_name(1));
        let length = bytes.len().min(4096);
        segment[4096..4096 + length].copy_from_slice(&bytes[..length]);
        disk.change(&segment_name(1), |file| *file = segment);
        verify_and_open(&disk);
    }

    #[test]
    fn a_log_with_changed_bytes_is_read_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..8192_usize, any::<u64>(), 1..9_usize), 1..8),
        whole_header in any::<bool>(),
    ) {
        let disk = grown_log();
        let names: Vec<_> = disk.names().into_iter().filter(|name| name.starts_with("segment")).collect();
        for (name, at, value, length) in changes {
            disk.change(&names[name.index(names.len())], |bytes| {
                let at = at.min(bytes.len() - 8);
                bytes[at..at + length.min(8)].copy_from_slice(&value.to_le_bytes()[..length.min(8)]);
                if whole_header {
                    // Wrong fields with a matching CRC.
                    let crc = crc32c::crc32c(&bytes[..60]);
                    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
                }
            });
        }
        verify_and_open(&disk);
    }

    #[test]
    fn frames_in_any_order_are_read_without_a_panic(
        frames in prop::collection::vec((0..3_u8, 0..4_u64, 0..6_u64, any::<u8>(), 0..50_usize), 0..40),
    ) {
        let (disk, log) = new_log();
        drop(log);
        let mut bytes = Vec::new();
        for (kind, segment, sequence, synced, length) in frames {
            let kind = [FrameKind::Entry, FrameKind::Mark, FrameKind::Seal][usize::from(kind)];
            let synced = if synced > 250 { u64::MAX } else { u64::from(synced % 6) };
            let stamp = Stamp { log_id: LOG_ID, segment, synced };
            stamp.encode(&mut bytes, kind, if synced > 9 { u64::MAX } else { sequence }, &vec![9; length]);
        }
        disk.change(&segment_name(1), |file| file[4096..4096 + bytes.len().min(4096)].copy_from_slice(&bytes[..bytes.len().min(4096)]));
        verify_and_open(&disk);
    }
}
