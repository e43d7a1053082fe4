//! Memory budgets of connections: bytes of incomplete requests and of responses that the peer has not read.
//!
//! Each connection has a budget, and all connections of a listener share another. A stream that needs more than is left
//! waits, and the stream that has stalled longest is aborted. Small messages are not counted one by one: each open stream
//! is counted as [`STREAM_BYTES`].

mod stream;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use super::registry::Activity;
pub(super) use stream::{BudgetedStream, Kind, Reservation, abortable};

/// Memory of an open stream without its counted messages, in bytes. Measured with 100,000 idle watches.
pub(super) const STREAM_BYTES: usize = 5_200;

/// A stream with reserved bytes and no progress for this long may be aborted.
const STALL_TIME: Duration = Duration::from_secs(1);
/// How often a waiting task checks the budgets again without being woken.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Minimum time between two searches for the longest stalled stream, per connection and for all connections.
const SEARCH_INTERVAL: Duration = Duration::from_millis(10);

/// Most tasks that are registered to be woken when bytes are released.
const WAITERS_MAX: usize = 4_096;

/// The budgets of one listener.
#[derive(Debug)]
pub(super) struct Budgets {
    connection_bytes_max: usize,
    connections_bytes_max: usize,
    /// Bytes reserved by all connections, without [`Self::stream_bytes`].
    reserved: AtomicUsize,
    /// Bytes that open streams are counted as. Updated every second.
    stream_bytes: AtomicUsize,
    state: Mutex<BudgetState>,
}

#[derive(Debug, Default)]
struct BudgetState {
    /// Newest last. A task that finds the list full relies on [`RECHECK_INTERVAL`].
    waiters: Vec<Waker>,
    last_search: Option<Instant>,
    connections: Vec<std::sync::Weak<ConnectionBudget>>,
}

impl Budgets {
    pub(super) fn new(connection_bytes_max: usize, connections_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            connection_bytes_max,
            connections_bytes_max,
            reserved: AtomicUsize::new(0),
            stream_bytes: AtomicUsize::new(0),
            state: Mutex::default(),
        })
    }

    /// Bytes in use by all connections, and their bound.
    pub(super) fn memory_use(&self) -> (usize, usize) {
        (self.reserved.load(Relaxed) + self.stream_bytes.load(Relaxed), self.connections_bytes_max)
    }

    /// Counts the open streams. The caller calls this every second.
    pub(super) fn count_streams(&self) {
        let mut streams = 0;
        self.state.lock().connections.retain(|connection| match connection.upgrade() {
            Some(connection) => {
                streams += connection.activity.open_requests();
                true
            }
            None => false,
        });
        self.stream_bytes.store(streams * STREAM_BYTES, Relaxed);
    }

    fn wake_waiters(&self) {
        let waiters = std::mem::take(&mut self.state.lock().waiters);
        // The newest waiter is woken first: the peers of old waiters often read nothing.
        waiters.into_iter().rev().for_each(Waker::wake);
    }
}

/// The budget of one connection.
#[derive(Debug)]
pub(super) struct ConnectionBudget {
    budgets: Arc<Budgets>,
    activity: Arc<Activity>,
    reserved: AtomicUsize,
    /// Registered streams of the connection, by number.
    streams: Mutex<HashMap<u64, Arc<BudgetedStream>>>,
    next_number: AtomicU64,
    last_search: Mutex<Option<Instant>>,
}

/// The state of one wait for budget: when it began, and the timer of the next check.
#[derive(Debug, Default)]
pub(super) struct BudgetWait(Option<(Instant, Pin<Box<Sleep>>)>);

impl BudgetWait {
    /// Time since the wait began, zero if nothing waits.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }
}

impl ConnectionBudget {
    pub(super) fn new(budgets: &Arc<Budgets>, activity: Arc<Activity>) -> Arc<Self> {
        let budget = Arc::new(Self {
            budgets: budgets.clone(),
            activity,
            reserved: AtomicUsize::new(0),
            streams: Mutex::default(),
            next_number: AtomicU64::new(0),
            last_search: Mutex::default(),
        });
        budgets.state.lock().connections.push(Arc::downgrade(&budget));
        budget
    }

    /// Most bytes that the connection may reserve.
    pub(super) fn bytes_max(&self) -> usize {
        self.budgets.connection_bytes_max
    }

