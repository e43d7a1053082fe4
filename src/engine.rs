//! The async shell around the core: a cheap handle that applies commands, delivers their effects and wakes waiters.
//!
//! Every command takes the same steps: lock, apply to the core, sort the effects, unlock, deliver. The lock is never held
//! across an await, and no task is woken under it.

mod commit;
mod contents;
mod delivery;
mod durable;
mod feed;
mod health;
mod lease_call;
mod metrics;
mod observers;
mod outcomes;
mod queries;
mod queues;
mod server_log;
mod session;
mod stats;
mod submit_stream;
mod subscription;
mod ticker;
mod watch;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::clock::{Clock, Now};
use crate::core::{Caller, CancelRequest, Contents, Core, Effects, Submitted};
pub use crate::core::{CoreOptions, QUEUES_MAX};
use crate::error::{Error, Result};
use crate::job::{EventTypes, InlineHandler, JobId, JobState, NewJob, SessionSpec};
use crate::memory::MemoryBudget;
use crate::wal;

pub use commit::codec::entry_to_json;
#[cfg(any(test, fuzzing))]
pub(crate) use commit::codec::{Entry, decode, encode_part};
#[cfg(test)]
pub(crate) use commit::opening::{EntryReader, OpenLog};
pub use commit::salvage::LostEnds;
use commit::{Commit, Position};
use delivery::State;
pub use delivery::Submission;
use durable::Pending;
use feed::Feed;
pub use health::{Admission, EngineHealth, LogHealth};
pub(crate) use lease_call::LeaseCall;
use metrics::Meter;
pub(crate) use outcomes::EndedJob;
use outcomes::OutcomeQueue;
pub use queries::{EngineInfo, JobPage, PageBounds, ResultView};
use server_log::LogLimits;
pub(crate) use session::{Disconnect, Orders, Reporter, Session, TakeLimit};
pub(crate) use submit_stream::{Ack as SubmitAck, StreamBatch, SubmitStream};
pub use subscription::{FeedItem, Subscription};
pub use watch::Watch;
pub(crate) use workers::{Refusal, ReportAck, ReportAcks, WorkerSession};

/// Bounds and defaults of the engine. Start from [`EngineOptions::within`] or [`Default`] and set fields.
///
/// ```
/// use jobstream::engine::{Engine, EngineOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut options = EngineOptions::default();
/// options.core.jobs_max = 10_000;
/// let engine = Engine::start(options);
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Bounds and defaults of jobs.
    pub core: CoreOptions,
    /// Most watches (WatchResult, WatchJobs, Run and waiting GetResult) at a time. Default 200,000.
    pub watchers_max: u32,
    /// Most bytes of state changes that [`Engine::watch_jobs`] can return later. Default 16 MiB.
    pub feed_bytes: u64,
    /// Sizes of the log. Default as [`wal::Options`], but files of trimmed segments, which have deleted jobs, are not reused.
    pub log: wal::Options,
    /// Bytes of new entries after which garbage is estimated; a quarter of the log if that is more. Default 128 MiB.
    pub compaction_bytes: u64,
    /// Percent of the log that may be garbage before a compaction rewrites all live data. Default 66.
    pub compaction_garbage_percent: u8,
    /// The budget that memory bounds derive from. Default none: the bounds are those of a large machine.
    pub memory: Option<MemoryBudget>,
}

impl EngineOptions {
    /// The defaults, with every bound of memory a share of this budget; [`crate::memory`] has the shares.
    pub fn within(budget: MemoryBudget) -> Self {
        Self {
            core: CoreOptions::within(budget),
            watchers_max: budget.watchers_max(),
            feed_bytes: budget.feed_bytes(),
            memory: Some(budget),
            ..Self::default()
        }
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        let log = wal::Options { spares_max: 0, ..wal::Options::default() };
        Self {
            core: CoreOptions::default(),
            watchers_max: 200_000,
            feed_bytes: 16 << 20,
            log,
            compaction_bytes: 128 << 20,
            compaction_garbage_percent: 66,
            memory: None,
        }
    }
}

/// Most jobs or timers that are handled under one hold of the lock.
const LOCK_BUDGET: usize = 256;

