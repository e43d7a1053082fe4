//! A worker's side of its session: orders come out of a bounded channel, reports and ends go in.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;

use super::{Engine, LOCK_BUDGET, Position};
use crate::core::SessionKey;
use crate::error::Result;
use crate::job::{AttemptEnd, Drain, InlineHandler, LeaseId, Order, Report, SessionSpec};

/// The channel to one session. It is filled in order under the engine's lock; its receiver is woken after the lock is
/// released and the orders are durable. Slots bound it: an attempt for each, and for each attempt at most one cancel and
/// one revoke.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<Orders>,
    pub(super) inline: Option<Inline>,
}

/// A short handler, and the session whose attempts it runs.
#[derive(Clone)]
pub(super) struct Inline {
    pub(super) session: SessionKey,
    pub(super) handler: InlineHandler,
}

/// The content of an outbox, and the waker of its receiver.
#[derive(Default)]
pub(crate) struct Orders {
    pub(crate) orders: VecDeque<Order>,
    /// That nothing more comes.
    pub(crate) drain: Option<Drain>,
    /// Why the session was cut off from its worker, if it was.
    pub(crate) cut: Option<Cut>,
    /// The log positions of the orders: so many of them wait for the position, in order.
    positions: VecDeque<(Position, usize)>,
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
        match self.positions.back_mut() {
            Some((last, count)) if *last == position => *count += 1,
            _ => self.positions.push_back((position, 1)),
        }
    }

    /// Takes the durable orders that fit into `limit`, the reason of a cut, and, behind the last order, the drain. Answers the
    /// position that the next order waits for if it is not durable.
    fn take(&mut self, durable: Position, limit: TakeLimit) -> (Self, Option<Position>) {
        let mut taken = Self { cut: self.cut.take(), ..Self::default() };
        let mut bytes = 0;
        while let Some(&(position, _)) = self.positions.front() {
            if position > durable {
                return (taken, Some(position));
            }
            let Some(order) = self.orders.front() else { break };
            bytes += order.wire_bytes_max();
            if bytes > limit.bytes && !(limit.may_exceed && taken.orders.is_empty()) {
                return (taken, None);
            }
            taken.orders.extend(self.orders.pop_front());
            self.pop_position();
        }
        taken.drain = self.drain.take();
        (taken, None)
    }

    /// The first order was taken.
    fn pop_position(&mut self) {
        if let Some((_, count)) = self.positions.front_mut() {
            *count -= 1;
            if *count == 0 {
                self.positions.pop_front();
            }
        }
    }
}

/// How many orders are taken at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TakeLimit {
    /// Most bytes, as elements of a message.
    pub(crate) bytes: usize,
    /// Whether the first order may be larger.
    pub(crate) may_exceed: bool,
}

impl TakeLimit {
    const NONE: Self = Self { bytes: usize::MAX, may_exceed: true };
}

impl Inline {
    /// Runs attempts and ends many of them at once. An attempt that is to be stopped has ended by then.
    fn run(&self, engine: &Engine, mut orders: VecDeque<Order>) {
        while !orders.is_empty() {
            let count = orders.len().min(LOCK_BUDGET);
            let mut ends = Vec::with_capacity(count);
            for order in orders.drain(..count) {
                if let Order::Run(assignment) = order {
                    ends.push((self.session, assignment.lease, (self.handler)(*assignment)));
                }
            }
            engine.command(|state, now, effects| state.end_attempts(now, ends, effects));
        }
    }
}

impl Outbox {
    fn local(inline: Option<Inline>) -> Arc<Self> {
        Arc::new(Self { inline, ..Self::default() })
    }

    /// Adds to the orders and notes that the receiver must be woken.
    pub(super) fn add(self: &Arc<Self>, woken: &mut Vec<Arc<Outbox>>, add: impl FnOnce(&mut Orders)) {
        let mut state = self.state.lock();
        if state.is_empty() {
            woken.push(self.clone());
        }
        add(&mut state);
    }

    /// The receiver's waker, if it waits.
    pub(super) fn take_waker(&self) -> Option<Waker> {
        self.state.lock().waker.take()
    }

