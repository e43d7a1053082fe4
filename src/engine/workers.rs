//! Workers outside the server: their sessions, and the frames that they send.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::delivery::State;
use super::session::{Orders, Outbox, TakeLimit};
use super::{Engine, LOCK_BUDGET, Pending};
use crate::clock::Now;
use crate::core::{Effects, SessionKey, Welcome};
use crate::error::Result;
use crate::job::{AttemptReport, AttemptUpdate, Hello, LeaseId, Stop, WorkerFrame, WorkerView};

/// Most frames whose acknowledgements wait for the log.
const ACKS_MAX: usize = 64;

/// The stream of a worker. Dropping it disconnects the worker; its leases stay valid until they expire.
pub(crate) struct WorkerSession {
    engine: Engine,
    key: SessionKey,
    outbox: Arc<Outbox>,
}

/// Acknowledgements of the frames of one stream, until they are durable. They outlive the session of a worker that leaves.
pub(crate) struct ReportAcks {
    engine: Engine,
    pending: VecDeque<Pending<ReportAck>>,
}

/// The acknowledgement of a frame's reports.
#[derive(Debug)]
pub(crate) struct ReportAck {
    /// The newest report of the frame.
    pub(crate) sequence: u64,
    pub(crate) refusals: Vec<Refusal>,
}

/// A rejected report, and its error.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) sequence: u64,
    pub(crate) lease: LeaseId,
    pub(crate) error: crate::error::Error,
}

impl WorkerSession {
    /// Connects a worker; its earlier stream is disconnected.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`, `Draining`; `LogFailed`.
    pub(crate) async fn connect(engine: &Engine, hello: &Hello) -> Result<(Self, Welcome)> {
        let outbox = Arc::<Outbox>::default();
        let mut replaced = None;
        engine.admitted().await?;
        let welcome = engine.command(|state, now, effects| {
            if let Some(session) = state.core.session_of_worker(hello)
                && let Some(before) = state.outboxes.get(&session)
            {
                let mut retained = before.unsent();
                retained.extend(&hello.held);
                state.core.stream_broke(now, session, |lease| retained.contains(&lease), effects);
            }
            let welcome = state.core.connect(now, hello, effects)?;
            replaced = state.replace_outbox(welcome.session, outbox.clone());
            Ok(welcome)
        });
        replaced.into_iter().for_each(Waker::wake);
        // Before the wait: the session is closed if the wait is cancelled.
        let key = welcome.value.as_ref().ok().map(|welcome| welcome.session);
        let session = key.map(|key| Self { engine: engine.clone(), key, outbox });
        let welcome = engine.release(welcome).await?;
        Ok((session.expect("a connected worker has a session"), welcome))
    }

    /// Takes the durable orders that fit into the limit.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(crate) fn poll_orders(&self, context: &Context<'_>, limit: TakeLimit) -> Poll<Result<Orders>> {
        self.outbox.poll_take(&self.engine, context, limit)
    }

    /// Applies a frame of the worker, and adds its acknowledgement.
    pub(crate) fn apply(&self, frame: WorkerFrame, acks: &mut ReportAcks) {
        let WorkerFrame { slots, renewed, accepted, reports } = frame;
        self.engine.command(|state, now, effects| {
            state.core.session_seen(now, self.key);
            if let Some(slots) = slots {
                state.core.set_slots(now, self.key, slots, effects);
            }
        });
        // A worker that renews or accepts a lost lease is ordered to stop: the errors are ignored.
        for leases in renewed.chunks(LOCK_BUDGET) {
            self.engine.command(|state, now, effects| {
                for lease in leases {
                    let _ = state.core.renew_lease(now, self.key, *lease, effects);
                }
            });
        }
        for leases in accepted.chunks(LOCK_BUDGET) {
            self.engine.command(|state, now, effects| {
                for lease in leases {
                    let _ = state.core.accept_lease(now, self.key, *lease, effects);
                }
            });
        }
        let Some(sequence) = reports.iter().map(|report| report.sequence).max() else { return };
        let mut refusals = Vec::new();
        let mut reports = reports.into_iter().peekable();
        while reports.peek().is_some() {
            if !self.apply_reports(reports.by_ref().take(LOCK_BUDGET), &mut refusals) {
                return;
            }
        }
        let ack = ReportAck { sequence, refusals };
        acks.pending.push_back(Pending { value: ack, position: self.engine.position() });
    }

    /// Applies reports. Returns whether it did: not if a newer stream of the worker has replaced this one.
    fn apply_reports(
        &self,
        reports: impl Iterator<Item = AttemptReport>,
        refusals: &mut Vec<Refusal>,
    ) -> bool {
        let applied = self.engine.command(|state, now, effects| {
            // The welcome of the newer stream states which reports were taken.
            if !state.is_outbox(self.key, &self.outbox) {
                return false;
            }
            for AttemptReport { sequence, lease, update } in reports {
                if !state.core.take_report(self.key, sequence, effects) {
                    continue;
                }
                let applied = update.and_then(|update| match update {
                    AttemptUpdate::Report(report) => state.core.report(now, self.key, lease, report, effects),
                    AttemptUpdate::End(end) => {
                        let ended = state.core.end_attempt(now, self.key, lease, end, effects);
                        ended.inspect_err(|_| state.core.end_refused(self.key, sequence, lease))
                    }
                });
                if let Err(error) = applied {
                    refusals.push(Refusal { sequence, lease, error });
                }
            }
            true
        });
        applied.value
    }

    /// The worker closed its side.
    pub(crate) fn leave(self) {
        self.engine.command(|state, now, effects| {
            if state.is_outbox(self.key, &self.outbox) {
                self.stream_broke(state, now, effects);
                state.core.leave(now, self.key, effects);
            }
        });
    }

    /// The stream broke, and not because the server ended it.
    pub(crate) fn broke(self) {
        self.engine.command(|state, now, effects| {
            if state.is_outbox(self.key, &self.outbox) {
                self.stream_broke(state, now, effects);
                state.core.log_lost_worker(self.key, "its connection broke", effects);
            }
        });
    }

    /// The stream broke: an attempt that was sent and is not accepted may be the cause.
    fn stream_broke(&self, state: &mut State, now: Now, effects: &mut Effects) {
        let unsent = self.outbox.unsent();
        state.core.stream_broke(now, self.key, |lease| unsent.contains(&lease), effects);
    }
}

