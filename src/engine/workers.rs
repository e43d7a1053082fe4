//! Workers outside the server: their sessions, and what they send, a frame at a time.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::delivery::State;
use super::session::{Cut, Orders, Outbox};
use super::{Engine, LOCK_BUDGET};
use crate::clock::Now;
use crate::core::{Effects, SessionKey, Welcome};
use crate::error::Result;
use crate::job::{
    Assignment, AttemptReport, AttemptUpdate, Hello, LeaseId, Order, Peer, SessionSpec, Stop, WorkerFrame,
    WorkerView,
};

/// The stream of a worker, as the engine sees it. Dropping it disconnects the worker; its leases run on for now.
pub(crate) struct WorkerSession {
    engine: Engine,
    key: SessionKey,
    outbox: Arc<Outbox>,
}

/// A report that was refused, and why.
pub(crate) struct Refusal {
    pub(crate) sequence: u64,
    pub(crate) lease: LeaseId,
    pub(crate) error: crate::error::Error,
}

impl WorkerSession {
    /// Connects a worker; a stream it had before is cut off.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`, `Draining`.
    pub(crate) fn connect(engine: &Engine, hello: &Hello) -> Result<(Self, Welcome)> {
        let outbox = Outbox::remote();
        let mut replaced = Vec::new();
        let welcome = engine.change(|state, now, effects| {
            if let Some(session) = state.core.session_of_instance(hello.instance)
                && let Some(before) = state.outboxes.get(&session)
            {
                let mut spared = before.unsent();
                spared.extend(&hello.held);
                state.core.stream_broke(now, session, |lease| spared.contains(&lease), effects);
            }
            let welcome = state.core.connect(now, hello, effects)?;
            if let Some(before) = state.outboxes.insert(welcome.session, outbox.clone()) {
                before.tell(&mut replaced, |orders| orders.cut = Some(Cut::Replaced));
            }
            Ok(welcome)
        })?;
        replaced.iter().for_each(|outbox| outbox.announce(engine));
        Ok((Self { engine: engine.clone(), key: welcome.session, outbox }, welcome))
    }

    /// What the worker is told since the last call, as much as fits into so many bytes of a message; if `may_exceed`, at
    /// least one order, however large.
    pub(crate) fn poll_orders(
        &self,
        context: &Context<'_>,
        bytes_max: usize,
        may_exceed: bool,
    ) -> Poll<Orders> {
        self.outbox.poll_fitting(context, bytes_max, may_exceed)
    }

    /// Does what the worker says, and answers what was refused of it.
    pub(crate) fn apply(&self, frame: WorkerFrame) -> Vec<Refusal> {
        let WorkerFrame { slots, renewed, accepted, reports } = frame;
        self.engine.command(|state, now, effects| {
            state.core.heard(now, self.key);
            if let Some(slots) = slots {
                state.core.set_slots(now, self.key, slots, effects);
            }
        });
        // Whoever names a lost lease is told of its end by an order; the answer adds nothing.
        for part in renewed.chunks(LOCK_BUDGET) {
            self.engine.command(|state, now, effects| {
                for lease in part {
                    let _ = state.core.renew_lease(now, self.key, *lease, effects);
                }
            });
        }
        for part in accepted.chunks(LOCK_BUDGET) {
            self.engine.command(|state, now, effects| {
                for lease in part {
                    let _ = state.core.accept_lease(now, self.key, *lease, effects);
                }
            });
        }
        let mut refusals = Vec::new();
        let mut reports = reports.into_iter().peekable();
        while reports.peek().is_some() {
            self.take_reports(reports.by_ref().take(LOCK_BUDGET), &mut refusals);
        }
        refusals
    }

    fn take_reports(&self, reports: impl Iterator<Item = AttemptReport>, refusals: &mut Vec<Refusal>) {
        self.engine.command(|state, now, effects| {
            for AttemptReport { sequence, lease, update } in reports {
                if !state.core.take_report(self.key, sequence, effects) {
                    continue;
                }
                let taken = update.and_then(|update| match update {
                    AttemptUpdate::Report(report) => state.core.report(now, self.key, lease, report, effects),
                    AttemptUpdate::End(end) => state.core.end_attempt(now, self.key, lease, end, effects),
                });
                if let Err(error) = taken {
                    refusals.push(Refusal { sequence, lease, error });
                }
            }
        });
    }

