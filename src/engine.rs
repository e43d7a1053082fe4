//! The async shell around Core: a cheap handle that applies commands, delivers what they cause and wakes who waits.
//!
//! Every command takes the same way: lock, apply to Core, sort the effects, unlock, deliver. The lock is never held
//! across an await, and nothing is woken under it.

mod commit;
mod contents;
mod delivery;
mod lock;
mod observers;
mod outcomes;
mod queries;
mod session;
mod ticker;
mod turn;
mod watch;
mod workers;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Now};
use crate::core::{Caller, Contents, Core, CoreOptions, Effects, SessionKey, Submitted};
use crate::error::{Error, Result};
use crate::job::{
    AttemptEnd, EventTypes, InlineHandler, JobId, JobState, LeaseId, NewJob, QueueView, Report, SessionSpec,
};
use crate::log;
use crate::memory::MemoryBudget;

use commit::Commit;
pub(crate) use commit::Position;
pub use commit::codec::entry_to_json;
#[cfg(any(test, fuzzing))]
pub(crate) use commit::codec::{Entry, decode, encode_part};
pub use commit::salvage::LostEnds;
#[cfg(test)]
pub(crate) use commit::{Cut as LogCut, Log, Reader, opening::EntryReader};
use delivery::State;
use lock::Lock;
pub(crate) use outcomes::{EndedJob, OutcomeQueue};
pub use queries::{EngineInfo, JobPage, PageBounds, ResultView};
pub(crate) use session::{Cut, Orders};
pub use session::{Reporter, Session};
pub(crate) use turn::{Turn, TurnTaker, take_turns_here};
pub use watch::Watch;
pub(crate) use workers::{LeaseCall, Refusal, WorkerSession};

/// Bounds and defaults of the engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Bounds and defaults of jobs.
    pub core: CoreOptions,
    /// Most watches (WatchResult, Run and waiting GetResult) at a time. Default 200,000.
    pub watchers_max: u32,
    /// How [`Engine::open`] keeps its files. Default as [`log::Options`], without spares: a file that is given back may
    /// hold what was deleted.
    pub log: log::Options,
    /// Bytes of entries of the log after which it looks for what it can give back; a quarter of the log if that is more.
    /// Default 128 MiB.
    pub checkpoint_bytes: u64,
    /// How many percent of the log may be needed no more before all that is needed is written anew. Default 66.
    pub checkpoint_waste_percent: u8,
    /// The budget that bounds of memory derive from, if they do. Default none: the bounds are those of a large machine.
    pub memory: Option<MemoryBudget>,
}

impl EngineOptions {
    /// The defaults, with every bound of memory a share of this budget; [`crate::memory`] has the shares.
    pub fn within(budget: MemoryBudget) -> Self {
        Self {
            core: CoreOptions::within(budget),
            watchers_max: budget.watchers_max(),
            memory: Some(budget),
            ..Self::default()
        }
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        let log = log::Options { spares_max: 0, ..log::Options::default() };
        Self {
            core: CoreOptions::default(),
            watchers_max: 200_000,
            log,
            checkpoint_bytes: 128 << 20,
            checkpoint_waste_percent: 66,
            memory: None,
        }
    }
}

/// How many jobs or timers one hold of the lock handles when there are many.
const LOCK_BUDGET: usize = 256;

/// The job engine: a handle that is cheap to clone.
///
/// Once its log failed, what would change something is refused with `LogFailed`. What is on disk is still answered, and of
/// a job of which something was lost `LogFailed`.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    state: Lock<State>,
    clock: Clock,
    options: EngineOptions,
    boot_id: String,
    start: Now,
    /// What makes it durable, if it is.
    commit: Option<Commit>,
    watchers: AtomicU32,
    /// Wakes the ticker when something is due earlier than it sleeps.
    earlier: Notify,
    /// Told when the last attempt ends while draining.
    idle: Notify,
}