impl ReportAcks {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, pending: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Waits until another frame may be applied: backpressure of the log.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(crate) fn poll_ready(&self, context: &Context<'_>) -> Poll<Result<()>> {
        if self.pending.len() >= ACKS_MAX {
            // The first acknowledgement wakes the task.
            return Poll::Pending;
        }
        self.engine.poll_admission(context)
    }

    /// The next acknowledgement, once it is durable.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(crate) fn poll_next(&mut self, context: &Context<'_>) -> Poll<Result<ReportAck>> {
        let Some(first) = self.pending.front() else { return Poll::Pending };
        self.engine.poll_durable(first.position, context).map(|durable| {
            durable?;
            Ok(self.pending.pop_front().expect("it was there").value)
        })
    }
}

impl Drop for WorkerSession {
    fn drop(&mut self) {
        self.engine.command(|state, now, effects| {
            // Not if the worker has connected again.
            if state.is_outbox(self.key, &self.outbox) {
                state.outboxes.remove(&self.key);
                state.core.disconnect(now, self.key, effects);
            }
        });
    }
}

impl Engine {
    /// Applies reports of attempts that were leased by a unary call, and renews their leases and the others. Returns the result
    /// of each report, and the leases whose attempts must end: among them those of other principals than this one.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(crate) async fn unary_reports(
        &self,
        principal: Option<&Arc<str>>,
        reports: Vec<(LeaseId, Result<AttemptUpdate>)>,
        renewed: &[LeaseId],
    ) -> Result<(Vec<Result<()>>, Vec<(LeaseId, Stop)>)> {
        self.admitted().await?;
        let (mut results, mut stops) = (Vec::with_capacity(reports.len()), Vec::new());
        for (lease, update) in reports {
            let ends = matches!(update, Ok(AttemptUpdate::End(_)));
            let (result, stop) = self.unary_report(principal, lease, Some(update));
            let is_over = ends && result.is_ok();
            stops.extend(stop.filter(|_| !is_over).map(|stop| (lease, stop)));
            results.push(result);
        }
        for &lease in renewed {
            // The error of a lost lease is in its stop.
            let (_, stop) = self.unary_report(principal, lease, None);
            stops.extend(stop.map(|stop| (lease, stop)));
        }
        let pending = Pending { value: Ok((results, stops)), position: self.position() };
        self.release(pending).await
    }

    fn unary_report(
        &self,
        principal: Option<&Arc<str>>,
        lease: LeaseId,
        update: Option<Result<AttemptUpdate>>,
    ) -> (Result<()>, Option<Stop>) {
        let report = |state: &mut State, now: Now, session: Result<SessionKey>, effects: &mut Effects| {
            let session = session?;
            state.core.session_seen(now, session);
            state.core.renew_lease(now, session, lease, effects)?;
            match update.transpose()? {
                Some(AttemptUpdate::Report(report)) => {
                    state.core.report(now, session, lease, report, effects)
                }
                Some(AttemptUpdate::End(end)) => state.core.end_attempt(now, session, lease, end, effects),
                None => Ok(()),
            }
        };
        let pending = self.command(|state, now, effects| {
            let session = state.core.session_of(lease, principal);
            let is_own = session.is_ok();
            let result = report(state, now, session, effects);
            (result, if is_own { state.core.stop_of(now, lease) } else { Some(Stop::Revoke) })
        });
        pending.value
    }

    /// Workers after this number, oldest first, at most `limit`; and whether there are more.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub async fn workers(&self, after: u64, limit: usize) -> Result<(Vec<WorkerView>, bool)> {
        self.read(|state, now| Ok(state.core.workers(now, after, limit))).await
    }

    /// Drains remote workers within this time: the one with this id, or all with this name.
    ///
    /// # Errors
    ///
    /// `WorkerNotFound`, `WorkerInServer`.
    pub async fn drain_workers(&self, id_or_name: &str, within: Duration) -> Result<Vec<WorkerView>> {
        self.drain_workers_if(id_or_name, within, |_| true).await
    }

    /// As [`Engine::drain_workers`], of the workers that may be drained. The others do not exist for the caller.
    pub(crate) async fn drain_workers_if(
        &self,
        id_or_name: &str,
        within: Duration,
        may_drain: impl Fn(&WorkerView) -> bool,
    ) -> Result<Vec<WorkerView>> {
        self.call(|state, now, effects| state.core.drain_workers(now, id_or_name, within, may_drain, effects))
            .await
    }
}