/// The job engine: a handle that is cheap to clone.
///
/// With a log, every response waits until the records that it depends on are durable. After the first failed append or sync
/// every call is refused with `LogFailed`.
///
/// ```
/// use std::time::Duration;
///
/// use jobstream::engine::{Engine, EngineOptions};
/// use jobstream::job::{JobState, Kind, NewJob, Payload};
/// use jobstream::worker::Worker;
/// use tokio::time::Instant;
///
/// # #[tokio::main]
/// # async fn main() -> jobstream::error::Result<()> {
/// let engine = Engine::start(EngineOptions::default());
/// let worker = Worker::new().handler("double", async |_, number: i64| Ok(number * 2)).start(&engine)?;
///
/// let job = NewJob::new(Kind::parse("kind", "double")?, Payload::json_text("21"));
/// let submission = engine.submit(job).await?;
/// let until = Instant::now() + Duration::from_secs(10);
/// let view = engine.result(submission.id, Some(until)).await?;
/// assert_eq!(view.state, JobState::Succeeded);
/// # drop(worker);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    clock: Clock,
    options: EngineOptions,
    boot_id: String,
    start: Now,
    /// The log position after the records of the start. They include the secret of ids, if the log had none.
    opened: Position,
    /// The group commit; `None` without a log.
    commit: Option<Commit>,
    watch_permits: Arc<Semaphore>,
    feed: Arc<Feed>,
    /// Wakes the ticker when something is due before it would wake.
    timer_changed: Notify,
    /// Notified when the last attempt ends while draining.
    idle: Notify,
    log_limits: LogLimits,
    meter: Meter,
}

/// Jobs that came in one message.
pub(crate) struct Batch {
    pub(crate) caller: Caller,
    pub(crate) jobs: Vec<Result<NewJob>>,
}

/// The queue for the outcomes of a batch, if a stream gets them, and the number of the batch in the stream.
type OutcomeTarget<'a> = Option<(&'a Arc<OutcomeQueue>, u32)>;

impl Engine {
    /// An engine without a ticker: timers expire only in [`Engine::tick`].
    pub fn new(options: EngineOptions, clock: Clock) -> Self {
        let core = Core::new(options.core.clone(), rand::random());
        Self::with(core, options, clock, None)
    }

    fn with(core: Core, options: EngineOptions, clock: Clock, commit: Option<Commit>) -> Self {
        let start = clock.now();
        let feed = Arc::new(Feed::new(options.feed_bytes));
        Self(Arc::new(Shared {
            watch_permits: Arc::new(Semaphore::new(options.watchers_max as usize)),
            state: Mutex::new(State::new(core, feed.clone())),
            feed,
            clock,
            options,
            boot_id: uuid::Uuid::now_v7().to_string(),
            start,
            opened: commit.as_ref().map_or(Position::default(), Commit::position),
            commit,
            timer_changed: Notify::new(),
            idle: Notify::new(),
            log_limits: LogLimits::default(),
            meter: Meter::default(),
        }))
    }

    /// An engine on the system's clocks, with its ticker on the current tokio runtime.
    pub fn start(options: EngineOptions) -> Self {
        Self::new(options, Clock::system()).with_ticker()
    }

    fn with_ticker(self) -> Self {
        tokio::spawn(ticker::run(self.clone()));
        self
    }

    /// The bounds in force.
    pub fn options(&self) -> &EngineOptions {
        &self.0.options
    }

    /// The id of this start. Without a log, jobs of another boot are lost.
    pub fn boot_id(&self) -> &str {
        &self.0.boot_id
    }

    /// The current time of the engine's clock.
    pub(crate) fn now(&self) -> Now {
        self.0.clock.now()
    }

    /// Accepts a job, or returns the job that was accepted with the same id and spec before.
    ///
    /// # Errors
    ///
    /// `JobIdReused`, `ResultExpired` (a removed job had the id, and its spec is no longer known), `ResourceExhausted` or
    /// `Draining`: nothing was stored.
    pub async fn submit(&self, job: NewJob) -> Result<Submission> {
        self.submit_as(Caller::Embedder, job).await
    }

