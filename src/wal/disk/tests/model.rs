//! Random operations and crashes: recovery returns a prefix of the appended entries, with all
//! acknowledged ones.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

struct Simulation {
    disk: Disk,
    log: Option<DiskLog>,
    rng: StdRng,
    /// All appended entries that recovery has not truncated, acknowledged or not.
    all: Entries,
    acknowledged: usize,
    /// Segment numbers, and the index in `all` of the first entry of each.
    firsts: Vec<(u64, usize)>,
    /// The highest argument of a trim, also of a failed one.
    trimmed_to: u64,
    positions: Vec<(Position, usize)>,
    next: usize,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let disk = Disk::default();
        let log = open(&disk).unwrap().0;
        Self {
            disk,
            log: Some(log),
            rng: StdRng::seed_from_u64(seed),
            all: Vec::new(),
            acknowledged: 0,
            firsts: Vec::new(),
            trimmed_to: 1,
            positions: Vec::new(),
            next: 0,
        }
    }

    fn batch(&mut self) -> Entries {
        let count_max = if self.rng.random_bool(0.1) { 40 } else { 4 };
        let count = self.rng.random_range(1..=count_max);
        let mut batch = Vec::new();
        for _ in 0..count {
            self.next += 1;
            // Equal sizes align frames with stale ones in a recycled file.
            let bytes = [24, 24, 24, 56, 104, self.rng.random_range(0..900)][self.rng.random_range(0..6)];
            let mut entry = entry(self.next, bytes);
            if self.rng.random_bool(0.1) {
                // A payload that contains a forged frame of the next entry.
                let (segment, synced) = (self.rng.random_range(1..5), self.next as u64 + 1);
                let stamp = Stamp { log_id: 0, segment, synced };
                stamp.encode(&mut entry, FrameKind::Entry, self.next as u64 + 1, b"forged");
            }
            batch.push(entry);
        }
        batch
    }

    fn append(&mut self) {
        let batch = self.batch();
        let start = self.all.len();
        self.all.extend(batch.iter().cloned());
        let log = self.log.as_mut().unwrap();
        if let Ok(positions) = log.append_and_preallocate(&batch) {
            self.acknowledged = self.all.len();
            for (index, position) in positions.into_iter().enumerate() {
                if self.firsts.last().is_none_or(|&(segment, _)| segment < position.segment) {
                    self.firsts.push((position.segment, start + index));
                }
                self.positions.push((position, start + index));
            }
        } else {
            // Neither this batch nor a later one is acknowledged.
            let error = log.append_and_preallocate(&[b"more"]).unwrap_err();
            assert_eq!(log.append_and_preallocate(&[b"more"]).unwrap_err(), error);
        }
    }

    fn trim(&mut self) {
        let log = self.log.as_mut().unwrap();
        let (first, last) = (log.segments().next().unwrap().number, log.segments().last().unwrap().number);
        let before = self.rng.random_range(first..=last);
        // A failed trim may have an effect.
        self.trimmed_to = self.trimmed_to.max(before);
        log.trim(before).ok();
    }

    fn read(&mut self) {
        let held = self.log.as_ref().unwrap().segments().next().unwrap().number;
        self.positions.retain(|(position, _)| position.segment >= held);
        if self.positions.is_empty() {
            return;
        }
        let (_, index) = self.positions[self.rng.random_range(0..self.positions.len())];
        let sequence = index as u64 + 1;
        let read = self.log.as_ref().unwrap().reader().read(sequence).unwrap();
        assert_eq!(read.as_ref(), Some(&self.all[index]));
    }

    /// Makes a random call of an operation fail, and restarts.
    fn interrupt(&mut self) {
        self.disk.fail_at(self.rng.random_range(0..12), EIO);
        if self.rng.random_bool(0.3) {
            self.trim();
        } else {
            self.append();
        }
        self.restart();
    }

    fn restart(&mut self) {
        let log = self.log.take().unwrap();
        let is_closed = match self.rng.random_bool(0.2) {
            true => log.close().is_ok(),
            false => {
                drop(log);
                false
            }
        };
        self.disk.calls();
        let unsynced = match self.rng.random_range(0..6) {
            0 => None,
            1 => Some(Survives::Nothing),
            2 => Some(Survives::All),
            _ => Some(Survives::Some(self.rng.random())),
        };
        if let Some(unsynced) = unsynced {
            self.disk.crash(unsynced);
        }
        let (_, report) = readable(&self.disk).unwrap();
        assert_eq!(report.damages, []);
        // An interrupted recovery is followed by another one.
        for _ in 0..self.rng.random_range(0..2) {
            self.disk.fail_at(self.rng.random_range(0..20), EIO);
            drop(open(&self.disk));
            self.disk.calls();
            self.disk.crash(Survives::Some(self.rng.random()));
        }
        let (log, recovered, recovery) = open(&self.disk).unwrap();
        assert!(recovery.was_closed || !is_closed);
        self.check(&recovered);
        self.log = Some(log);
    }

    fn check(&mut self, recovered: &Entries) {
        let trimmed = self.firsts.iter().rfind(|&&(segment, _)| segment <= self.trimmed_to);
        let begin_max = trimmed.map_or(0, |&(_, first)| first);
        let end = (self.acknowledged..=self.all.len()).rev().find(|&end| {
            recovered.len() <= end
                && end - recovered.len() <= begin_max.max(self.acknowledged)
                && self.all[end - recovered.len()..end] == recovered[..]
        });
        let end = end.unwrap_or_else(|| panic!("recovered {} of {}", recovered.len(), self.all.len()));
        let begin = end - recovered.len();
        assert!(begin <= begin_max || recovered.is_empty(), "begins with {begin}, trimmed up to {begin_max}");
        assert!(!recovered.is_empty() || self.trimmed_to > 1 || self.acknowledged == 0);
        self.all.truncate(end);
        // Recovered entries count as acknowledged.
        self.acknowledged = end;
        self.positions.clear();
    }
}

fn simulate(seed: u64, steps: usize) {
    let mut simulation = Simulation::new(seed);
    for _ in 0..steps {
        match simulation.rng.random_range(0..20) {
            0..=11 => simulation.append(),
            12 => simulation.trim(),
            13..=15 => simulation.read(),
            16 => drop(simulation.log.as_mut().unwrap().prepare()),
            17 => simulation.restart(),
            _ => simulation.interrupt(),
        }
    }
    simulation.restart();
}

#[test]
fn crashes_lose_no_acknowledged_entries() {
    for seed in 0..150 {
        println!("seed {seed}");
        simulate(seed, 60);
    }
}
