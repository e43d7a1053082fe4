//! Bytes that connections hold: of requests that are not whole yet and of answers that are not read.
//!
//! Each connection has a budget, and all together have another. Whoever would go on at a budget that is used up waits, and
//! the stream that has held bytes without progress for longest is ended. Small messages are not counted one by one: each
//! open stream counts as [`STREAM_BYTES`].

mod holder;

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task;
use tokio::time::{Instant, Sleep, sleep};

use super::tally::Activity;
pub(super) use holder::{Held, Holder, Kind};

/// What an open stream takes beside the messages that are counted, in bytes: measured with 100,000 idle watches.
pub(super) const STREAM_BYTES: usize = 5_200;

/// How long a stream holds bytes without progress before it may be ended for others.
const STALL_TIME: Duration = Duration::from_secs(1);
/// How often who waits looks again.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often a connection, or all of them, are searched for the longest stalled.
const SEARCH_INTERVAL: Duration = Duration::from_millis(10);

/// Most tasks that are woken at once when bytes are given back.
const WAITERS_MAX: usize = 4_096;

/// The budgets of one listener.
#[derive(Debug)]
pub(super) struct Budgets {
    connection_bytes_max: usize,
    connections_bytes_max: usize,
    /// Bytes held on all connections, beside the streams.
    held: AtomicUsize,
    /// Bytes that open streams count as; looked at every second.
    streams: AtomicUsize,
    /// Whether anybody waits.
    is_awaited: AtomicBool,
    roster: Mutex<Roster>,
}

#[derive(Debug, Default)]
struct Roster {
    /// Newest last; whoever finds no place in it looks again soon anyway.
    waiters: Vec<Waker>,
    searched: Option<Instant>,
    connections: Vec<std::sync::Weak<ConnectionBudget>>,
}

impl Budgets {
    pub(super) fn new(connection_bytes_max: usize, connections_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            connection_bytes_max,
            connections_bytes_max,
            held: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            is_awaited: AtomicBool::new(false),
            roster: Mutex::default(),
        })
    }

    /// Counts the open streams; to be called every second.
    pub(super) fn tick(&self) {
        let mut streams = 0;
        self.roster.lock().connections.retain(|connection| match connection.upgrade() {
            Some(connection) => {
                streams += connection.activity.open_requests();
                true
            }
            None => false,
        });
        self.streams.store(streams * STREAM_BYTES, Relaxed);
    }

    fn wake_waiters(&self) {
        if self.is_awaited.swap(false, Relaxed) {
            let waiters = std::mem::take(&mut self.roster.lock().waiters);
            // The newest first: what has waited for long is more often what nobody reads.
            waiters.into_iter().rev().for_each(Waker::wake);
        }
    }
}

/// The budget of one connection.
#[derive(Debug)]
pub(super) struct ConnectionBudget {
    budgets: Arc<Budgets>,
    activity: Arc<Activity>,
    held: AtomicUsize,
    /// Its streams that can hold bytes, by number.
    holders: Mutex<HashMap<u64, Arc<Holder>>>,
    next_number: AtomicU64,
    searched: Mutex<Option<Instant>>,
    /// Tasks of streams that are to end.
    condemned: Mutex<HashSet<task::Id>>,
    condemned_count: AtomicUsize,
}

/// A wait for bytes to be given back.
#[derive(Debug, Default)]
pub(super) struct Waiting(Option<(Instant, Pin<Box<Sleep>>)>);

impl Waiting {
    /// How long it has lasted.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }
}

impl ConnectionBudget {
    pub(super) fn new(budgets: &Arc<Budgets>, activity: Arc<Activity>) -> Arc<Self> {
        let budget = Arc::new(Self {
            budgets: budgets.clone(),
            activity,
            held: AtomicUsize::new(0),
            holders: Mutex::default(),
            next_number: AtomicU64::new(0),
            searched: Mutex::default(),
            condemned: Mutex::default(),
            condemned_count: AtomicUsize::new(0),
        });
        budgets.roster.lock().connections.push(Arc::downgrade(&budget));
        budget
    }

    /// Most bytes that the connection may hold.
    pub(super) fn bytes_max(&self) -> usize {
        self.budgets.connection_bytes_max
    }

