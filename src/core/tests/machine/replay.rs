//! Replay of the records into a second core. Every job is restored, except for attempts of the in-process pool.

use std::time::Duration;

use super::messages::item_without_messages;
use super::{Machine, entry_number, load_contents, read_with_contents};
use crate::core::record::Link;
use crate::core::tests::invariants;
use crate::core::{
    Cancel, Contents, Core, CoreOptions, Effects, JobKey, Record, SnapshotBounds, TombstoneCursor,
};
use crate::job::{EventTypes, JobId, JobState, JobView, WatchItem};

impl Machine {
    /// Replays records into a new core.
    fn replayed<'a>(&self, log: impl IntoIterator<Item = &'a Vec<Record>>) -> Core {
        // Lost attempts may end their jobs. Those must not cause the removal of others.
        let (retention_bytes_max, job_bytes_max) = (u64::MAX, u64::MAX);
        let options = CoreOptions { retention_bytes_max, job_bytes_max, ..super::options() };
        let mut core = Core::new(options, [4; 32]);
        for (number, records) in log.into_iter().enumerate() {
            core.set_log_entry(entry_number(number));
            records.iter().for_each(|record| core.replay(record.clone()));
            core.evict_replayed();
        }
        core.resume(self.now, Duration::ZERO, &mut Effects::recording());
        core
    }

    pub(super) fn check_replay(&mut self) {
        let again = self.replayed(&self.log);
        self.check_equal(again, &self.log);
        // A snapshot replaces all earlier records, and may also follow them.
        let snapshot = self.snapshot();
        self.log.extend(snapshot.clone());
        self.core.set_log_entry(entry_number(self.log.len()));
        self.check_equal(self.replayed(&snapshot), &snapshot);
        let again = self.replayed(&self.log);
        self.check_equal(again, &self.log);
    }

    /// Returns a snapshot of the core, as entries at the end of the log.
    fn snapshot(&mut self) -> Vec<Vec<Record>> {
        let mut snapshot = vec![self.core.snapshot_globals()];
        let mut from = TombstoneCursor::FIRST;
        loop {
            self.core.set_log_entry(entry_number(self.log.len() + snapshot.len()));
            let Some((records, next)) = self.core.tombstone_snapshots(from, None) else { break };
            snapshot.push(records);
            from = next;
        }
        let mut next = Some(0);
        while let Some(from) = next {
            self.core.set_log_entry(entry_number(self.log.len() + snapshot.len()));
            let piece = self.core.snapshots(from, None, SnapshotBounds { jobs: 3, bytes: 4_000 });
            let mut records = piece.records;
            for place in piece.evicted {
                let contents = load_contents(&place, &self.log);
                records.extend(self.core.snapshot_loaded(&place, &contents));
            }
            snapshot.push(records);
            next = piece.next;
        }
        snapshot
    }

    fn check_equal(&self, again: Core, log: &[Vec<Record>]) {
        invariants::check(&again);
        assert_eq!(again.job_count(), self.core.job_count());
        let present: Vec<_> = self.model.jobs.iter().filter(|job| job.present).map(|job| job.id).collect();
        for id in present {
            let key = self.core.find(id).expect("present in both");
            match self.runs_in_the_pool(key) {
                true => self.check_lost(&again, id),
                false => {
                    let own = read_with_contents(&self.core, &self.log, id, |core, _, contents| {
                        visible_state(core, id, contents)
                    });
                    assert_eq!(
                        read_with_contents(&again, log, id, |core, _, contents| visible_state(
                            core, id, contents
                        )),
                        own
                    );
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

    /// Checks that workers with running attempts keep their report sequence.
    fn check_reports_taken(&self, again: &Core) {
        for (key, session) in &self.core.sessions.sessions {
            let Link::Stream(instance) = session.link else { continue };
            let runs = |job: &JobKey| self.core.table[*job].state == JobState::Running;
            let known = again.sessions.of_link(Link::Stream(instance), session.peer.principal.as_ref());
            let known = known.and_then(|key| again.sessions.get(key));
            assert_eq!(known.is_some(), self.core.jobs_of(*key).iter().any(runs));
            if let Some(known) = known {
                assert_eq!(known.reports_taken, session.reports_taken);
            }
        }
    }

    fn runs_in_the_pool(&self, key: JobKey) -> bool {
        let entry = &self.core.table[key];
        let live = entry.active().filter(|_| entry.state == JobState::Running);
        live.is_some_and(|live| self.core.sessions.get(live.session).is_some_and(|of| of.link == Link::Pool))
    }

    /// Checks that a restart ended the attempt and preserved all earlier events.
    fn check_lost(&self, again: &Core, id: JobId) {
        let (before, after) = (events(&self.core, id, None), events(again, id, None));
        assert_eq!(after.len(), before.len() + 1);
        assert_eq!(after[..before.len()], before);
        let key = again.find(id).expect("the job exists");
        assert!(again.table[key].active().is_none());
        assert_ne!(again.table[key].state, JobState::Running);
    }
}

/// Returns the visible state of a job without the wait reason, which depends on the connected workers.
fn visible_state(
    core: &Core,
    id: JobId,
    contents: Option<&Contents>,
) -> (JobView, Vec<WatchItem>, u64, Option<u32>) {
    let key = core.find(id).expect("the job exists");
    let view = JobView { wait_reason: None, ..core.view(key, contents) };
    let entry = &core.table[key];
    let next_attempt = (!entry.state.is_final()).then(|| entry.next_attempt());
    (view, events(core, id, contents), entry.accepted, next_attempt)
}

/// Returns the cancel of a cancelled attempt.
fn cancel(core: &Core, id: JobId) -> Option<Cancel> {
    let entry = &core.table[core.find(id).expect("the job exists")];
    entry.active().filter(|_| entry.state == JobState::Running)?.cancel.as_deref().cloned()
}

fn events(core: &Core, id: JobId, contents: Option<&Contents>) -> Vec<WatchItem> {
    let mut items = Vec::new();
    core.read_events(
        core.find(id).expect("the job exists"),
        contents,
        0,
        EventTypes::ALL,
        usize::MAX,
        &mut items,
    );
    items.into_iter().map(item_without_messages).collect()
}