    /// Whether open streams alone use up the budget of all connections. New calls are refused then.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budgets.stream_bytes.load(Relaxed) >= self.budgets.connections_bytes_max
    }

    /// Whether a quarter of a budget is used. Above it, a stream stays open until the peer has read its response: only an
    /// open stream can be aborted.
    pub(super) fn is_above_high_water(&self) -> bool {
        self.used() > self.budgets.connection_bytes_max / 4
            || self.budgets.reserved.load(Relaxed) > self.budgets.connections_bytes_max / 4
    }

    fn used(&self) -> usize {
        self.reserved.load(Relaxed) + self.activity.open_requests() * STREAM_BYTES
    }

    fn is_full(&self) -> bool {
        self.used() >= self.budgets.connection_bytes_max && self.reserved.load(Relaxed) > 0
    }

    /// Whether both budgets have bytes left.
    pub(super) fn has_capacity(&self) -> bool {
        !self.is_full() && !self.are_all_full()
    }

    fn are_all_full(&self) -> bool {
        let Budgets { reserved, stream_bytes, connections_bytes_max, .. } = &*self.budgets;
        reserved.load(Relaxed) + stream_bytes.load(Relaxed) >= *connections_bytes_max
    }

    /// Waits until both budgets have bytes left. While it waits, the longest stalled stream is aborted.
    pub(super) fn poll_capacity(&self, wait: &mut BudgetWait, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.has_capacity() {
                wait.0 = None;
                return Poll::Ready(());
            }
            {
                let mut state = self.budgets.state.lock();
                if state.waiters.len() < WAITERS_MAX {
                    state.waiters.push(context.waker().clone());
                }
                self.abort_longest_stalled(&mut state);
            }
            let begin = || (Instant::now(), Box::pin(sleep(RECHECK_INTERVAL)));
            let (_, recheck) = wait.0.get_or_insert_with(begin);
            if recheck.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            recheck.as_mut().reset(Instant::now() + RECHECK_INTERVAL);
        }
    }

    /// Aborts the longest stalled stream: of this connection if its own budget is full, else of all connections.
    fn abort_longest_stalled(&self, state: &mut BudgetState) {
        let (now, is_own, mut own_search) = (Instant::now(), self.is_full(), self.last_search.lock());
        let last_search = if is_own { &mut *own_search } else { &mut state.last_search };
        if last_search.is_some_and(|last| now < last + SEARCH_INTERVAL) {
            return;
        }
        *last_search = Some(now);
        let stalled = match is_own {
            true => self.longest_stalled(),
            false => {
                let connections = state.connections.iter().filter_map(std::sync::Weak::upgrade);
                connections
                    .filter_map(|connection| connection.longest_stalled())
                    .min_by_key(|(since, _)| *since)
            }
        };
        if let Some((since, stream)) = stalled
            && now >= since + STALL_TIME
        {
            stream.abort();
        }
    }

    fn longest_stalled(&self) -> Option<(Instant, Arc<BudgetedStream>)> {
        let streams = self.streams.lock();
        let stalled = streams.values().filter_map(|stream| Some((stream.stalled_since()?, stream)));
        stalled.min_by_key(|(since, _)| *since).map(|(since, stream)| (since, stream.clone()))
    }

    /// Registers a stream that reserves bytes and may be aborted. Must be called in the task of the stream.
    pub(super) fn register(self: &Arc<Self>, kind: Kind) -> Arc<BudgetedStream> {
        let number = self.next_number.fetch_add(1, Relaxed);
        let stream = Arc::new(BudgetedStream::new(self.clone(), number, kind));
        self.streams.lock().insert(number, stream.clone());
        stream
    }

    fn unregister(&self, number: u64) {
        self.streams.lock().remove(&number);
    }

    fn reserve(&self, bytes: usize) {
        self.reserved.fetch_add(bytes, Relaxed);
        self.budgets.reserved.fetch_add(bytes, Relaxed);
    }

    fn release(&self, bytes: usize) {
        self.reserved.fetch_sub(bytes, Relaxed);
        self.budgets.reserved.fetch_sub(bytes, Relaxed);
        self.budgets.wake_waiters();
    }
}

#[cfg(test)]
mod tests;
