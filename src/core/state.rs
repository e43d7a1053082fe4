//! The state of a core: the tables and counts that commands change.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use hashbrown::HashMap;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::callers::Callers;
use super::contents::LogPosition;
use super::effects::JobLogLevel;
use super::finished::Finished;
use super::keys::{JobKey, SessionKey};
use super::lanes::{Lane, Lanes};
use super::moment::Moment;
use super::options::{CoreOptions, QUEUES_MAX};
use super::recovered::Recovered;
use super::refusals::{job_not_found, lease_lost, result_expired};
use super::sessions::Sessions;
use super::table::Table;
use super::tails::IdSecret;
use super::weight::RECORD_BYTES;
use crate::access::JobAccess;
use crate::error::{Error, Result};
use crate::job::{ContentDigest, EndCounts, JobId, LeaseId, Spec, SpecDigest, Timestamp};

/// Running jobs may add one part in so many of `job_bytes_max` to the submitted bytes.
const GROWTH_PART: u64 = 4;
/// Output and log bytes of one job while running jobs have added almost as much as they may.
const SHORT_RING_BYTES: usize = 16 << 10;

/// The jobs, lanes, sessions and timers of a server.
pub(crate) struct Core {
    pub(super) options: CoreOptions,
    pub(super) table: Table,
    /// Timers of jobs. A job has at most one.
    pub(super) timers: BTreeSet<(Moment, JobKey)>,
    /// Scheduled jobs with a start time, by that time and acceptance number. Not in `timers`, because the
    /// wall clock may jump.
    pub(super) wall_starts: BTreeSet<(Timestamp, u64, JobKey)>,
    pub(super) lanes: Lanes,
    pub(super) sessions: Sessions,
    pub(super) callers: Callers,
    /// The number of dispatches so far, for the order of lanes.
    pub(super) dispatches: u64,
    pub(super) finished: Finished,
    pub(super) live_jobs: u32,
    pub(super) live_bytes: u64,
    /// The submitted part of `live_bytes`. The rest was added since.
    pub(super) submitted_bytes: u64,
    /// Jobs that ended since the server started, including removed ones.
    pub(super) ended: EndCounts,
    pub(super) lease_ids: StdRng,
    /// The state of the recovery.
    pub(super) recovered: Recovered,
    /// Streams that broke after they sent an offer that is not accepted yet, by its job.
    pub(super) broken_streams: HashMap<JobKey, u32>,
    pub(super) draining: bool,
    /// Which ends of jobs are lines of the log.
    pub(super) job_log: JobLogLevel,
    /// Whether state changes are effects, for the feed of all jobs.
    pub(super) has_feed: bool,
    /// The error for new jobs, if they are refused.
    pub(super) refusal: Option<Error>,
    /// The entry of the log for the next records, if there is a log.
    pub(super) log_entry: Option<NonZeroU64>,
}

impl Core {
    /// An empty core. The seed determines the lease ids and, without a log, the secret of minted ids. It must not be
    /// guessable.
    pub(crate) fn new(options: CoreOptions, seed: [u8; 32]) -> Self {
        let mut random = StdRng::from_seed(seed);
        let secret = IdSecret::from_u128(random.random());
        let finished = Finished::new(options.idempotency_ids_max);
        Self {
            options,
            table: Table::new(secret),
            timers: BTreeSet::new(),
            wall_starts: BTreeSet::new(),
            lanes: Lanes::default(),
            sessions: Sessions::default(),
            callers: Callers::new(),
            dispatches: 0,
            finished,
            live_jobs: 0,
            live_bytes: 0,
            submitted_bytes: 0,
            ended: EndCounts::default(),
            lease_ids: random,
            recovered: Recovered::default(),
            broken_streams: HashMap::new(),
            draining: false,
            job_log: JobLogLevel::default(),
            has_feed: false,
            refusal: None,
            log_entry: None,
        }
    }