    pub(crate) async fn submit_as(&self, caller: Caller, job: NewJob) -> Result<Submission> {
        let id = job.id.unwrap_or_else(JobId::mint);
        self.call(|state, now, effects| {
            state.core.set_caller(caller);
            let submitted = state.core.submit(now, id, job, effects)?;
            Ok(state.submission(submitted))
        })
        .await
    }

    /// Checks a job as [`Engine::submit`] would, and stores nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::submit`].
    pub async fn validate(&self, job: &NewJob) -> Result<()> {
        self.validate_as(Caller::Embedder, job).await
    }

    pub(crate) async fn validate_as(&self, caller: Caller, job: &NewJob) -> Result<()> {
        self.check_log()?;
        let checked = {
            let mut state = self.0.state.lock();
            state.core.set_caller(caller);
            Pending { value: state.core.check_submit(job.id, job), position: self.position() }
        };
        self.release(checked).await
    }

    /// Accepts each job that parsed, in order.
    ///
    /// # Errors
    ///
    /// `LogFailed`; the errors of single jobs are in the results.
    pub(crate) async fn submit_each(&self, batch: Batch) -> Result<Vec<Result<Submission>>> {
        self.admitted().await?;
        let submitted = self.submit_batches(vec![(batch, None)]).value;
        self.durable().await?;
        Ok(submitted.into_iter().next().unwrap_or_default())
    }