    /// The durable orders that were not taken yet, as many as fit into the limit. If there are none, registers the waker.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(super) fn poll_take(
        &self,
        engine: &Engine,
        context: &Context<'_>,
        limit: TakeLimit,
    ) -> Poll<Result<Orders>> {
        loop {
            let awaited = {
                let mut state = self.state.lock();
                let (taken, awaited) = state.take(engine.durable_position(), limit);
                if !taken.is_empty() {
                    return Poll::Ready(Ok(taken));
                }
                state.waker = Some(context.waker().clone());
                awaited
            };
            engine.check_log()?;
            let Some(position) = awaited else { return Poll::Pending };
            ready!(engine.poll_durable(position, context))?;
        }
    }

    /// Whether there is an order, a drain or a cut, durable or not; registers the waker otherwise.
    pub(super) fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_empty() {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// The leases of attempts that were not sent.
    pub(super) fn unsent(&self) -> HashSet<LeaseId> {
        let state = self.state.lock();
        let lease = |order: &Order| match order {
            Order::Run(assignment) => Some(assignment.lease),
            Order::Stop(..) => None,
        };
        state.orders.iter().filter_map(lease).collect()
    }

    /// Everything in it, durable or not.
    pub(super) fn take_all(&self) -> Orders {
        std::mem::take(&mut self.state.lock())
    }
}

/// An open session. Dropping it closes it: what it still runs counts as lost.
pub(crate) struct Session {
    engine: Engine,
    key: SessionKey,
    outbox: Arc<Outbox>,
}

/// Reports and ends attempts of a session; cheap to clone. The attempts run in this process and end with it, so their
/// reports do not wait until they are durable.
#[derive(Clone)]
pub(crate) struct Reporter {
    engine: Engine,
    session: SessionKey,
}

impl Session {
    pub(super) fn open(engine: Engine, spec: &SessionSpec, inline: Option<InlineHandler>) -> Self {
        let (key, outbox) = engine
            .command(|state, now, effects| {
                let session = state.core.open_session(now, spec, effects);
                let outbox = Outbox::local(inline.map(|handler| Inline { session, handler }));
                state.outboxes.insert(session, outbox.clone());
                (session, outbox)
            })
            .value;
        Self { engine, key, outbox }
    }

    /// The durable orders given since the last call; waits for the first. One caller at a time; a call that is dropped loses
    /// none. Waits for ever once the log failed. Attempts of an inline handler run here: the answer is empty then.
    pub(crate) async fn orders(&mut self) -> VecDeque<Order> {
        let taken = poll_fn(|context| self.outbox.poll_take(&self.engine, context, TakeLimit::NONE)).await;
        let Ok(Orders { orders, .. }) = taken else { return std::future::pending().await };
        let Some(inline) = &self.outbox.inline else { return orders };
        inline.run(&self.engine, orders);
        // The ends may have started as many attempts again, and other tasks have to run as well.
        tokio::task::yield_now().await;
        VecDeque::new()
    }

    /// Whether orders were given that were not taken.
    pub(crate) fn is_holding(&self) -> bool {
        !self.outbox.state.lock().orders.is_empty()
    }

    /// For reporting from the tasks that run the attempts.
    pub(crate) fn reporter(&self) -> Reporter {
        Reporter { engine: self.engine.clone(), session: self.key }
    }

    /// Changes how many attempts run at a time; 0 lets the present ones finish and gives nothing more.
    pub(crate) fn set_slots(&self, slots: u32) {
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
    /// Waits until the log takes more records: backpressure.
    pub(crate) async fn admission(&self) {
        // After the log failed nothing is worth a wait.
        let _ = self.engine.admitted().await;
    }

    /// Whether [`Reporter::admission`] would not wait.
    pub(crate) fn has_capacity(&self) -> bool {
        self.engine.has_capacity()
    }

    /// Adds progress, output or a log line to the job's events.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if the attempt no longer stands; `PayloadTooLarge` for too large a chunk; `LogFailed`.
    pub(crate) fn report(&self, lease: LeaseId, report: Report) -> Result<()> {
        self.engine.check_log()?;
        let report = self
            .engine
            .command(|state, now, effects| state.core.report(now, self.session, lease, report, effects));
        report.value
    }

    /// Ends the attempt.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if it no longer stood; the slot is free all the same. `LogFailed`.
    pub(crate) fn end(&self, lease: LeaseId, end: AttemptEnd) -> Result<()> {
        self.engine.check_log()?;
        let ended = self
            .engine
            .command(|state, now, effects| state.core.end_attempt(now, self.session, lease, end, effects));
        ended.value
    }
}
