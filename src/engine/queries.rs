//! Queries: results, jobs, lists, queues, and the state of the engine.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::commit::QUEUE_BYTES_MAX;
use super::watch::Watch;
use super::{Engine, LOCK_BUDGET};
use crate::access::Principal;
use crate::clock::Now;
use crate::core::{Contents, Core, JobAccessView, ListBounds, LogPosition};
use crate::error::{Error, ErrorKind, Result};
use crate::job::{
    EndCounts, EventTypes, JobFilter, JobId, JobState, JobView, MemoryUse, Outcome, QueueView, StateCounts,
    Timestamp, WaitReason,
};
use crate::memory::WATCH_BYTES;

/// Most jobs that are compared with the filter for one page, so that a filter without matches returns soon.
const LIST_BUDGET: usize = 20_000;

/// The state of a job, and its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultView {
    /// Its state.
    pub state: JobState,
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
    /// Why it is not running, if it waits.
    pub wait_reason: Option<WaitReason>,
    /// Sequence of its newest event.
    pub sequence: u32,
    /// When it will be removed, if it ended.
    pub expire_time: Option<Timestamp>,
}

/// The bounds of one page of jobs.
#[derive(Debug, Clone, Copy)]
pub struct PageBounds {
    /// Most jobs.
    pub jobs: usize,
    /// Most bytes, roughly as encoded; a larger job is a page of its own.
    pub bytes: usize,
    /// Whether payloads and results are included, and counted.
    pub with_payloads: bool,
}

/// A page of the list of jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// Newest first.
    pub jobs: Vec<JobView>,
    /// The cursor of the next page; `None` after the last.
    pub next: Option<u64>,
}

/// The state of the engine.
#[derive(Debug, Clone)]
pub struct EngineInfo {
    /// New at each start.
    pub boot_id: String,
    /// When the engine started.
    pub start_time: Timestamp,
    /// How long ago that was.
    pub uptime: Duration,
    /// Whether it accepts no new jobs.
    pub draining: bool,
    /// Kinds that are served.
    pub kinds: Vec<Arc<str>>,
    /// Jobs, in any state.
    pub jobs: u32,
    /// Open watches.
    pub watchers: u32,
    /// Memory in use by category, with the bound of each.
    pub memory: Vec<MemoryUse>,
}

impl Engine {
    /// The job's state and, once it ended, its outcome; waits for the end until `until`.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`; while waiting also `Draining` and `ResourceExhausted` (too many watchers).
    pub async fn result(&self, id: JobId, until: Option<Instant>) -> Result<ResultView> {
        let Some(until) = until else { return self.result_now(id).await };
        // The watch is open from before the first read until after the last: it retains the job.
        let mut watch = match Watch::open(self, id, None, EventTypes::NONE).await {
            Ok(watch) => watch,
            Err(refused) => {
                let now = self.result_now(id).await?;
                return if now.outcome.is_some() { Ok(now) } else { Err(refused) };
            }
        };
        let now = self.result_now(id).await?;
        if now.outcome.is_some() {
            return Ok(now);
        }
        if let Ok(ended) = tokio::time::timeout_at(until, watch.ended()).await {
            ended?;
        }
        let ended = self.result_now(id).await;
        drop(watch);
        ended
    }

    /// The job id of an idempotency key: a name for a request that is a text and no UUID, such as `order-123`. A caller
    /// submits the job with it, and repeats the submit with the same id.
    ///
    /// The id is the same for the same principal and key as long as the log is the same; without a log, until the engine
    /// is dropped. Each principal has its own ids: no other caller can derive them, or submit a job with one before. The
    /// id is a UUID v8. For [`Engine::submit`] it is an id that the caller chose.
    ///
    /// ```
    /// use jobstream::engine::{Engine, EngineOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobstream::error::Result<()> {
    /// let engine = Engine::start(EngineOptions::default());
    /// let id = engine.job_id_of_key("alice", "order-123").await?;
    /// assert_eq!(engine.job_id_of_key("alice", "order-123").await?, id);
    /// assert_ne!(engine.job_id_of_key("bob", "order-123").await?, id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `LogFailed` if the secret of these ids cannot be written to a new log.
    pub async fn job_id_of_key(&self, principal: &str, key: &str) -> Result<JobId> {
        let secret = self.0.state.lock().core.id_secret();
        // The secret is one of the first records of a new log. An id that left before would be another after a crash.
        poll_fn(|context| self.poll_durable(self.0.opened, context)).await?;
        Ok(secret.job_id_of_key(principal, key))
    }

    async fn result_now(&self, id: JobId) -> Result<ResultView> {
        let view = |core: &Core, key, contents: Option<&Contents>| ResultView {
            state: core.state(key),
            outcome: core.outcome(key, contents).cloned(),
            wait_reason: core.wait_reason(key),
            sequence: core.sequence(key),
            expire_time: core.expire_time(key),
        };
        self.read_job(id, view).await
    }

    /// The job, with its payload, outcome and attempts.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`; with a log, `LogDamaged` and `LogFailed` if the job cannot be loaded.
    pub async fn job(&self, id: JobId) -> Result<JobView> {
        self.read_job(id, Core::view).await
    }

    /// Jobs that match, newest first, from `before` (the first page if `None`). A page may be short.
    ///
    /// # Errors
    ///
    /// With a log: `LogFailed`, and, if payloads count, `LogDamaged` if a job cannot be loaded.
    pub async fn jobs(&self, filter: &JobFilter, before: Option<u64>, bounds: PageBounds) -> Result<JobPage> {
        self.jobs_for(None, filter, before, bounds).await
    }

