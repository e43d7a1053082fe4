//! A second core from the records of the first: every job is where it was, but for attempts that ran in the server.

use std::time::Duration;

use super::messages::item_without_messages;
use super::{Machine, entry_number, read_back, reading};
use crate::core::record::Link;
use crate::core::tests::invariants;
use crate::core::{Contents, Core, CoreOptions, Effects, ImageBounds, JobKey, Record, TombstonePlace};
use crate::job::{EventTypes, JobId, JobState, JobView, WatchItem};

impl Machine {
    /// The core that these records make.
    fn relived<'a>(&self, log: impl IntoIterator<Item = &'a Vec<Record>>) -> Core {
        // Attempts that are lost may end their jobs: those must not push others out.
        let (retention_bytes_max, job_bytes_max) = (u64::MAX, u64::MAX);
        let options = CoreOptions { retention_bytes_max, job_bytes_max, ..super::options() };
        let mut core = Core::new(options, [4; 32]);
        for (number, records) in log.into_iter().enumerate() {
            core.write_to(entry_number(number));
            records.iter().for_each(|record| core.replay(record.clone()));
            core.replayed_entry();
        }
        core.resume(self.now, Duration::ZERO, &mut Effects::recording());
        core
    }

    pub(super) fn check_relived(&mut self) {
        let again = self.relived(&self.log);
        self.check_same(again, &self.log);
        // What is there now is as good as all that led to it, and may follow it.
        let image = self.image();
        self.log.extend(image.clone());
        self.core.write_to(entry_number(self.log.len()));
        self.check_same(self.relived(&image), &image);
        let again = self.relived(&self.log);
        self.check_same(again, &self.log);
    }

    /// What is there now, a piece an entry; as it is behind everything else.
    fn image(&mut self) -> Vec<Vec<Record>> {
        let mut image = vec![self.core.image_beside_jobs()];
        let mut from = TombstonePlace::FIRST;
        loop {
            self.core.write_to(entry_number(self.log.len() + image.len()));
            let Some((records, next)) = self.core.tombstone_images(from, None) else { break };
            image.push(records);
            from = next;
        }
        let mut next = Some(0);
        while let Some(from) = next {
            self.core.write_to(entry_number(self.log.len() + image.len()));
            let piece = self.core.images(from, None, ImageBounds { jobs: 3, bytes: 4_000 });
            let mut records = piece.records;
            for place in piece.cold {
                let contents = read_back(&place, &self.log);
                records.extend(self.core.image_of(&place, &contents));
            }
            image.push(records);
            next = piece.next;
        }
        image
    }

    fn check_same(&self, again: Core, log: &[Vec<Record>]) {
        invariants::check(&again);
        assert_eq!(again.job_count(), self.core.job_count());
        let present: Vec<_> = self.model.jobs.iter().filter(|job| job.present).map(|job| job.id).collect();
        for id in present {
            let key = self.core.find(id).expect("present in both");
            match self.ran_in_the_server(key) {
                true => self.check_lost(&again, id),
                false => {
                    let own =
                        reading(&self.core, &self.log, id, |core, _, contents| whole(core, id, contents));
                    assert_eq!(reading(&again, log, id, |core, _, contents| whole(core, id, contents)), own);
                    assert_eq!(cancel(&again, id), cancel(&self.core, id));
                }
            }
        }
        self.check_reports_taken(&again);
        for (name, queue) in &self.core.lanes.queues {
            assert_eq!(again.lanes.queues.get(name).is_some_and(|again| again.paused), queue.paused);
        }
        for id in self.model.expired.keys() {
            assert_eq!(again.find(*id).map_err(super::kind_of), self.core.find(*id).map_err(super::kind_of));
        }
    }

    /// A worker with attempts that go on is not asked again for what it reported.
    fn check_reports_taken(&self, again: &Core) {
        for (key, session) in &self.core.sessions.sessions {
            let Link::Stream(instance) = session.link else { continue };
            let runs = |job: &JobKey| self.core.table[*job].state == JobState::Running;
            let known = again.sessions.of_instance(instance).and_then(|key| again.sessions.get(key));
            assert_eq!(known.is_some(), self.core.held_by(*key).iter().any(runs));
            if let Some(known) = known {
                assert_eq!(known.reports_taken, session.reports_taken);
            }
        }
    }

    fn ran_in_the_server(&self, key: JobKey) -> bool {
        let entry = &self.core.table[key];
        let live = entry.live().filter(|_| entry.state == JobState::Running);
        live.is_some_and(|live| self.core.sessions.get(live.session).is_some_and(|of| of.link == Link::Pool))
    }

    /// An attempt that ran in the server ended with it; nothing before is changed.
    fn check_lost(&self, again: &Core, id: JobId) {
        let (before, after) = (events(&self.core, id, None), events(again, id, None));
        assert_eq!(after.len(), before.len() + 1);
        assert_eq!(after[..before.len()], before);
        let key = again.find(id).expect("it is there");
        assert!(again.table[key].live().is_none());
        assert_ne!(again.table[key].state, JobState::Running);
    }
}

/// Everything that can be seen of a job, but for why it waits: who serves it is another matter now.
fn whole(core: &Core, id: JobId, contents: Option<&Contents>) -> (JobView, Vec<WatchItem>, u64, Option<u32>) {
    let key = core.find(id).expect("it is there");
    let view = JobView { wait_reason: None, ..core.view(key, contents) };
    let entry = &core.table[key];
    let next_attempt = (!entry.state.is_final()).then(|| entry.next_attempt());
    (view, events(core, id, contents), entry.accepted, next_attempt)
}

/// When the attempt that runs is forced to end, and why, if it was cancelled.
fn cancel(core: &Core, id: JobId) -> Option<(Duration, String)> {
    let entry = &core.table[core.find(id).expect("it is there")];
    entry.live().filter(|_| entry.state == JobState::Running)?.cancel.as_deref().cloned()
}

fn events(core: &Core, id: JobId, contents: Option<&Contents>) -> Vec<WatchItem> {
    let mut items = Vec::new();
    core.read_events(
        core.find(id).expect("it is there"),
        contents,
        0,
        EventTypes::ALL,
        usize::MAX,
        &mut items,
    );
    items.into_iter().map(item_without_messages).collect()
}