    /// Accepts each job of several batches, in order, under one hold of the lock. The outcomes of a batch with a target are added
    /// to the target's queue.
    fn submit_batches(
        &self,
        batches: Vec<(Batch, OutcomeTarget<'_>)>,
    ) -> Pending<Vec<Vec<Result<Submission>>>> {
        let mut evicted = Vec::new();
        // Minted before the lock is held.
        let chosen = |job: &Result<NewJob>| job.as_ref().ok().and_then(|job| job.id);
        let jobs = batches.iter().flat_map(|(batch, _)| &batch.jobs);
        let mut ids = jobs.map(|job| chosen(job).unwrap_or_else(JobId::mint)).collect::<Vec<_>>().into_iter();
        let pending = self.command(|state, now, effects| {
            let position = self.position();
            let mut submit_batch = |(Batch { caller, jobs }, outcomes): (Batch, OutcomeTarget<'_>)| {
                state.core.set_caller(caller);
                let jobs = jobs.into_iter().zip(&mut ids).enumerate();
                let submit = |(index, (job, id)): (usize, (Result<NewJob>, JobId))| {
                    let submitted = state.core.submit(now, id, job?, effects)?;
                    if let Some((queue, batch)) = outcomes {
                        let waiter = queue.waiter(submitted.id, batch, index as u32);
                        evicted.extend(state.await_outcome(submitted.job, waiter, position));
                    }
                    Ok(state.submission(submitted))
                };
                jobs.map(submit).collect()
            };
            batches.into_iter().map(&mut submit_batch).collect()
        });
        self.load_outcomes(evicted, pending.position);
        pending
    }

    /// Accepts all jobs or none.
    ///
    /// # Errors
    ///
    /// The first job's error, with its index: nothing was stored. `LogFailed` with index 0.
    pub(crate) async fn submit_all(
        &self,
        caller: Caller,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Submission>, (usize, Error)> {
        let jobs = jobs.into_iter().map(|job| (job.id.unwrap_or_else(JobId::mint), job)).collect();
        let mut refused = 0;
        let submitted = self.call(|state, now, effects| {
            state.core.set_caller(caller);
            let submitted: Vec<Submitted> =
                state.core.submit_all(now, jobs, effects).map_err(|(index, error)| {
                    refused = index;
                    error
                })?;
            Ok(submitted.into_iter().map(|submitted| state.submission(submitted)).collect())
        });
        submitted.await.map_err(|error| (refused, error))
    }

    /// Follows the job's events with a sequence after the cursor.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`, `ResourceExhausted` (too many watchers), `InvalidField` for a cursor beyond the
    /// job's newest event.
    pub async fn watch(&self, id: JobId, after_sequence: u32, types: EventTypes) -> Result<Watch> {
        Watch::open(self, id, Some(after_sequence), types).await
    }

    /// Ends a waiting job at once. Of a running job, requests the worker to stop, and ends the attempt by force after `grace`.
    /// Returns the job's state and the sequence of its newest event.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`, `IllegalState` if it ended otherwise.
    pub async fn cancel(&self, id: JobId, reason: &str, grace: Duration) -> Result<(JobState, u32)> {
        self.cancel_as(id, CancelRequest { reason, grace, principal: None }).await
    }

    pub(crate) async fn cancel_as(&self, id: JobId, request: CancelRequest<'_>) -> Result<(JobState, u32)> {
        self.call(|state, now, effects| {
            let key = state.core.cancel(now, id, request, effects)?;
            Ok((state.core.state(key), state.core.sequence(key)))
        })
        .await
    }

    /// Submits a new job from a finished one, with another payload or kind if given.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::submit`], and `IllegalState` while the job has not ended.
    pub async fn retry(&self, id: JobId, change: impl FnOnce(&mut NewJob)) -> Result<Submission> {
        self.retry_as(Caller::Embedder, id, change).await
    }

    pub(crate) async fn retry_as(
        &self,
        caller: Caller,
        id: JobId,
        change: impl FnOnce(&mut NewJob),
    ) -> Result<Submission> {
        let spec = |core: &Core, key, contents: Option<&Contents>| {
            core.check_retry(key).map(|()| core.spec(key, contents))
        };
        let mut job = self.read_job(id, spec).await??;
        job.id = None;
        let options = job.options_mut();
        options.origin = Some(id);
        options.start = crate::job::Start::Now;
        change(&mut job);
        self.submit_as(caller, job).await
    }

    /// Removes a finished job and its result now.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`, `IllegalState` while the job has not ended.
    pub async fn delete(&self, id: JobId) -> Result<()> {
        self.call(|state, now, effects| state.core.delete(now, id, effects)).await
    }

    /// Opens a worker session, which receives the attempts to run.
    pub(crate) fn open_session(&self, spec: &SessionSpec, inline: Option<InlineHandler>) -> Session {
        Session::open(self.clone(), spec, inline)
    }

    /// Starts to drain: no new jobs are accepted and no attempts start. Watches of jobs that do not run end with `Draining`.
    /// Remote workers have this long for their running attempts.
    pub fn drain(&self, within: Duration) {
        self.command(|state, _, effects| {
            state.core.drain(within, effects);
            state.wake_watches();
        });
    }

    /// Waits until no attempt runs and every outcome is durable. Only sensible after [`Engine::drain`].
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub async fn idle(&self) -> Result<()> {
        loop {
            let idle = self.0.idle.notified();
            if self.running() == 0 {
                return self.durable().await;
            }
            idle.await;
        }
    }

    /// Ends every watch with `Draining`.
    pub fn stop(&self) {
        self.command(|state, _, effects| {
            state.core.drain(Duration::ZERO, effects);
            state.stopped = true;
            state.wake_watches();
        });
    }

    /// Handles everything that is due by the engine's clock. The ticker calls it; with a manual clock, the caller does.
    pub fn tick(&self) {
        while self.command(|state, now, effects| state.core.tick(now, LOCK_BUDGET, effects)).value {}
        self.tick_feed();
    }

    /// Runs a command: lock, apply, sort the effects, unlock, deliver.
    fn command<T>(&self, apply: impl FnOnce(&mut State, Now, &mut Effects) -> T) -> Pending<T> {
        let commit = self.0.commit.as_ref();
        let (value, position, delivery, deferred) = {
            let mut state = self.0.state.lock();
            let now = self.now();
            let mut effects = state.new_effects(commit.is_some());
            if let Some(commit) = commit {
                state.core.set_refusal(commit.refusal());
            }
            state.core.set_job_log(server_log::job_log());
            let value = apply(&mut state, now, &mut effects);
            state.core.evict_excess(&mut effects);
            state.command_ended(&effects);
            let records = effects.records.take().filter(|records| !records.is_empty());
            let deferred =
                commit.zip(records).map(|(commit, records)| commit.append(&mut state.core, now, records));
            let position = self.position();
            // An inline attempt runs before its start is durable, so only without a log.
            (value, position, state.sort(effects, now, position, commit.is_none()), deferred)
        };
        drop(deferred);
        self.deliver(delivery, position);
        Pending { value, position }
    }
}
