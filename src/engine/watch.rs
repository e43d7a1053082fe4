//! Following one job: a cursor over its events and a waker for more.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::contents::Found;
use super::delivery::State;
use super::observers::WakerPlace;
use super::{Engine, Pending, Position, Submission};
use crate::core::{Caller, Core, JobKey, Standing};
use crate::error::{Error, ErrorKind, Result};
use crate::job::{EventTypes, JobId, JobState, NewJob, WatchItem};

/// Most items read at once, so that one watcher never holds the lock for long.
const READ_ITEMS_MAX: usize = 128;
const WATCHERS_RETRY_AFTER: Duration = Duration::from_secs(1);
const STOPPED_RETRY_AFTER: Duration = Duration::from_millis(500);

/// Follows a job's events, each once it is durable. Never buffers: a slow reader misses old output and progress, never the
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
    place: Place,
    id: JobId,
    key: JobKey,
    cursor: u32,
    types: EventTypes,
    /// The job's observer, which retains the job while the watch is open; `None` if the job was removed before.
    observer: Option<u32>,
    waker: Option<WakerPlace>,
    /// The job's contents while they are evicted. Boxed, because few watches need it.
    cold: Option<Box<Cold>>,
    /// What was read and waits until it is durable.
    read: Option<Pending<Result<Vec<WatchItem>>>>,
    /// The end was read.
    ended: bool,
}

enum Cold {
    Reading(Pin<Box<dyn Future<Output = Result<Option<Found>>> + Send>>),
    Read(Found),
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
        // Read after the watch was opened, so at or behind the position of what it shows.
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
        let place = Place::take(engine.clone())?;
        Ok(Self::at(&mut state, place, id, key, cursor, types))
    }

    /// A watch of a job in the table. It must not be dropped under the lock.
    fn at(state: &mut State, place: Place, id: JobId, key: JobKey, cursor: u32, types: EventTypes) -> Self {
        let observer = Some(state.observers.attach(&mut state.core, key));
        let (waker, cold, read, ended) = (None, None, None, false);
        Self { place, id, key, cursor, types, observer, waker, cold, read, ended }
    }

    /// A watch of a removed job: its first read is an error.
    fn of_removed(place: Place, id: JobId, types: EventTypes) -> Self {
        let (key, observer, waker, cold, read) = (JobKey::NONE, None, None, None, None);
        Self { place, id, key, cursor: 0, types, observer, waker, cold, read, ended: false }
    }

    /// Whether the job was removed. An id that was deleted and submitted again is another job.
    fn is_removed(&self, state: &State) -> bool {
        self.observer.is_none_or(|observer| state.observers.is_without_job(observer))
    }

    /// The job that is followed.
    pub fn job_id(&self) -> JobId {
        self.id
    }

    /// Sequence up to which every event was read or skipped.
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
        ready!(self.place.0.poll_durable(position, context))?;
        Poll::Ready(self.read.take().map_or(Ok(Vec::new()), |read| read.value))
    }

    /// The items behind the cursor, with the log position that they depend on.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Pending<Result<Vec<WatchItem>>>> {
        let engine = &self.place.0;
        let answer = |value| Poll::Ready(Pending { value, position: engine.position() });
        if self.ended {
            return answer(Ok(Vec::new()));
        }
        let (mut state, items) = loop {
            if let Some(Cold::Reading(reading)) = self.cold.as_deref_mut() {
                let read = ready!(reading.as_mut().poll(context));
                self.cold = None;
                match read {
                    Ok(read) => self.cold = read.map(|found| Box::new(Cold::Read(found))),
                    Err(error) => return answer(Err(error)),
                }
            }
            if let Err(failed) = engine.check_log() {
                return answer(Err(failed));
            }
            let state = engine.0.state.lock();
            if self.is_removed(&state) {
                self.waker = None;
                return answer(Err(removed(&state, self.id)));
            }
            let mut items = Vec::new();
            let from = (self.key, self.cursor, self.types);
            if let Some(cursor) = read_events(&state.core, from, self.cold.as_deref(), &mut items) {
                self.cursor = cursor;
                break (state, items);
            }
            drop(state);
            let (engine, id) = (engine.clone(), self.id);
            let reading = Box::pin(async move { engine.load(id).await });
            self.cold = Some(Box::new(Cold::Reading(reading)));
        };
        self.ended = state.core.state(self.key).is_final() && self.cursor == state.core.sequence(self.key);
        if !items.is_empty() || self.ended {
            return answer(Ok(items));
        }
        let runs_on = state.core.state(self.key) == JobState::Running;
        if state.stopped || (state.core.is_draining() && !runs_on) {
            return answer(Err(stopped()));
        }
        if let Some(observer) = self.observer {
            self.waker = Some(state.observers.add_waker(observer, self.waker, context.waker()));
        }
        Poll::Pending
    }
}

/// Reads events from a cursor on and returns the one behind them; nothing if the job's contents have to be loaded first.
fn read_events(
    core: &Core,
    (key, cursor, types): (JobKey, u32, EventTypes),
    cold: Option<&Cold>,
    items: &mut Vec<WatchItem>,
) -> Option<u32> {
    let contents = match cold {
        _ if cursor >= core.sequence(key) || core.place(key).is_none() => None,
        Some(Cold::Read((place, contents))) if core.job_at(place) == Some(key) => Some(contents),
        _ => return None,
    };
    Some(core.read_events(key, contents, cursor, types, READ_ITEMS_MAX, items))
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(observer) = self.observer {
            let State { core, observers, .. } = &mut *self.place.0.0.state.lock();
            observers.detach(core, observer, self.waker);
        }
    }
}

/// A permit to watch, of [`EngineOptions::watchers_max`](super::EngineOptions::watchers_max); released on drop.
struct Place(Engine);

impl Place {
    fn take(engine: Engine) -> Result<Self> {
        let limit = engine.0.options.watchers_max;
        let place = Self(engine);
        if place.0.0.watchers.fetch_add(1, Ordering::Relaxed) < limit {
            return Ok(place);
        }
        let subject = "server".to_owned();
        let retry_after = WATCHERS_RETRY_AFTER;
        let kind = ErrorKind::ResourceExhausted { reason: "TOO_MANY_WATCHERS", subject, retry_after };
        Err(Error::new(kind, format!("{limit} watches are open, the limit: close some or try again later")))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine {
    /// Accepts a job as [`Engine::submit`] does, and follows it from its first event.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::submit`], and `ResourceExhausted` (too many watchers): nothing was stored.
    pub async fn run(&self, job: NewJob, types: EventTypes) -> Result<(Submission, Watch)> {
        self.run_as(Caller::NOBODY, job, types).await
    }

    pub(crate) async fn run_as(
        &self,
        caller: Caller,
        job: NewJob,
        types: EventTypes,
    ) -> Result<(Submission, Watch)> {
        let place = Place::take(self.clone())?;
        let id = job.id.unwrap_or_else(JobId::mint);
        self.call(|state, now, effects| {
            state.core.set_caller(caller);
            let submitted = state.core.submit(now, id, job, effects)?;
            let watch = match submitted.standing {
                Standing::Held(key) => Watch::at(state, place, submitted.id, key, 0, types),
                Standing::Removed(_) => Watch::of_removed(place, submitted.id, types),
            };
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

fn stopped() -> Error {
    let kind = ErrorKind::Draining { retry_after: STOPPED_RETRY_AFTER };
    Error::new(kind, "the server is shutting down: resume on another one with the last sequence")
}
