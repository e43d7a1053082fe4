//! A worker's side of its session: orders come out of a bounded channel, reports and ends go in.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;

use super::{Engine, Position};
use crate::core::{Assignment, AttemptEnd, Drain, LeaseId, Report, SessionKey, SessionSpec, Stop};
use crate::error::Result;

/// A handler that is short and never blocks: it runs on the thread that dispatched the attempt.
pub type InlineHandler = Arc<dyn Fn(Assignment) -> AttemptEnd + Send + Sync>;

/// What a worker is told to do.
#[derive(Debug)]
pub enum Order {
    /// Run an attempt.
    Run(Box<Assignment>),
    /// End the attempt with this lease; it may have ended already.
    Stop(LeaseId, Stop),
}

/// The channel to one session. It is filled in order under the engine's lock and announced after it, which a plain
/// channel cannot do: its send wakes the receiver. Slots bound it: an attempt for each, and for each attempt at most
/// one cancel and one revoke.
pub(super) struct Outbox {
    state: Mutex<Orders>,
    pub(super) inline: Option<InlineHandler>,
    /// Whether the worker is in the server: others hear nothing before it is on disk.
    is_local: bool,
}

/// What a session is told beside its orders, and who waits for it.
#[derive(Default)]
pub(crate) struct Orders {
    pub(crate) orders: VecDeque<Order>,
    /// That nothing more comes.
    pub(crate) drain: Option<Drain>,
    /// Why the session was cut off from its worker, if it was.
    pub(crate) cut: Option<Cut>,
    /// When the orders are on disk: the position for which so many of them wait, in order.
    kept_at: VecDeque<(Position, usize)>,
    waker: Option<Waker>,
}

/// Why a session's worker no longer gets its orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It was not heard of for too long.
    Silent,
    /// It connected anew.
    Replaced,
}

impl Orders {
    fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.drain.is_none() && self.cut.is_none()
    }

    pub(super) fn push(&mut self, order: Order, position: Position) {
        self.orders.push_back(order);
        match self.kept_at.back_mut() {
            Some((last, count)) if *last == position => *count += 1,
            _ => self.kept_at.push_back((position, 1)),
        }
    }

    /// Takes the first orders, as far as they are on disk, and answers what the next ones wait for.
    fn take_kept(&mut self, is_kept: impl Fn(Position) -> bool) -> (VecDeque<Order>, Option<Position>) {
        let kept = self.kept_at.iter().take_while(|(position, _)| is_kept(*position)).count();
        let count = self.kept_at.drain(..kept).map(|(_, orders)| orders).sum();
        let rest = self.orders.split_off(count);
        (std::mem::replace(&mut self.orders, rest), self.kept_at.front().map(|(position, _)| *position))
    }
}

impl Outbox {
    /// Of a worker in the server.
    fn local(inline: Option<InlineHandler>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), inline, is_local: true })
    }

    /// Of a worker elsewhere.
    pub(super) fn remote() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), inline: None, is_local: false })
    }

    /// Adds news and notes that the outbox must be announced.
    pub(super) fn tell(self: &Arc<Self>, announced: &mut Vec<Arc<Outbox>>, news: impl FnOnce(&mut Orders)) {
        let mut state = self.state.lock();
        if state.is_empty() {
            announced.push(self.clone());
        }
        news(&mut state);
    }

    /// Wakes who waits for news; a worker in the server only once it may begin what it is told.
    pub(super) fn announce(&self, engine: &Engine) {
        let (waker, position) = {
            let mut state = self.state.lock();
            let first = state.kept_at.front().filter(|_| self.is_local).map(|(position, _)| *position);
            (state.waker.take(), first.unwrap_or_default())
        };
        if let Some(waker) = waker {
            engine.wake_durable(position, waker);
        }
    }

    /// Everything told since the last call; the caller is woken when there is something if there is nothing now.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Orders> {
        self.poll_ready(context).map(|()| self.take())
    }

    /// Whether something was told that was not taken yet.
    pub(super) fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_empty() {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    pub(super) fn take(&self) -> Orders {
        std::mem::take(&mut self.state.lock())
    }
}

