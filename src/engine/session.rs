//! A worker's side of its session: orders come out of a bounded channel, reports and ends go in.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Engine;
use crate::core::{Assignment, AttemptEnd, LeaseId, Report, SessionKey, SessionSpec, Stop};
use crate::error::Result;
use crate::job::JobId;

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
    orders: Mutex<VecDeque<Order>>,
    news: Notify,
    pub(super) inline: Option<InlineHandler>,
}

impl Outbox {
    /// Adds an order and notes that the outbox must be announced.
    pub(super) fn push(self: &Arc<Self>, order: Order, announced: &mut Vec<Arc<Outbox>>) {
        let mut orders = self.orders.lock();
        if orders.is_empty() {
            announced.push(self.clone());
        }
        orders.push_back(order);
    }

    pub(super) fn announce(&self) {
        self.news.notify_one();
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
        let outbox = Arc::new(Outbox { orders: Mutex::default(), news: Notify::new(), inline });
        let key = engine.command(|state, now, effects| {
            let key = state.core.open_session(now, spec, effects);
            state.outboxes.insert(key, outbox.clone());
            key
        });
        Self { engine, key, outbox }
    }

    /// The orders given since the last call; waits for the first. One caller at a time.
    pub async fn orders(&mut self) -> VecDeque<Order> {
        loop {
            let orders = std::mem::take(&mut *self.outbox.orders.lock());
            if !orders.is_empty() {
                return orders;
            }
            self.outbox.news.notified().await;
        }
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
    /// Adds progress, output or a log line to the job's events.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if the attempt no longer stands; `PayloadTooLarge` for too large a chunk.
    pub fn report(&self, job: JobId, lease: LeaseId, report: Report) -> Result<()> {
        self.engine.report(self.session, (job, lease), report)
    }

    /// Ends the attempt.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if it no longer stood; the slot is free all the same.
    pub fn end(&self, job: JobId, lease: LeaseId, end: AttemptEnd) -> Result<()> {
        self.engine.end_attempt(self.session, (job, lease), end)
    }
}