/// What became of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The job's id.
    pub id: JobId,
    /// Whether it existed before with the same spec.
    pub existing: bool,
    /// Its state.
    pub state: JobState,
    /// Sequence of its newest event; 0 if the job ended and was removed before.
    pub sequence: u32,
}

/// Jobs that came together, and where the end of each is told, with the number of the batch.
pub(crate) struct Batch<'a> {
    pub(crate) caller: Caller,
    pub(crate) jobs: Vec<Result<NewJob>>,
    pub(crate) outcomes: Option<(&'a Arc<OutcomeQueue>, u32)>,
}

impl Engine {
    /// An engine without a ticker: nothing is due by itself until [`Engine::start`] runs it.
    pub fn new(options: EngineOptions, clock: Clock) -> Self {
        let core = Core::new(options.core.clone(), rand::random());
        Self::of(core, options, clock, None)
    }

    fn of(core: Core, options: EngineOptions, clock: Clock, commit: Option<Commit>) -> Self {
        let start = clock.now();
        Self(Arc::new(Shared {
            state: Lock::new(State::new(core)),
            clock,
            options,
            boot_id: uuid::Uuid::now_v7().to_string(),
            start,
            commit,
            watchers: AtomicU32::new(0),
            earlier: Notify::new(),
            idle: Notify::new(),
        }))
    }

    /// An engine on the machine's clocks, with its ticker on the present tokio runtime.
    pub fn start(options: EngineOptions) -> Self {
        Self::new(options, Clock::system()).ticking()
    }

    fn ticking(self) -> Self {
        tokio::spawn(ticker::run(self.clone()));
        self
    }

    /// Whether both are handles of one engine.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The bounds in force.
    pub fn options(&self) -> &EngineOptions {
        &self.0.options
    }

    /// New at each start: in memory, jobs of another boot are gone.
    pub fn boot_id(&self) -> &str {
        &self.0.boot_id
    }

    /// The present moment, by the engine's clock.
    pub(crate) fn now(&self) -> Now {
        self.0.clock.now()
    }

    /// Accepts a job, or answers the one that was accepted with the same id and spec before.
    ///
    /// # Errors
    ///
    /// `JobIdReused`, `ResultExpired` (a removed job had the id, and its spec is not known any more), `ResourceExhausted` or
    /// `Draining`; nothing was kept.
    pub async fn submit(&self, job: NewJob) -> Result<Submission> {
        self.submit_as(Caller::NOBODY, job).await
    }

    async fn submit_as(&self, caller: Caller, job: NewJob) -> Result<Submission> {
        let submission = self.submit_now(caller, job)?;
        self.durable().await?;
        Ok(submission)
    }

    /// [`Engine::submit`], for those whose answer waits for the disk anyway.
    pub(crate) fn submit_now(&self, caller: Caller, job: NewJob) -> Result<Submission> {
        let id = job.id.unwrap_or_else(JobId::mint);
        self.change(|state, now, effects| {
            state.core.set_caller(caller);
            let submitted = state.core.submit(now, id, job, effects)?;
            Ok(state.submission(submitted))
        })
    }

    /// Checks a job as [`Engine::submit`] would, and keeps nothing.
    pub fn validate(&self, job: &NewJob) -> Result<()> {
        self.validate_as(Caller::NOBODY, job)
    }

    pub(crate) fn validate_as(&self, caller: Caller, job: &NewJob) -> Result<()> {
        let mut state = self.0.state.lock();
        state.core.set_caller(caller);
        state.core.check_submit(job.id, job)
    }

    /// Accepts each job that parsed, in order; tells `outcomes` of each one's end, if given.
    pub(crate) fn submit_each(
        &self,
        caller: Caller,
        jobs: Vec<Result<NewJob>>,
        outcomes: Option<(&Arc<OutcomeQueue>, u32)>,
    ) -> Vec<Result<Submission>> {
        self.submit_batches(vec![Batch { caller, jobs, outcomes }]).pop().unwrap_or_default()
    }