    /// The worker closed its side.
    pub(crate) fn leave(self) {
        self.engine.command(|state, now, effects| {
            if state.is_outbox(self.key, &self.outbox) {
                self.suspect(state, now, effects);
                state.core.leave(now, self.key, effects);
            }
        });
    }

    /// The stream broke, and not because the server ended it.
    pub(crate) fn broke(self) {
        self.engine.command(|state, now, effects| {
            if state.is_outbox(self.key, &self.outbox) {
                self.suspect(state, now, effects);
            }
        });
    }

    /// What the worker was sent and has not accepted may be why its stream ended.
    fn suspect(&self, state: &mut State, now: Now, effects: &mut Effects) {
        let unsent = self.outbox.unsent();
        state.core.stream_broke(now, self.key, |lease| unsent.contains(&lease), effects);
    }
}

impl Drop for WorkerSession {
    fn drop(&mut self) {
        self.engine.command(|state, now, effects| {
            // Not if the worker has connected anew meanwhile.
            if state.is_outbox(self.key, &self.outbox) {
                state.outboxes.remove(&self.key);
                state.core.disconnect(now, self.key, effects);
            }
        });
    }
}

/// A worker's call for jobs. Dropping it gives back what was not taken.
pub(crate) struct LeaseCall {
    engine: Engine,
    key: SessionKey,
    outbox: Arc<Outbox>,
}

impl LeaseCall {
    /// Asks for as many jobs as `spec` has slots.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`, `Draining`.
    pub(crate) fn open(engine: &Engine, spec: &SessionSpec, peer: Peer) -> Result<Self> {
        let outbox = Outbox::remote();
        let key = engine.change(|state, now, effects| {
            let key = state.core.open_unary(now, spec, peer, effects)?;
            state.outboxes.insert(key, outbox.clone());
            Ok(key)
        })?;
        Ok(Self { engine: engine.clone(), key, outbox })
    }

    /// Waits until there is a job, or nothing more can come.
    pub(crate) async fn ready(&self) {
        std::future::poll_fn(|context| self.outbox.poll_ready(context)).await;
    }

    /// Takes the jobs there are; their attempts begin.
    pub(crate) fn take(self) -> Vec<Assignment> {
        self.engine.command(|state, now, effects| {
            let orders = self.outbox.take().orders.into_iter();
            let given = orders.filter_map(|order| match order {
                Order::Run(assignment) => Some(*assignment),
                Order::Stop(..) => None,
            });
            given
                .filter(|assignment| {
                    state.core.accept_lease(now, self.key, assignment.lease, effects).is_ok()
                })
                .collect()
        })
    }
}

impl Drop for LeaseCall {
    fn drop(&mut self) {
        self.engine.command(|state, now, effects| {
            state.outboxes.remove(&self.key);
            state.core.disconnect(now, self.key, effects);
        });
    }
}

impl Engine {
    /// Takes reports of attempts that were leased by call, and keeps their leases alive.
    pub(crate) fn take_unary_report(
        &self,
        lease: LeaseId,
        update: Option<Result<AttemptUpdate>>,
    ) -> Result<()> {
        self.command(|state, now, effects| {
            let session = state.core.session_of(lease)?;
            state.core.heard(now, session);
            state.core.renew_lease(now, session, lease, effects)?;
            match update.transpose()? {
                Some(AttemptUpdate::Report(report)) => {
                    state.core.report(now, session, lease, report, effects)
                }
                Some(AttemptUpdate::End(end)) => state.core.end_attempt(now, session, lease, end, effects),
                None => Ok(()),
            }
        })
    }

    /// Why the attempt with this lease must end, if it must.
    pub(crate) fn stop_of(&self, lease: LeaseId) -> Option<Stop> {
        let state = self.0.state.lock();
        state.core.stop_of(self.now(), lease)
    }

    /// Workers after this number, oldest first, at most `limit`; and whether there are more.
    pub fn workers(&self, after: u64, limit: usize) -> (Vec<WorkerView>, bool) {
        let state = self.0.state.lock();
        state.core.workers(self.now(), after, limit)
    }

    /// Gives remote workers nothing more and has them end within this time: the one with this id, or all of this name.
    ///
    /// # Errors
    ///
    /// `WorkerNotFound`, `WorkerInServer`.
    pub async fn drain_workers(&self, id_or_name: &str, within: Duration) -> Result<Vec<WorkerView>> {
        self.change(|state, now, effects| state.core.drain_workers(now, id_or_name, within, effects))
    }
}
