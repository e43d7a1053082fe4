//! A subscription to the state changes of all jobs: a cursor in the feed, and a waker while it waits.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::OwnedSemaphorePermit;

use super::delivery::State;
use super::feed::Following;
use super::watch::{stopped, watch_permit};
use super::{Engine, Pending, Position};
use crate::access::{Action, JobAccess, Principal};
use crate::error::{Error, Result};
use crate::job::{ChangeFilter, FeedCursor, JobChange};

/// Most changes that are scanned under one hold of the feed's lock.
const BATCH_CHANGES: usize = 128;
/// Most batches that are scanned in one poll, so that a filter that matches little does not delay other tasks.
const BATCHES_PER_POLL: usize = 8;

/// An item of the feed of all jobs.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedItem {
    /// A job changed its state.
    Change {
        /// The cursor after the change.
        cursor: FeedCursor,
        /// The change.
        change: Arc<JobChange>,
    },
    /// Changes are missing, because they are not retained.
    Gap {
        /// The cursor before the next item.
        cursor: FeedCursor,
        /// The number of changes of all jobs, before the filter. 0 if it is not known.
        missed: u64,
    },
}

/// Follows the state changes of all jobs that match a filter, each once it is durable.
///
/// It has no buffer: the feed has the newest changes of all jobs, up to
/// [`EngineOptions::feed_bytes`](super::EngineOptions::feed_bytes). A reader that is further behind gets one gap.
///
/// ```
/// use jobstream::engine::{Engine, EngineOptions, FeedItem};
/// use jobstream::job::{ChangeFilter, Kind, NewJob, Payload};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobstream::error::Result<()> {
/// let engine = Engine::start(EngineOptions::default());
/// let mut changes = engine.watch_jobs(ChangeFilter::default(), None)?;
/// let id = engine.submit(NewJob::new(Kind::parse("kind", "resize")?, Payload::default())).await?.id;
/// for item in changes.next().await? {
///     let FeedItem::Change { change, .. } = item else { continue };
///     assert_eq!((change.job_id, &*change.kind), (id, "resize"));
/// }
/// # Ok(()) }
/// ```
pub struct Subscription {
    engine: Engine,
    /// Released when the subscription is dropped.
    _permit: OwnedSemaphorePermit,
    /// The number of the subscriber in the feed.
    subscriber: usize,
    cursor: FeedCursor,
    filter: ChangeFilter,
    /// The changes are those of jobs that this principal may list; of all without a principal.
    principal: Option<Arc<Principal>>,
    /// Items that wait until they are durable.
    read: Option<Read>,
}

/// Items that were read, with the cursor after them.
type Read = Pending<Result<(Vec<FeedItem>, FeedCursor)>>;

impl Subscription {
    /// The cursor after everything that [`Subscription::next`] returned or skipped.
    pub fn cursor(&self) -> FeedCursor {
        self.cursor
    }