    /// [`Engine::submit_each`] for batches that came together: one hold of the lock, and one round of inline attempts.
    pub(crate) fn submit_batches(&self, batches: Vec<Batch<'_>>) -> Vec<Vec<Result<Submission>>> {
        let mut cold = Vec::new();
        // Made before the lock is held.
        let mut ids = minted(&batches).into_iter();
        let answers = self.command(|state, now, effects| {
            let mut submit_batch = |Batch { caller, jobs, outcomes }: Batch<'_>| {
                state.core.set_caller(caller);
                let jobs = jobs.into_iter().zip(&mut ids).enumerate();
                let submit = |(index, (job, id)): (usize, (Result<NewJob>, JobId))| {
                    let submitted = state.core.submit(now, id, job?, effects)?;
                    if let Some((queue, batch)) = outcomes {
                        let waiter = queue.waiter(submitted.id, batch, index as u32);
                        cold.extend(state.await_outcome(submitted.standing, waiter));
                    }
                    Ok(state.submission(submitted))
                };
                jobs.map(submit).collect()
            };
            batches.into_iter().map(&mut submit_batch).collect()
        });
        self.tell_cold(cold);
        answers
    }

    /// Accepts all jobs or none.
    ///
    /// # Errors
    ///
    /// The first job's error, with its index; nothing was kept.
    pub(crate) fn submit_all(
        &self,
        caller: Caller,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Submission>, (usize, Error)> {
        let jobs = jobs.into_iter().map(|job| (job.id.unwrap_or_else(JobId::mint), job)).collect();
        self.command(|state, now, effects| {
            state.core.set_caller(caller);
            let submitted: Vec<Submitted> = state.core.submit_all(now, jobs, effects)?;
            Ok(submitted.into_iter().map(|submitted| state.submission(submitted)).collect())
        })
    }

    /// Follows the job's events with a sequence after the cursor.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`, `ResourceExhausted` (too many watchers), `InvalidField` for a cursor beyond the
    /// job's newest event.
    pub fn watch(&self, id: JobId, after_sequence: u32, types: EventTypes) -> Result<Watch> {
        Watch::open(self.clone(), id, Some(after_sequence), types)
    }

    /// Ends a waiting job at once; tells the worker of a running one and forces it after `grace`. Answers its state
    /// and the sequence of its newest event.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`, `IllegalState` if it ended otherwise.
    pub async fn cancel(&self, id: JobId, reason: &str, grace: Duration) -> Result<(JobState, u32)> {
        let cancelled = self.change(|state, now, effects| {
            let key = state.core.cancel(now, id, reason, grace, effects)?;
            Ok((state.core.state(key), state.core.sequence(key)))
        })?;
        self.durable().await?;
        Ok(cancelled)
    }

    /// Submits a new job from a finished one, with another payload or kind if given.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::submit`], and `IllegalState` while the job has not ended.
    pub async fn retry(&self, id: JobId, change: impl FnOnce(&mut NewJob)) -> Result<Submission> {
        self.retry_as(Caller::NOBODY, id, change).await
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
        let mut job = self.look(id, spec).await??;
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
        self.change(|state, now, effects| state.core.delete(now, id, effects))?;
        self.durable().await
    }

    /// Starts no further attempts of the queue's jobs.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` if too many queues exist and this one does not.
    pub async fn pause_queue(&self, name: &str) -> Result<QueueView> {
        let queue = self.change(|state, now, effects| {
            state.core.pause_queue(name, effects)?;
            state.core.queue(now, name)
        })?;
        self.durable().await?;
        Ok(queue)
    }

    /// Starts attempts of the queue's jobs again.
    ///
    /// # Errors
    ///
    /// `QueueNotFound`.
    pub async fn resume_queue(&self, name: &str) -> Result<QueueView> {
        let queue = self.change(|state, now, effects| {
            let before = state.core.queue(now, name)?;
            state.core.resume_queue(now, name, effects)?;
            Ok(state.core.queue(now, name).unwrap_or(QueueView { paused: false, ..before }))
        })?;
        self.durable().await?;
        Ok(queue)
    }

    /// Cancels every waiting job of the queue and answers how many.
    ///
    /// # Errors
    ///
    /// `QueueNotFound`.
    pub async fn purge_queue(&self, name: &str) -> Result<u32> {
        let mut purged = 0;
        loop {
            let part =
                self.change(|state, now, effects| state.core.purge_queue(now, name, LOCK_BUDGET, effects))?;
            purged += part as u32;
            if part < LOCK_BUDGET {
                self.durable().await?;
                return Ok(purged);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Opens a worker session; its attempts arrive at the answer.
    pub fn open_session(&self, spec: &SessionSpec, inline: Option<InlineHandler>) -> Session {
        Session::open(self.clone(), spec, inline)
    }

    fn end_attempt(&self, session: SessionKey, lease: LeaseId, end: AttemptEnd) -> Result<()> {
        self.change(|state, now, effects| state.core.end_attempt(now, session, lease, end, effects))
    }

    fn report(&self, session: SessionKey, lease: LeaseId, report: Report) -> Result<()> {
        self.change(|state, now, effects| state.core.report(now, session, lease, report, effects))
    }

    /// Takes no new jobs and starts no attempts from now on; watches of jobs that do not run end with `Draining`. Remote
    /// workers are told that what they run may take this long.
    pub fn drain(&self, within: Duration) {
        self.command(|state, _, effects| {
            state.core.drain(within, effects);
            state.wake_all();
        });
    }

    /// Waits until no attempt runs. Only sensible after [`Engine::drain`].
    pub async fn idle(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.running() == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Ends every watch with `Draining`.
    pub fn stop(&self) {
        self.command(|state, _, effects| {
            state.core.drain(Duration::ZERO, effects);
            state.stopped = true;
            state.wake_all();
        });
    }

    /// Does what is due by the engine's clock; the ticker calls it. Only a manual clock needs it called by hand.
    pub fn tick(&self) {
        while self.command(|state, now, effects| state.core.tick(now, LOCK_BUDGET, effects)) {}
    }

    /// A command that changes what is kept: refused once the log failed, so that what is on disk is shown as it is.
    fn change<T>(&self, apply: impl FnOnce(&mut State, Now, &mut Effects) -> Result<T>) -> Result<T> {
        self.command(|state, now, effects| {
            self.check_log()?;
            apply(state, now, effects)
        })
    }

    fn command<T>(&self, apply: impl FnOnce(&mut State, Now, &mut Effects) -> T) -> T {
        self.command_and_look(apply, |_, _| {})
    }

    /// The one way of every command: lock, apply, sort the effects, unlock, deliver. Has another look at the answer whenever
    /// inline attempts that it caused have ended.
    fn command_and_look<T>(
        &self,
        apply: impl FnOnce(&mut State, Now, &mut Effects) -> T,
        mut look: impl FnMut(&mut T, &mut State),
    ) -> T {
        let commit = self.0.commit.as_ref();
        let (mut answer, delivery, writing) = {
            let mut state = self.0.state.lock();
            let now = self.now();
            let mut effects = state.effects(commit.is_some());
            if let Some(commit) = commit {
                state.core.refuse_new(commit.refusal());
            }
            let answer = apply(&mut state, now, &mut effects);
            state.core.cool(&mut effects);
            let records = effects.records.take().filter(|records| !records.is_empty());
            let writing =
                commit.zip(records).map(|(commit, records)| commit.append(&mut state.core, now, records));
            // What runs inline has run before its beginning is on disk.
            (answer, state.sort(effects, self.position(), commit.is_none()), writing)
        };
        drop(writing);
        self.deliver(delivery, |state| look(&mut answer, state));
        answer
    }
}

/// The id of each job, made for those that have none.
fn minted(batches: &[Batch<'_>]) -> Vec<JobId> {
    let named = |job: &Result<NewJob>| job.as_ref().ok().and_then(|job| job.id);
    batches.iter().flat_map(|batch| &batch.jobs).map(|job| named(job).unwrap_or_else(JobId::mint)).collect()
}
