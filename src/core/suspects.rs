//! Jobs on whose assignment the streams of workers break: they are not offered for ever.
//!
//! A worker reads what it is sent in order. So when its stream breaks, the oldest assignment that it was sent and has not
//! accepted is the one suspected of it; those behind it are not.

use super::Core;
use super::effects::Effects;
use super::sessions::SessionKey;
use super::table::JobKey;
use crate::clock::Now;
use crate::job::LeaseId;

/// From so many streams on that broke on the assignment of a job, each counts as an attempt that was lost with its worker.
const BREAKS_MAX: u32 = 3;

impl Core {
    /// The stream of a worker broke or was replaced; [`Core::disconnect`] or [`Core::connect`] follows. `is_spared` tells
    /// of the leases that the worker was not sent or still holds.
    ///
    /// How often that happened is counted until the job is accepted, and in memory alone: a restart begins anew.
    pub(crate) fn stream_broke(
        &mut self,
        now: Now,
        session: SessionKey,
        is_spared: impl Fn(LeaseId) -> bool,
        effects: &mut Effects,
    ) {
        let is_suspect = |job: &JobKey| {
            let entry = &self.table[*job];
            entry.is_offered() && entry.live().is_some_and(|live| !is_spared(live.lease))
        };
        let Some(suspect) = self.held_by(session).into_iter().find(is_suspect) else { return };
        let breaks = self.suspects.get(&suspect).map_or(1, |breaks| breaks + 1);
        if breaks >= BREAKS_MAX {
            // An attempt that runs when its worker is lost counts.
            self.begin(now, suspect, effects);
        }
        self.suspects.insert(suspect, breaks);
    }

    /// The job was accepted, or has ended.
    pub(super) fn clear_suspect(&mut self, key: JobKey) {
        if !self.suspects.is_empty() {
            self.suspects.remove(&key);
        }
    }

    /// The session of the worker with this instance, if it is known.
    pub(crate) fn session_of_instance(&self, instance: uuid::Uuid) -> Option<SessionKey> {
        self.sessions.of_instance(instance)
    }
}
