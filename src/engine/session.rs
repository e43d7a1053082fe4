//! The worker's side of a session: orders come from a bounded channel, reports and ends of attempts go to the core.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;

use super::durable::Pending;
use super::{Engine, LOCK_BUDGET, Position};
use crate::core::SessionKey;
use crate::error::Result;
use crate::job::{AttemptEnd, Drain, InlineHandler, LeaseId, Order, Report, SessionSpec};

/// The channel to one session. It is filled in order under the engine's lock; its receiver is woken after the lock is
/// released and the orders are durable. Slots bound it: an attempt for each, and for each attempt at most one cancel and
/// one revoke.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<OutboxState>,
    pub(super) inline: Option<Inline>,
}

/// A short handler, and the session whose attempts it runs.
#[derive(Clone)]
pub(super) struct Inline {
    pub(super) session: SessionKey,
    pub(super) handler: InlineHandler,
}

#[derive(Default)]
pub(super) struct OutboxState {
    /// Each order with the log position that it waits for.
    pub(super) orders: VecDeque<(Position, Order)>,
    pub(super) drain: Option<Drain>,
    pub(super) disconnect: Option<Disconnect>,
    waker: Option<Waker>,
}

/// Orders that were taken from an outbox.
#[derive(Default)]
pub(crate) struct Orders {
    pub(crate) orders: VecDeque<Order>,
    /// Set once no further order follows.
    pub(crate) drain: Option<Drain>,
    /// Why the worker was disconnected, if it was.
    pub(crate) disconnect: Option<Disconnect>,
}

/// Why a worker was disconnected from its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disconnect {
    /// It sent nothing for too long.
    TimedOut,
    /// It connected again.
    Replaced,
}

impl Orders {
    fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.drain.is_none() && self.disconnect.is_none()
    }
}

impl OutboxState {
    fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.drain.is_none() && self.disconnect.is_none()
    }

    /// Takes the durable orders that fit into `limit`, the reason of a disconnect, and, after the last order, the drain. Returns
    /// the position that the next order waits for if it is not durable.
    fn take(&mut self, durable: Position, limit: TakeLimit) -> (Orders, Option<Position>) {
        let mut taken = Orders { disconnect: self.disconnect.take(), ..Orders::default() };
        let mut bytes = 0;
        while let Some((position, order)) = self.orders.front() {
            if *position > durable {
                return (taken, Some(*position));
            }
            bytes += order.wire_bytes_max();
            if bytes > limit.bytes && !(limit.may_exceed && taken.orders.is_empty()) {
                return (taken, None);
            }
            taken.orders.extend(self.orders.pop_front().map(|(_, order)| order));
        }
        taken.drain = self.drain.take();
        (taken, None)
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
    /// Runs attempts and ends many of them at once. A stop is ignored: its attempt has ended by then.
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
    /// Adds to the orders. The outbox is added to `woken` if its receiver has to be woken.
    pub(super) fn add(self: &Arc<Self>, woken: &mut Vec<Arc<Outbox>>, add: impl FnOnce(&mut OutboxState)) {
        let mut state = self.state.lock();
        if state.is_empty() {
            woken.push(self.clone());
        }
        add(&mut state);
    }

    /// Takes the receiver's waker, if the receiver waits.
    pub(super) fn take_waker(&self) -> Option<Waker> {
        self.state.lock().waker.take()
    }

    /// Takes the durable orders that fit into the limit. Registers the waker if there are none.
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

    /// Waits for an order, a drain or a disconnect, durable or not.
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
        let lease = |(_, order): &(Position, Order)| match order {
            Order::Run(assignment) => Some(assignment.lease),
            Order::Stop(..) => None,
        };
        state.orders.iter().filter_map(lease).collect()
    }
}

/// An open session. Dropping it closes it: its running attempts count as lost.
pub(crate) struct Session {
    engine: Engine,
    key: SessionKey,
    outbox: Arc<Outbox>,
}

/// Reports and ends attempts of a session; cheap to clone. The attempts run in this process and end with it: their reports do
/// not wait until they are durable.
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
                let inline = inline.map(|handler| Inline { session, handler });
                let outbox = Arc::new(Outbox { inline, ..Outbox::default() });
                state.outboxes.insert(session, outbox.clone());
                (session, outbox)
            })
            .value;
        Self { engine, key, outbox }
    }

    /// Takes the durable orders; waits for the first. One caller at a time; a call that is dropped loses no order. Never returns
    /// once the log failed. Attempts of an inline handler run here: no order is returned then.
    pub(crate) async fn orders(&mut self) -> VecDeque<Order> {
        let taken = poll_fn(|context| self.outbox.poll_take(&self.engine, context, TakeLimit::NONE)).await;
        let Ok(Orders { orders, .. }) = taken else { return std::future::pending().await };
        let Some(inline) = &self.outbox.inline else { return orders };
        inline.run(&self.engine, orders);
        // The ends may have started as many attempts again, and other tasks have to run.
        tokio::task::yield_now().await;
        VecDeque::new()
    }

    /// Whether there are orders that were not taken, durable or not.
    pub(crate) fn has_orders(&self) -> bool {
        !self.outbox.state.lock().orders.is_empty()
    }

    /// A reporter for the tasks that run the attempts.
    pub(crate) fn reporter(&self) -> Reporter {
        Reporter { engine: self.engine.clone(), session: self.key }
    }

    /// Changes how many attempts run at a time. With 0, running attempts finish and no further one starts.
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
    /// Waits until new records are admitted: backpressure of the log.
    pub(crate) async fn admission(&self) {
        // The next report returns the failure of the log.
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
    /// `LeaseLost` if the attempt ended or its lease was lost; `PayloadTooLarge` for a chunk that is too large; `LogFailed`.
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
    /// `LeaseLost` if the attempt ended or its lease was lost; the slot is free in any case. `LogFailed`.
    pub(crate) fn end(&self, lease: LeaseId, end: AttemptEnd) -> Result<()> {
        self.engine.check_log()?;
        self.end_attempt(lease, end).value
    }

    /// [`Reporter::end`], returning once it is durable.
    ///
    /// # Errors
    ///
    /// Those of [`Reporter::end`].
    pub(crate) async fn end_durably(&self, lease: LeaseId, end: AttemptEnd) -> Result<()> {
        self.engine.check_log()?;
        let ended = self.end_attempt(lease, end);
        self.engine.release(ended).await
    }

    fn end_attempt(&self, lease: LeaseId, end: AttemptEnd) -> Pending<Result<()>> {
        self.engine
            .command(|state, now, effects| state.core.end_attempt(now, self.session, lease, end, effects))
    }
}
