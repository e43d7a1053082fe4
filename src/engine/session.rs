//! A worker's side of its session: orders come out of a bounded channel, reports and ends go in.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;

use super::turn::{self, Turn};
use super::{Engine, LOCK_BUDGET, Position};
use crate::core::SessionKey;
use crate::error::Result;
use crate::job::{AttemptEnd, Drain, InlineHandler, LeaseId, Order, Report, SessionSpec};

/// The channel to one session. It is filled in order under the engine's lock and announced after it, which a plain
/// channel cannot do: its send wakes the receiver. Slots bound it: an attempt for each, and for each attempt at most
/// one cancel and one revoke.
pub(super) struct Outbox {
    state: Mutex<Orders>,
    pub(super) inline: Option<Inline>,
    /// Whether the worker is in the server: others hear nothing before it is on disk.
    is_local: bool,
}

/// A short handler, and the session whose attempts it runs.
#[derive(Clone)]
pub(super) struct Inline {
    pub(super) session: SessionKey,
    pub(super) handler: InlineHandler,
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
    /// How many threads run what they took.
    at_work: usize,
    /// Whether who waits wants to know when no thread does any more.
    awaits_rest: bool,
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

    /// Takes the first orders, as many as fit into so many bytes as elements of a message; the first of all even if it is
    /// larger, if `may_exceed`. The rest stays. That nothing more comes is answered with the last.
    fn take_fitting(&mut self, bytes_max: usize, may_exceed: bool) -> Self {
        let mut taken = Self { cut: self.cut.take(), ..Self::default() };
        let mut bytes = 0;
        while let Some(order) = self.orders.front() {
            bytes += order.wire_bytes_max();
            if bytes > bytes_max && !(may_exceed && taken.orders.is_empty()) {
                break;
            }
            taken.orders.extend(self.orders.pop_front());
        }
        if self.orders.is_empty() {
            taken.drain = self.drain.take();
            // Positions matter to workers in the server only, which take all orders of a position.
            self.kept_at.clear();
        }
        taken
    }

    /// Takes the first orders, as far as they are on disk, and answers what the next ones wait for.
    fn take_kept(&mut self, is_kept: impl Fn(Position) -> bool) -> (VecDeque<Order>, Option<Position>) {
        let kept = self.kept_at.iter().take_while(|(position, _)| is_kept(*position)).count();
        let count: usize = self.kept_at.drain(..kept).map(|(_, orders)| orders).sum();
        (self.orders.drain(..count).collect(), self.kept_at.front().map(|(position, _)| *position))
    }

    /// [`Orders::take_kept`] for a thread that runs them at once.
    fn begin_kept(&mut self, is_kept: impl Fn(Position) -> bool) -> (VecDeque<Order>, Option<Position>) {
        self.at_work += 1;
        self.take_kept(is_kept)
    }

    /// The thread has run them. Answers who waits for that.
    fn end_kept(&mut self) -> Option<Waker> {
        self.at_work -= 1;
        let is_awaited = self.at_work == 0 && std::mem::take(&mut self.awaits_rest);
        self.waker.take_if(|_| is_awaited)
    }
}

impl Inline {
    /// Runs attempts and ends many of them at once. Whoever would be stopped has ended by then.
    fn run(&self, engine: &Engine, mut orders: VecDeque<Order>) {
        while !orders.is_empty() {
            let count = orders.len().min(LOCK_BUDGET);
            let mut ends = Vec::with_capacity(count);
            for order in orders.drain(..count) {
                if let Order::Run(assignment) = order {
                    ends.push((self.session, assignment.lease, (self.handler)(*assignment)));
                }
            }
            // Once the log failed, how they end is not kept.
            let _ = engine.change(|state, now, effects| {
                state.end_attempts(now, ends, effects);
                Ok(())
            });
        }
    }
}

impl Outbox {
    /// Of a worker in the server.
    fn local(inline: Option<Inline>) -> Arc<Self> {
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
    pub(super) fn announce(self: &Arc<Self>, engine: &Engine) {
        let taker = self.inline.as_ref().and_then(|_| turn::taker_here(engine));
        let (first, waker) = {
            let mut state = self.state.lock();
            let first = state.kept_at.front().filter(|_| self.is_local).map(|(position, _)| *position);
            (first.unwrap_or_default(), state.waker.take_if(|_| taker.is_none()))
        };
        if let Some(taker) = taker {
            taker.take(first, Turn::of(self.clone()));
        } else if let Some(waker) = waker {
            engine.wake_durable(first, waker);
        }
    }

    /// Wakes who waits for news.
    pub(super) fn wake(&self) {
        let waker = self.state.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Runs the attempts that are on disk and ends all of them at once; answers what the rest waits for.
    pub(super) fn run_kept(&self, engine: &Engine) -> Option<Position> {
        let inline = self.inline.as_ref()?;
        let (orders, awaited) = self.state.lock().begin_kept(|position| engine.is_kept(position));
        inline.run(engine, orders);
        let waker = self.state.lock().end_kept();
        if let Some(waker) = waker {
            waker.wake();
        }
        awaited
    }

    /// What was told and not taken yet, as much as fits into so many bytes of a message; at least one order if
    /// `may_exceed`. The caller is woken when there is something if there is nothing now.
    pub(super) fn poll_fitting(
        &self,
        context: &Context<'_>,
        bytes_max: usize,
        may_exceed: bool,
    ) -> Poll<Orders> {
        self.poll_ready(context).map(|()| self.state.lock().take_fitting(bytes_max, may_exceed))
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

    /// The leases of attempts that were not taken to be sent.
    pub(super) fn unsent(&self) -> HashSet<LeaseId> {
        let state = self.state.lock();
        let lease = |order: &Order| match order {
            Order::Run(assignment) => Some(assignment.lease),
            Order::Stop(..) => None,
        };
        state.orders.iter().filter_map(lease).collect()
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
        let (key, outbox) = engine.command(|state, now, effects| {
            let session = state.core.open_session(now, spec, effects);
            let outbox = Outbox::local(inline.map(|handler| Inline { session, handler }));
            state.outboxes.insert(session, outbox.clone());
            (session, outbox)
        });
        Self { engine, key, outbox }
    }

    /// The orders given since the last call; waits for the first, and until it is on disk that they were given. One
    /// caller at a time; a call that is dropped loses none. Waits for good once the log failed. Attempts of an inline
    /// handler run here and are not answered.
    pub async fn orders(&mut self) -> VecDeque<Order> {
        loop {
            let orders = poll_fn(|context| self.poll_orders(context)).await;
            let Some(inline) = &self.outbox.inline else { return orders };
            inline.run(&self.engine, orders);
            // What they caused may be as much again, and others want to run as well.
            tokio::task::yield_now().await;
        }
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

    /// Whether orders were given that are not on disk yet, or run where they were given.
    pub(crate) fn is_holding(&self) -> bool {
        let mut state = self.outbox.state.lock();
        state.awaits_rest = state.at_work > 0;
        state.awaits_rest || !state.orders.is_empty()
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
