//! The state of a core: every table and count that commands change, and what follows from them alone.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU64;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::callers::{Caller, Callers};
use super::contents::LogPlace;
use super::finished::Finished;
use super::keys::{JobKey, SessionKey};
use super::lanes::Lanes;
use super::options::{CoreOptions, QUEUES_MAX};
use super::recovered::Recovered;
use super::refusals::{lease_lost, result_expired};
use super::sessions::Sessions;
use super::table::Table;
use super::tails::IdSecret;
use super::weight::RECORD_BYTES;
use super::wheel::Wheel;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{ContentDigest, EndCounts, JobId, LeaseId, Payload, Timestamp};

/// Running jobs may add this part of `job_bytes_max` to what was submitted.
const GROWTH_PART: u64 = 4;
/// Output and logs that a job keeps while running jobs have nearly added what they may.
const SHORT_RING_BYTES: usize = 16 << 10;

/// All jobs, where they wait, who runs them and when something is due.
pub(crate) struct Core {
    pub(super) options: CoreOptions,
    pub(super) table: Table,
    pub(super) wheel: Wheel,
    /// Jobs that wait for a wall clock time. Apart from the wheel, because the wall clock may be moved.
    /// By time, then in the order of acceptance.
    pub(super) wall_starts: BTreeSet<(Timestamp, u64, JobKey)>,
    pub(super) lanes: Lanes,
    pub(super) sessions: Sessions,
    pub(super) callers: Callers,
    /// Who the present command is from.
    pub(super) caller: Caller,
    /// Counts dispatches, to take turns between lanes.
    pub(super) dispatches: u64,
    pub(super) finished: Finished,
    pub(super) live_jobs: u32,
    pub(super) live_bytes: u64,
    /// Of them, what was submitted; the rest was added since.
    pub(super) submitted_bytes: u64,
    /// Jobs that ended so far, removed ones included.
    pub(super) ended: EndCounts,
    pub(super) lease_ids: StdRng,
    /// Attempts of an earlier life.
    pub(super) recovered: Recovered,
    /// How many streams broke on the assignment of jobs that no worker has accepted since.
    pub(super) suspects: HashMap<JobKey, u32>,
    pub(super) draining: bool,
    /// Why no new job is accepted, if none is.
    pub(super) refusal: Option<Error>,
    /// The entry of the log that is recorded to, if there is a log.
    pub(super) log_entry: Option<NonZeroU64>,
}

impl Core {
    /// An empty core. Lease ids and, without a log, the secret behind the tails of ids come from the seed, which must not be
    /// guessable.
    pub(crate) fn new(options: CoreOptions, seed: [u8; 32]) -> Self {
        let mut random = StdRng::from_seed(seed);
        let secret = IdSecret::from_u128(random.random());
        let finished = Finished::new(options.idempotency_ids_max);
        Self {
            options,
            table: Table::new(secret),
            wheel: Wheel::new(),
            wall_starts: BTreeSet::new(),
            lanes: Lanes::default(),
            sessions: Sessions::default(),
            callers: Callers::default(),
            caller: Caller::NOBODY,
            dispatches: 0,
            finished,
            live_jobs: 0,
            live_bytes: 0,
            submitted_bytes: 0,
            ended: EndCounts::default(),
            lease_ids: random,
            recovered: Recovered::default(),
            suspects: HashMap::new(),
            draining: false,
            refusal: None,
            log_entry: None,
        }
    }

    /// The job's key, or why there is none.
    pub(crate) fn find(&self, id: JobId) -> Result<JobKey> {
        if let Some(key) = self.table.find(id) {
            return Ok(key);
        }
        if let Some(stone) = self.finished.tombstone(id) {
            return Err(result_expired(stone));
        }
        Err(Error::new(
            ErrorKind::JobNotFound(id),
            format!("no job {id} here: it was never accepted, or was deleted"),
        ))
    }

    /// The job whose newest lease this is, if the session holds it.
    pub(super) fn held(&self, session: SessionKey, lease: LeaseId) -> Result<JobKey> {
        match self.holder(lease) {
            Some((key, holder)) if holder == session => Ok(key),
            _ => Err(lease_lost()),
        }
    }

    /// The job whose newest lease this is, and the session that holds it.
    pub(super) fn holder(&self, lease: LeaseId) -> Option<(JobKey, SessionKey)> {
        let key = self.recovered.find(lease).unwrap_or(self.table.tails().place_of_lease(lease));
        let live = self.table.get(key)?.live()?;
        (live.lease == lease).then_some((key, live.session))
    }

    /// What jobs that have not ended added since they were accepted: output, logs, progress, failures.
    pub(super) fn added_bytes(&self) -> u64 {
        self.live_bytes - self.submitted_bytes
    }

    /// Most bytes of that.
    pub(super) fn added_bytes_max(&self) -> u64 {
        self.options.job_bytes_max / GROWTH_PART
    }

    /// Most output and log bytes of one job now: few while all together are near the bound, so that each job that reports
    /// has some.
    pub(super) fn ring_bytes_max(&self) -> usize {
        let ring_max = self.options.event_ring_bytes_max;
        match self.added_bytes() > self.added_bytes_max() / 4 * 3 {
            true => ring_max.min(SHORT_RING_BYTES),
            false => ring_max,
        }
    }

    /// Bytes that jobs that have not ended are taken to hold.
    pub(super) fn live_weight(&self) -> u64 {
        self.live_bytes + u64::from(self.live_jobs) * RECORD_BYTES as u64
    }

    /// Most pairs of queue and kind, and most queues, but for the reserve.
    pub(super) fn queues_max(&self) -> usize {
        self.options.queues_max.min(QUEUES_MAX) as usize
    }

    /// Jobs the session was given, in the order in which it got them.
    pub(super) fn held_by(&self, key: SessionKey) -> Vec<JobKey> {
        self.sessions.get(key).map(|session| session.held.keys(&self.table)).unwrap_or_default()
    }

    /// The session of the worker with this instance, if it is known.
    pub(crate) fn session_of_instance(&self, instance: uuid::Uuid) -> Option<SessionKey> {
        self.sessions.of_instance(instance)
    }

    /// Where the contents of a job are, if they are not in memory.
    pub(crate) fn place(&self, key: JobKey) -> Option<LogPlace> {
        let entry = &self.table[key];
        entry.evicted()?;
        entry.place()
    }

    /// The job whose contents were loaded from this place, unless it was removed since. Its contents never change.
    pub(crate) fn job_at(&self, place: &LogPlace) -> Option<JobKey> {
        self.table.find(place.id).filter(|key| self.table[*key].accepted == place.accepted)
    }

    /// Whether the payload of a job is this one.
    pub(super) fn has_payload(&self, key: JobKey, payload: &Payload) -> bool {
        let entry = &self.table[key];
        let Some(evicted) = entry.evicted() else { return entry.payload == *payload };
        let own = &entry.payload;
        own.encoding == payload.encoding
            && own.content_type() == payload.content_type()
            && evicted.payload == ContentDigest::of(&payload.bytes)
    }
}