    /// Returns the next items, in order; at least one.
    ///
    /// # Errors
    ///
    /// `Draining` once the engine is stopped, or drains and no attempt runs; `LogFailed`.
    pub async fn next(&mut self) -> Result<Vec<FeedItem>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// [`Subscription::next`], for streams.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Vec<FeedItem>>> {
        if self.read.is_none() {
            self.read = Some(ready!(self.poll_read(context)));
        }
        let position = self.read.as_ref().map_or(Position::default(), |read| read.position);
        ready!(self.engine.poll_durable(position, context))?;
        let Some(read) = self.read.take() else { return Poll::Ready(Ok(Vec::new())) };
        let (items, cursor) = read.value?;
        self.cursor = cursor;
        Poll::Ready(Ok(items))
    }

    /// The items after the cursor and the cursor after them, with the log position that they depend on. Changes that do not
    /// match are skipped at once.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Read> {
        let ready = |value, position| Poll::Ready(Pending { value, position });
        for _ in 0..BATCHES_PER_POLL {
            if let Err(failed) = self.engine.check_log() {
                return ready(Err(failed), Position::default());
            }
            let mut ring = self.engine.0.feed.lock();
            let is_wanted = |change: &JobChange| self.filter.matches(change) && self.may_list(change);
            match ring.after(self.cursor, BATCH_CHANGES, is_wanted) {
                Following::Missed(missed, cursor) => {
                    let gap = FeedItem::Gap { cursor, missed };
                    return ready(Ok((vec![gap], cursor)), Position::default());
                }
                Following::Changes(batch) if batch.changes.is_empty() => self.cursor = batch.cursor,
                Following::Changes(batch) => {
                    let item = |(cursor, change)| FeedItem::Change { cursor, change };
                    let items = batch.changes.into_iter().map(item).collect();
                    return ready(Ok((items, batch.cursor)), batch.position);
                }
                Following::Nothing => {
                    ring.set_waker(self.subscriber, context.waker());
                    return Poll::Pending;
                }
                Following::End => return ready(Err(stopped()), ring.position()),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn may_list(&self, change: &JobChange) -> bool {
        let JobChange { job_id: id, queue, kind, owner, .. } = change;
        let job = JobAccess { id: *id, queue, kind, owner: owner.as_deref() };
        self.principal.as_ref().is_none_or(|principal| principal.may(Action::List, job))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let now = self.engine.now().monotonic;
        if self.engine.0.feed.lock().unsubscribe(self.subscriber, now) {
            // The ticker ends the recording.
            self.engine.0.timer_changed.notify_one();
        }
    }
}

impl Engine {
    /// Follows the state changes of all jobs that match the filter: those after a cursor, or those from now on.
    ///
    /// The recording of changes begins with the first subscription and ends 10 minutes after the last one was dropped.
    /// After a cursor of another recording, the first item is a gap, and the oldest recorded change follows.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` (too many watchers), `InvalidField` for a cursor that was never sent, `LogFailed`.
    pub fn watch_jobs(&self, filter: ChangeFilter, after: Option<FeedCursor>) -> Result<Subscription> {
        self.watch_jobs_for(None, filter, after)
    }

    /// As [`Engine::watch_jobs`], of the jobs that this principal may list; of all without a principal.
    pub(crate) fn watch_jobs_for(
        &self,
        principal: Option<Arc<Principal>>,
        filter: ChangeFilter,
        after: Option<FeedCursor>,
    ) -> Result<Subscription> {
        self.check_log()?;
        let permit = watch_permit(self)?;
        let principal = principal.filter(|principal| !principal.is_unlimited());
        let recording = rand::random();
        let mut state = self.0.state.lock();
        let mut ring = self.0.feed.lock();
        if let Some(cursor) = after.filter(|cursor| ring.is_beyond(*cursor)) {
            let description = format!(
                "is {cursor}, the newest change is {}: use a cursor that was received",
                ring.newest()
            );
            return Err(Error::invalid("after_cursor", description));
        }
        let subscriber = ring.subscribe(recording);
        state.core.set_feed(true);
        let cursor = after.unwrap_or_else(|| ring.newest());
        drop((ring, state));
        let engine = self.clone();
        Ok(Subscription { engine, _permit: permit, subscriber, cursor, filter, principal, read: None })
    }

    /// Wakes the subscribers of the feed if that is due, and ends the recording if its time has come.
    pub(super) fn tick_feed(&self) {
        let now = self.now().monotonic;
        let mut wakers = Vec::new();
        let position = {
            let mut state = self.0.state.lock();
            let State { core, .. } = &mut *state;
            let mut ring = self.0.feed.lock();
            ring.take_due_wakers(now, &mut wakers);
            if ring.end_recording_if_due(now) {
                core.set_feed(false);
            }
            ring.position()
        };
        wakers.into_iter().for_each(|waker| self.wake_at(position, waker));
    }
}