    /// Whether streams alone use up all, so that no more may be opened.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budgets.streams.load(Relaxed) >= self.budgets.connections_bytes_max
    }

    /// Whether enough is held that streams stay open until what they sent is read, so that they can be ended.
    pub(super) fn is_above_high_water(&self) -> bool {
        self.used() > self.budgets.connection_bytes_max / 4
            || self.budgets.held.load(Relaxed) > self.budgets.connections_bytes_max / 4
    }

    fn used(&self) -> usize {
        self.held.load(Relaxed) + self.activity.open_requests() * STREAM_BYTES
    }

    fn is_full(&self) -> bool {
        self.used() >= self.budgets.connection_bytes_max && self.held.load(Relaxed) > 0
    }

    /// Whether nobody has to wait.
    pub(super) fn has_room(&self) -> bool {
        !self.is_full() && !self.are_all_full()
    }

    fn are_all_full(&self) -> bool {
        let Budgets { held, streams, connections_bytes_max, .. } = &*self.budgets;
        held.load(Relaxed) + streams.load(Relaxed) >= *connections_bytes_max
    }

    /// Waits until there is something left, and sees to it that what stalls is ended.
    pub(super) fn poll_admission(&self, waiting: &mut Waiting, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.has_room() {
                waiting.0 = None;
                return Poll::Ready(());
            }
            {
                let mut roster = self.budgets.roster.lock();
                if roster.waiters.len() < WAITERS_MAX {
                    roster.waiters.push(context.waker().clone());
                }
                self.budgets.is_awaited.store(true, Relaxed);
                self.end_longest_stalled(&mut roster);
            }
            let begin = || (Instant::now(), Box::pin(sleep(LOOK_INTERVAL)));
            let (_, look) = waiting.0.get_or_insert_with(begin);
            if look.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            look.as_mut().reset(Instant::now() + LOOK_INTERVAL);
        }
    }

    /// Ends the stream that has been stalled for longest, of this connection if that is what is full.
    fn end_longest_stalled(&self, roster: &mut Roster) {
        let (now, is_own, mut own_search) = (Instant::now(), self.is_full(), self.searched.lock());
        let searched = if is_own { &mut *own_search } else { &mut roster.searched };
        if searched.is_some_and(|searched| now < searched + SEARCH_INTERVAL) {
            return;
        }
        *searched = Some(now);
        let stalled = match is_own {
            true => self.longest_stalled(),
            false => {
                let connections = roster.connections.iter().filter_map(std::sync::Weak::upgrade);
                connections
                    .filter_map(|connection| connection.longest_stalled())
                    .min_by_key(|(since, _)| *since)
            }
        };
        if let Some((since, holder)) = stalled
            && now >= since + STALL_TIME
        {
            holder.condemn();
        }
    }

    fn longest_stalled(&self) -> Option<(Instant, Arc<Holder>)> {
        let holders = self.holders.lock();
        let stalled = holders.values().filter_map(|holder| Some((holder.stalled_since()?, holder)));
        stalled.min_by_key(|(since, _)| *since).map(|(since, holder)| (since, holder.clone()))
    }

    /// Makes a stream one that can hold bytes, and be ended for it. To be called in the stream's own task.
    pub(super) fn register(self: &Arc<Self>, kind: Kind) -> Arc<Holder> {
        let number = self.next_number.fetch_add(1, Relaxed);
        let holder = Arc::new(Holder::new(self.clone(), number, kind));
        self.holders.lock().insert(number, holder.clone());
        holder
    }

    fn unregister(&self, number: u64) {
        self.holders.lock().remove(&number);
    }

    fn add(&self, bytes: usize) {
        self.held.fetch_add(bytes, Relaxed);
        self.budgets.held.fetch_add(bytes, Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
        self.budgets.held.fetch_sub(bytes, Relaxed);
        self.budgets.wake_waiters();
    }

    /// Whether the task of this stream is to end at once.
    pub(super) fn is_condemned(&self) -> bool {
        if self.condemned_count.load(Relaxed) == 0 {
            return false;
        }
        let is_condemned = task::try_id().is_some_and(|id| self.condemned.lock().remove(&id));
        if is_condemned {
            self.condemned_count.fetch_sub(1, Relaxed);
        }
        is_condemned
    }

    fn condemn_task(&self, id: task::Id) {
        if self.condemned.lock().insert(id) {
            self.condemned_count.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
