//! Following one job: a cursor over its events and a waker for more.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::contents::Found;
use super::delivery::State;
use super::observers::WatchKey;
use super::{Engine, Pending, Position, Submission};
use crate::core::{Caller, Core, JobKey, SubmittedJob};
use crate::error::{Error, ErrorKind, Result};
use crate::job::{EventTypes, JobId, JobState, NewJob, WatchItem};

/// Most items read at once, so that one watcher never holds the lock for long.
const READ_ITEMS_MAX: usize = 128;
const WATCHERS_RETRY_AFTER: Duration = Duration::from_secs(1);
const STOPPED_RETRY_AFTER: Duration = Duration::from_millis(500);

/// Follows a job's events, each once it is durable. It has no buffer: a slow reader misses old output and progress, but not the
/// end.
///
/// ```
/// use jobstream::engine::{Engine, EngineOptions};
/// use jobstream::job::{EventTypes, Kind, NewJob, Payload};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobstream::error::Result<()> {
/// let engine = Engine::start(EngineOptions::default());
/// let job = NewJob::new(Kind::parse("kind", "resize")?, Payload::default());
/// let id = engine.submit(job).await?.id;
/// engine.cancel(id, "not needed", std::time::Duration::ZERO).await?;
///
/// let mut watch = engine.watch(id, 0, EventTypes::ALL).await?;
/// let mut items = 0;
/// loop {
///     match watch.next().await? {
///         more if more.is_empty() => break,
///         more => items += more.len(),
///     }
/// }
/// assert_eq!(items, 2);
/// # Ok(()) }
/// ```
pub struct Watch {
    engine: Engine,
    /// Released when the watch is dropped.
    _permit: OwnedSemaphorePermit,
    id: JobId,
    key: JobKey,
    cursor: u32,
    /// The job's newest event when the watch was opened. Later ones are delivered live.
    opened_at: u32,
    types: EventTypes,
    /// The registration, which retains the job while the watch is open; `None` if the job was removed before.
    registration: Option<WatchKey>,
    /// The job's contents while they are evicted. Boxed, because few watches need it.
    evicted: Option<Box<Evicted>>,
    /// Items that wait until they are durable.
    read: Option<Read>,
    /// Whether the end was read.
    ended: bool,
}

/// Items that were read, with the cursor after them.
type Read = Pending<Result<(Vec<WatchItem>, u32)>>;

enum Evicted {
    Loading(Pin<Box<dyn Future<Output = Result<Option<Found>>> + Send>>),
    Loaded(Found),
}

impl Watch {
    /// Opens a watch after a sequence, or after the newest event.
    pub(super) async fn open(
        engine: &Engine,
        id: JobId,
        after: Option<u32>,
        types: EventTypes,
    ) -> Result<Self> {
        engine.check_log()?;
        let value = Self::open_now(engine, id, after, types);
        // Read after the watch was opened, so at or after the position that the watch depends on.
        engine.release(Pending { value, position: engine.position() }).await
    }

    fn open_now(engine: &Engine, id: JobId, after: Option<u32>, types: EventTypes) -> Result<Self> {
        let mut state = engine.0.state.lock();
        let key = state.core.find(id)?;
        let sequence = state.core.sequence(key);
        let cursor = after.unwrap_or(sequence);
        if cursor > sequence {
            let description = format!(
                "is {cursor}, the job's newest event is {sequence}: use a sequence that was received"
            );
            return Err(Error::invalid("after_sequence", description));
        }
        let permit = watch_permit(engine)?;
        if after.is_some_and(|after| after > 0) {
            engine.0.meter.watch_resumed();
        }
        Ok(Self::new(engine.clone(), permit, &mut state, id, Some(key), cursor, types))
    }

    /// A watch of a job in the table, or of a removed job: its first read is an error. It must not be dropped under the lock.
    fn new(
        engine: Engine,
        permit: OwnedSemaphorePermit,
        state: &mut State,
        id: JobId,
        key: Option<JobKey>,
        cursor: u32,
        types: EventTypes,
    ) -> Self {
        let registration = key.map(|key| state.observers.add_watch(&mut state.core, key));
        let opened_at = key.map_or(0, |key| state.core.sequence(key));
        let (key, evicted, read, ended) = (key.unwrap_or(JobKey::NONE), None, None, false);
        Self {
            engine,
            _permit: permit,
            id,
            key,
            cursor,
            opened_at,
            types,
            registration,
            evicted,
            read,
            ended,
        }
    }

    /// The job that is followed.
    pub fn job_id(&self) -> JobId {
        self.id
    }

    /// The sequence up to which [`Watch::next`] returned or skipped every event.
    pub fn sequence(&self) -> u32 {
        self.cursor
    }

    /// Returns the next items, in order; none after the end was read.
    ///
    /// # Errors
    ///
    /// `JobNotFound` or `ResultExpired` if the job was removed, `Draining` if the server stops before the end, `LogFailed`
    /// if its log fails before.
    pub async fn next(&mut self) -> Result<Vec<WatchItem>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Waits for the end without reading anything else.
    pub(super) async fn ended(&mut self) -> Result<()> {
        while !self.next().await?.is_empty() {}
        Ok(())
    }