/// An open session. Dropping it closes it: what it still runs counts as lost.
pub struct Session {
    engine: Engine,
    key: SessionKey,
    outbox: Arc<Outbox>,
}

/// Reports and ends attempts of a session; cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    engine: Engine,
    session: SessionKey,
}

impl Session {
    pub(super) fn open(engine: Engine, spec: &SessionSpec, inline: Option<InlineHandler>) -> Self {
        let outbox = Outbox::local(inline);
        let key = engine.command(|state, now, effects| {
            let key = state.core.open_session(now, spec, effects);
            state.outboxes.insert(key, outbox.clone());
            key
        });
        Self { engine, key, outbox }
    }

    /// The orders given since the last call; waits for the first, and until it is on disk that they were given. One
    /// caller at a time; a call that is dropped loses none. Waits for good once the log failed. Attempts of an inline
    /// handler run here and are not answered.
    pub async fn orders(&mut self) -> VecDeque<Order> {
        loop {
            let orders = poll_fn(|context| self.poll_orders(context)).await;
            let Some(inline) = self.outbox.inline.clone() else { return orders };
            self.run_inline(&inline, orders);
            // What they caused may be as much again, and others want to run as well.
            tokio::task::yield_now().await;
        }
    }

    /// Runs attempts and ends all of them at once. Whoever would be stopped has ended by then.
    fn run_inline(&self, inline: &InlineHandler, orders: VecDeque<Order>) {
        let attempts = orders.into_iter().filter_map(|order| match order {
            Order::Run(assignment) => Some(*assignment),
            Order::Stop(..) => None,
        });
        let ends: Vec<_> =
            attempts.map(|assignment| (self.key, assignment.lease, inline(assignment))).collect();
        // Once the log failed, how they end is not kept.
        let _ = self.engine.change(|state, now, effects| {
            state.end_attempts(now, ends, effects);
            Ok(())
        });
    }

    /// An attempt runs only if its beginning is kept.
    fn poll_orders(&mut self, context: &Context<'_>) -> Poll<VecDeque<Order>> {
        loop {
            let awaited = {
                let mut state = self.outbox.state.lock();
                let (orders, awaited) = state.take_kept(|position| self.engine.is_kept(position));
                if !orders.is_empty() {
                    return Poll::Ready(orders);
                }
                state.waker = Some(context.waker().clone());
                awaited
            };
            let Some(position) = awaited else { return Poll::Pending };
            if ready!(self.engine.poll_durable(position, context)).is_err() {
                return Poll::Pending;
            }
        }
    }

    /// Whether orders were given that are not on disk yet.
    pub(crate) fn is_holding(&self) -> bool {
        !self.outbox.state.lock().orders.is_empty()
    }

    /// For reporting from the tasks that run the attempts.
    pub fn reporter(&self) -> Reporter {
        Reporter { engine: self.engine.clone(), session: self.key }
    }

    /// Changes how many attempts run at a time; 0 lets the present ones finish and gives nothing more.
    pub fn set_slots(&self, slots: u32) {
        self.engine.command(|state, now, effects| state.core.set_slots(now, self.key, slots, effects));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.engine.command(|state, now, effects| {
            state.outboxes.remove(&self.key);
            state.core.close_session(now, self.key, effects);
        });
    }
}

impl Reporter {
    /// Waits while more is reported than the disk takes.
    pub async fn room(&self) {
        poll_fn(|context| self.engine.poll_room(context)).await;
    }

    /// Whether the disk keeps up with what is reported.
    pub(crate) fn has_room(&self) -> bool {
        self.engine.has_room()
    }

    /// Adds progress, output or a log line to the job's events.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if the attempt no longer stands; `PayloadTooLarge` for too large a chunk.
    pub fn report(&self, lease: LeaseId, report: Report) -> Result<()> {
        self.engine.report(self.session, lease, report)
    }

    /// Ends the attempt.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if it no longer stood; the slot is free all the same.
    pub fn end(&self, lease: LeaseId, end: AttemptEnd) -> Result<()> {
        self.engine.end_attempt(self.session, lease, end)
    }
}