    /// The key of the job. The error distinguishes removed from unknown jobs.
    pub(crate) fn find(&self, id: JobId) -> Result<JobKey> {
        if let Some(key) = self.table.find(id) {
            return Ok(key);
        }
        if let Some(tombstone) = self.finished.tombstone(id) {
            return Err(result_expired(tombstone));
        }
        Err(job_not_found(id))
    }

    /// The job with this lease, if the session has it.
    pub(super) fn leased_job(&self, session: SessionKey, lease: LeaseId) -> Result<JobKey> {
        match self.find_lease(lease) {
            Some((key, holder)) if holder == session => Ok(key),
            _ => Err(lease_lost()),
        }
    }

    /// The job with this lease, and its session.
    pub(super) fn find_lease(&self, lease: LeaseId) -> Option<(JobKey, SessionKey)> {
        let key =
            self.recovered.leases.get(&lease).copied().unwrap_or(self.table.tails().key_of_lease(lease));
        let active = self.table.get(key)?.active()?;
        (active.lease == lease).then_some((key, active.session))
    }

    /// Bytes that unfinished jobs added since their acceptance: output, logs, progress, failures.
    pub(super) fn added_bytes(&self) -> u64 {
        self.live_bytes - self.submitted_bytes
    }

    /// The bound of `added_bytes`.
    pub(super) fn added_bytes_max(&self) -> u64 {
        self.options.job_bytes_max / GROWTH_PART
    }

    /// Most output and log bytes of one job. Near the bound of all jobs it is small, so that every job can store some.
    pub(super) fn ring_bytes_max(&self) -> usize {
        let ring_max = self.options.event_ring_bytes_max;
        match self.added_bytes() > self.added_bytes_max() / 4 * 3 {
            true => ring_max.min(SHORT_RING_BYTES),
            false => ring_max,
        }
    }

    /// Estimated bytes of the jobs that have not ended.
    pub(super) fn live_weight(&self) -> u64 {
        self.live_bytes + u64::from(self.live_jobs) * RECORD_BYTES as u64
    }

    /// Most pairs of queue and kind, and most queues, without the reserve.
    pub(super) fn queues_max(&self) -> usize {
        self.options.queues_max.min(QUEUES_MAX) as usize
    }

    /// The jobs of the session, in the order of their assignment.
    pub(super) fn jobs_of(&self, key: SessionKey) -> Vec<JobKey> {
        self.sessions.get(key).map(|session| session.jobs.keys(&self.table)).unwrap_or_default()
    }

    /// The log position of the job's contents, if they are evicted.
    pub(crate) fn log_position(&self, key: JobKey) -> Option<LogPosition> {
        let entry = &self.table[key];
        entry.evicted()?;
        entry.log_position()
    }

    /// The job whose contents were loaded from this position, unless it was removed. Contents never change.
    pub(crate) fn job_at(&self, position: &LogPosition) -> Option<JobKey> {
        self.table.find(position.id).filter(|key| self.table[*key].accepted == position.accepted)
    }

    /// The principal that submitted the job, unless its caller had no identity.
    pub(crate) fn owner(&self, key: JobKey) -> Option<&Arc<str>> {
        self.callers.owner(self.table[key].caller)
    }

    /// What decides who may act on the job.
    pub(crate) fn access(&self, key: JobKey) -> JobAccess<'_> {
        let entry = &self.table[key];
        let Lane { queue, kind, .. } = &self.lanes[entry.lane];
        JobAccess { id: entry.id, queue, kind, owner: self.owner(key).map(|owner| &**owner) }
    }

    /// The digest of the spec.
    pub(super) fn spec_digest(&self, key: JobKey) -> SpecDigest {
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        let (content_bytes, content) = match entry.evicted() {
            Some(evicted) => (evicted.payload_bytes, evicted.payload),
            None => (entry.payload.bytes.len() as u64, ContentDigest::of(&entry.payload.bytes)),
        };
        SpecDigest::of_spec(&Spec {
            kind: &lane.kind,
            queue: &lane.queue,
            payload: &entry.payload,
            content_bytes,
            content,
            priority: entry.priority,
            options: entry.options.as_deref(),
            owner: self.owner(key).map(|owner| &**owner),
        })
    }
}