    /// [`Watch::next`], for streams.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Vec<WatchItem>>> {
        if self.read.is_none() {
            self.read = Some(ready!(self.poll_read(context)));
        }
        let position = self.read.as_ref().map_or(Position::default(), |read| read.position);
        ready!(self.engine.poll_durable(position, context))?;
        let Some(read) = self.read.take() else { return Poll::Ready(Ok(Vec::new())) };
        let (items, cursor) = read.value?;
        self.cursor = cursor;
        self.engine.0.meter.watch_sent(&items, self.opened_at, || self.engine.now().wall);
        Poll::Ready(Ok(items))
    }

    /// The items after the cursor and the cursor after them, with the log position that they depend on.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Read> {
        let engine = &self.engine;
        let ready = |value| Poll::Ready(Pending { value, position: engine.position() });
        if self.ended {
            return ready(Ok((Vec::new(), self.cursor)));
        }
        let (mut state, watch, items, cursor) = loop {
            if let Some(Evicted::Loading(loading)) = self.evicted.as_deref_mut() {
                let loaded = ready!(loading.as_mut().poll(context));
                self.evicted = None;
                match loaded {
                    Ok(found) => self.evicted = found.map(|found| Box::new(Evicted::Loaded(found))),
                    Err(error) => return ready(Err(error)),
                }
            }
            if let Err(failed) = engine.check_log() {
                return ready(Err(failed));
            }
            let state = engine.0.state.lock();
            // An id that was deleted and submitted again is another job.
            let registration = self.registration.filter(|watch| !state.observers.is_job_removed(*watch));
            let Some(watch) = registration else { return ready(Err(removed(&state, self.id))) };
            let mut items = Vec::new();
            let from = (self.key, self.cursor, self.types);
            if let Some(cursor) = read_events(&state.core, from, self.evicted.as_deref(), &mut items) {
                break (state, watch, items, cursor);
            }
            drop(state);
            let (engine, id) = (engine.clone(), self.id);
            let loading = Box::pin(async move { engine.load(id).await });
            self.evicted = Some(Box::new(Evicted::Loading(loading)));
        };
        self.ended = state.core.state(self.key).is_final() && cursor == state.core.sequence(self.key);
        if !items.is_empty() || self.ended {
            return ready(Ok((items, cursor)));
        }
        self.cursor = cursor;
        let is_running = state.core.state(self.key) == JobState::Running;
        if state.stopped || (state.core.is_draining() && !is_running) {
            return ready(Err(stopped()));
        }
        state.observers.set_waker(watch, context.waker());
        Poll::Pending
    }
}

/// Reads events after a cursor and returns the cursor after them; `None` if the job's contents have to be loaded first.
fn read_events(
    core: &Core,
    (key, cursor, types): (JobKey, u32, EventTypes),
    evicted: Option<&Evicted>,
    items: &mut Vec<WatchItem>,
) -> Option<u32> {
    let contents = match evicted {
        _ if cursor >= core.sequence(key) || core.log_position(key).is_none() => None,
        Some(Evicted::Loaded((location, contents))) if core.job_at(location) == Some(key) => Some(contents),
        _ => return None,
    };
    Some(core.read_events(key, contents, cursor, types, READ_ITEMS_MAX, items))
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watch) = self.registration {
            let State { core, observers, .. } = &mut *self.engine.0.state.lock();
            observers.remove_watch(core, watch);
        }
    }
}

/// A permit to watch, of [`EngineOptions::watchers_max`](super::EngineOptions::watchers_max).
pub(super) fn watch_permit(engine: &Engine) -> Result<OwnedSemaphorePermit> {
    engine.0.watch_permits.clone().try_acquire_owned().map_err(|_| {
        let limit = engine.0.options.watchers_max;
        let subject = "server".to_owned();
        let retry_after = WATCHERS_RETRY_AFTER;
        let kind = ErrorKind::ResourceExhausted { reason: "TOO_MANY_WATCHERS", subject, retry_after };
        Error::new(kind, format!("{limit} watches are open, the limit: close some or try again later"))
    })
}

impl Engine {
    /// Accepts a job as [`Engine::submit`] does, and follows it from its first event.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::submit`], and `ResourceExhausted` (too many watchers): nothing was stored.
    pub async fn run(&self, job: NewJob, types: EventTypes) -> Result<(Submission, Watch)> {
        self.run_as(Caller::Embedder, job, types).await
    }

    pub(crate) async fn run_as(
        &self,
        caller: Caller,
        job: NewJob,
        types: EventTypes,
    ) -> Result<(Submission, Watch)> {
        let permit = watch_permit(self)?;
        let id = job.id.unwrap_or_else(JobId::mint);
        self.call(|state, now, effects| {
            state.core.set_caller(caller);
            let submitted = state.core.submit(now, id, job, effects)?;
            let key = match submitted.job {
                SubmittedJob::Present(key) => Some(key),
                SubmittedJob::Removed(_) => None,
            };
            let watch = Watch::new(self.clone(), permit, state, submitted.id, key, 0, types);
            Ok((state.submission(submitted), watch))
        })
        .await
    }
}

fn removed(state: &State, id: JobId) -> Error {
    match state.core.find(id) {
        Err(error) => error,
        Ok(_) => Error::new(ErrorKind::JobNotFound(id), format!("job {id} was deleted")),
    }
}

pub(super) fn stopped() -> Error {
    let kind = ErrorKind::Draining { retry_after: STOPPED_RETRY_AFTER };
    Error::new(kind, "the server is shutting down: resume on another one with the last sequence")
}