    /// As [`Engine::jobs`], of the jobs that this principal may list; of all without a principal.
    pub(crate) async fn jobs_for(
        &self,
        principal: Option<&Principal>,
        filter: &JobFilter,
        before: Option<u64>,
        bounds: PageBounds,
    ) -> Result<JobPage> {
        let principal = principal.filter(|principal| !principal.is_unlimited());
        let PageBounds { jobs: jobs_max, bytes: mut bytes_left, with_payloads } = bounds;
        self.check_log()?;
        let (mut jobs, mut evicted) = (Vec::new(), Vec::new());
        let mut next = Some(before.unwrap_or_else(|| self.0.state.lock().core.list_begin()));
        for _ in 0..LIST_BUDGET / LOCK_BUDGET {
            let Some(before) = next else { break };
            let bounds = ListBounds {
                jobs: jobs_max - jobs.len(),
                bytes: bytes_left,
                with_payloads,
                scanned: LOCK_BUDGET,
                begins_page: jobs.is_empty(),
            };
            let part = self.0.state.lock().core.list(filter, principal, before, bounds);
            jobs.extend(part.jobs);
            evicted.extend(part.evicted);
            next = part.next;
            bytes_left = bytes_left.saturating_sub(part.bytes);
            if part.is_full {
                break;
            }
        }
        self.add_contents(&mut jobs, evicted).await?;
        // After everything that was read.
        self.durable().await?;
        Ok(JobPage { jobs, next })
    }

    /// The names that decide who may act on the job. The value may not be durable yet: a call follows that waits for it.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`; `LogFailed`.
    pub(crate) async fn job_access(&self, id: JobId) -> Result<JobAccessView> {
        let found = self.read_now(|state, _| {
            let key = state.core.find(id)?;
            Ok(state.core.access_view(key))
        })?;
        match found.value {
            Ok(view) => Ok(view),
            // No effect of a record that is not durable: the removal of the job.
            Err(_) => self.release(found).await,
        }
    }

    /// The cursor of the page that starts with this job; `None` if the job was removed.
    pub(crate) fn page_starting_with(&self, id: JobId) -> Option<u64> {
        self.0.state.lock().core.page_from(id)
    }

    /// Adds the contents of the evicted jobs of a page. Jobs that were removed since leave the page.
    async fn add_contents(&self, jobs: &mut Vec<JobView>, locations: Vec<LogPosition>) -> Result<()> {
        let loaded = self.contents(&locations).await;
        let mut views = HashMap::new();
        for (location, contents) in locations.iter().zip(loaded) {
            let view = contents?.and_then(|contents| {
                let core = &self.0.state.lock().core;
                core.job_at(location).map(|key| core.view(key, Some(&contents)))
            });
            let view = match view {
                Some(view) => Ok(view),
                None => self.job(location.id).await,
            };
            views.insert(location.id, view);
        }
        for job in std::mem::take(jobs) {
            match views.remove(&job.id).unwrap_or(Ok(job)) {
                Err(error) if is_removed(&error) => {}
                job => jobs.push(job?),
            }
        }
        Ok(())
    }

    /// Queues after this name in the order of names, at most `limit`; and whether there are more.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub async fn queues(&self, after: &str, limit: usize) -> Result<(Vec<QueueView>, bool)> {
        self.read(|state, now| Ok(state.core.queues(now, after, limit))).await
    }

    /// The state of the engine.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub async fn info(&self) -> Result<EngineInfo> {
        self.read(|state, now| Ok(self.info_of(&state.core, now))).await
    }

    fn info_of(&self, core: &Core, now: Now) -> EngineInfo {
        EngineInfo {
            boot_id: self.0.boot_id.clone(),
            start_time: self.0.start.wall,
            uptime: now.monotonic.saturating_sub(self.0.start.monotonic),
            draining: core.is_draining(),
            kinds: core.kinds(),
            jobs: core.job_count(),
            watchers: self.open_watches(),
            memory: self.memory_use(core),
        }
    }

    /// The number of open watches.
    pub(super) fn open_watches(&self) -> u32 {
        self.options().watchers_max - self.0.watch_permits.available_permits() as u32
    }

    /// Memory in use by category, with the bound of each.
    pub(super) fn memory_use(&self, core: &Core) -> Vec<MemoryUse> {
        let mut memory = core.memory();
        memory.push(MemoryUse {
            category: "watches",
            used_bytes: u64::from(self.open_watches()) * WATCH_BYTES,
            limit_bytes: u64::from(self.options().watchers_max) * WATCH_BYTES,
        });
        memory.push(self.0.feed.memory());
        memory.extend(self.0.commit.as_ref().map(|commit| MemoryUse {
            category: "log_queue",
            used_bytes: commit.queued_bytes(),
            limit_bytes: 2 * QUEUE_BYTES_MAX as u64,
        }));
        memory
    }

    /// When the engine started.
    #[cfg(feature = "otel")]
    pub(crate) fn start_time(&self) -> Timestamp {
        self.0.start.wall
    }

    /// The number of running attempts.
    pub(crate) fn running(&self) -> u32 {
        self.counts().get(JobState::Running)
    }

    /// Jobs that ended since the start, removed ones included.
    pub(crate) fn ended(&self) -> EndCounts {
        self.0.state.lock().core.ended()
    }

    /// All jobs by state.
    pub(crate) fn counts(&self) -> StateCounts {
        self.0.state.lock().core.counts()
    }
}

fn is_removed(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::JobNotFound(_) | ErrorKind::ResultExpired { .. })
}
