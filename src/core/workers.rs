//! Sessions of workers: connections, leases, heartbeats, and lost workers.
//!
//! A worker reads its messages in order. If its stream breaks, the oldest offer that it received and did not accept may
//! be the cause; later offers are not.
//!
//! A lease is valid until it expires, whether the worker is connected or not. A worker that reconnects in time
//! continues its attempts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::effects::{Effect, Effects, LogLine, WorkerChange};
use super::keys::{JobKey, SessionKey, worker_id};
use super::record::{Link, Record};
use super::refusals::{draining, full, lease_lost, worker_in_server, worker_not_found};
use super::sessions::{Capabilities, LEASE_BYTES, session_bytes};
use super::state::Core;
use crate::clock::Now;
use crate::error::Result;
use crate::job::{Drain, Failure, FailureReason, Hello, LeaseId, Peer, SessionSpec, Stop, WorkerView};

/// A peer is disconnected after so many silent ping intervals.
pub(crate) const SILENT_INTERVALS_MAX: u32 = 3;

/// Most drained workers in a response.
const DRAINED_SHOWN_MAX: usize = 1_000;

/// Most refused ends of attempts that a session has for a reconnect of its worker. So many fit into the smallest message that a
/// worker may read.
pub(crate) const REFUSED_ENDS_MAX: usize = 100;

/// The result of no report is known: the server has no session of the worker.
const ALL_REPORTS: u64 = i64::MAX as u64;

/// From this number on, each broken stream counts as a lost attempt of the suspected job.
const BROKEN_STREAMS_MAX: u32 = 3;

/// The state of a worker after it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) session: SessionKey,
    /// Leases of the worker that are valid.
    pub(crate) valid_leases: Vec<LeaseId>,
    /// The number of its newest report.
    pub(crate) reports_taken: u64,
    /// The numbers and leases of refused ends of leases that the worker names.
    pub(crate) refused_ends: Vec<(u64, LeaseId)>,
    /// It is not known which reports up to this one were refused, except `refused_ends`.
    pub(crate) reports_unknown: u64,
}

impl Core {
    /// Opens a session of the server's own workers. It may receive assignments at once.
    pub(crate) fn open_session(&mut self, now: Now, spec: &SessionSpec, effects: &mut Effects) -> SessionKey {
        let key = self.sessions.open(now, spec, Link::Pool, Peer::default());
        self.activate_session(now, key, effects);
        key
    }

    /// Closes a session. Its attempts are lost and count as such; its offers are requeued.
    pub(crate) fn close_session(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        self.deactivate_session(key);
        let Some(session) = self.sessions.get(key) else { return };
        let message = format!("worker {} went away during the attempt", session.name);
        if let (Some(instance), 1..) = (session.instance(), session.reports_taken) {
            effects.record(|| Record::ReportsTaken(instance, 0));
        }
        let jobs = self.jobs_of(key);
        for job in &jobs {
            self.leave_session(*job, true, effects);
        }
        self.sessions.remove(key);
        self.requeue_or_fail(now, jobs, &message, effects);
    }

    /// Requeues the offered ones of these jobs, and fails the attempts of the others, because their worker is lost. The
    /// newest job is handled first: each one is requeued before the earlier ones.
    pub(super) fn requeue_or_fail(
        &mut self,
        now: Now,
        jobs: Vec<JobKey>,
        message: &str,
        effects: &mut Effects,
    ) {
        for job in jobs.into_iter().rev() {
            if self.table[job].is_offered() {
                self.requeue_offered(now, job, effects);
            } else {
                let failure = Failure::new(FailureReason::WorkerLost, message);
                self.attempt_failed(now, job, failure, None, effects);
            }
        }
    }

    /// Counts a broken or replaced stream against the job that may have caused it. [`Core::disconnect`] or
    /// [`Core::connect`] follows. `is_spared` is true for leases that the worker did not receive or still has.
    ///
    /// The count is reset when the job is accepted, and by a restart.
    pub(crate) fn stream_broke(
        &mut self,
        now: Now,
        session: SessionKey,
        is_spared: impl Fn(LeaseId) -> bool,
        effects: &mut Effects,
    ) {
        let is_suspect = |job: &JobKey| {
            let entry = &self.table[*job];
            entry.is_offered() && entry.active().is_some_and(|active| !is_spared(active.lease))
        };
        let Some(suspect) = self.jobs_of(session).into_iter().find(is_suspect) else { return };
        let breaks = self.broken_streams.get(&suspect).map_or(1, |breaks| breaks + 1);
        if breaks >= BROKEN_STREAMS_MAX {
            // The attempt begins, so that it counts as lost.
            self.begin_attempt(now, suspect, effects);
        }
        self.broken_streams.insert(suspect, breaks);
    }

    /// Connects or reconnects a worker. Jobs that a reconnected worker does not have any more are requeued.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`; `Draining` for a new worker.
    pub(crate) fn connect(&mut self, now: Now, hello: &Hello, effects: &mut Effects) -> Result<Welcome> {
        let known = self.session_of_worker(hello);
        let bytes = session_bytes(&hello.spec, &hello.peer, hello.held.len());
        self.check_worker_limits(bytes, known)?;
        let session = match known {
            Some(session) => session,
            None => {
                let (link, peer) = (Link::Stream(hello.instance), hello.peer.clone());
                let session = self.sessions.open(now, &hello.spec, link, peer);
                if let Some(open) = self.sessions.get_mut(session) {
                    // The worker was connected to an earlier server or session. Invalid leases have to be stopped
                    // first.
                    open.revoked = hello.held.iter().copied().collect();
                    open.reports_unknown = if hello.held.is_empty() { 0 } else { ALL_REPORTS };
                }
                session
            }
        };
        self.sessions.set_bytes(session, bytes);
        self.deactivate_session(session);
        let valid_leases = self.reconcile_leases(now, session, &hello.held, effects);
        let (refused_ends, reports_unknown) = self.unread_refusals(session, &hello.held);
        let (mut reports_taken, mut drain_deadline) = (0, None);
        if let Some(open) = self.sessions.get_mut(session) {
            open.name = hello.spec.name.as_str().into();
            open.capabilities = Capabilities::of(&hello.spec, &hello.peer);
            open.slots = hello.spec.slots;
            open.peer = hello.peer.clone();
            open.connected = true;
            open.last_seen = now.monotonic;
            (reports_taken, drain_deadline) = (open.reports_taken, open.drain_deadline);
        }
        self.sessions.set_timer(session, Some(now.monotonic.saturating_add(self.silence_max())));
        for lease in &valid_leases {
            // The worker may have missed a cancel.
            if let Some(stop) = self.stop_of(now, *lease) {
                effects.push(Effect::Stop(session, *lease, stop));
            }
        }
        match drain_deadline {
            Some(deadline) => {
                let within = deadline.saturating_sub(now.monotonic);
                effects.push(Effect::Drain(session, Drain { within, server_shutdown: false }));
            }
            None => self.activate_session(now, session, effects),
        }
        let change = match known {
            Some(_) => WorkerChange::Reconnected,
            None => WorkerChange::Joined { kinds: hello.spec.kinds.len(), slots: hello.spec.slots },
        };
        self.log_worker(session, change, effects);
        Ok(Welcome { session, valid_leases, reports_taken, refused_ends, reports_unknown })
    }

    /// Disconnects a worker. Its offers are requeued, its leases expire after the reconnect grace.
    pub(crate) fn disconnect(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        self.deactivate_session(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.connected = false;
        let is_unary = session.link.is_unary();
        let grace_end = now.monotonic.saturating_add(self.options.reconnect_grace);
        let mut offered = Vec::new();
        for job in self.jobs_of(key) {
            if self.table[job].is_offered() {
                self.leave_session(job, true, effects);
                offered.push(job);
            } else if let Some(active) = self.table[job].active_mut()
                && !is_unary
            {
                active.lease_deadline = active.lease_deadline.min(grace_end.into());
                self.arm_attempt(job);
            }
        }
        if !is_unary {
            let session_timeout = self.options.lease.max(self.options.reconnect_grace);
            self.sessions.set_timer(key, Some(now.monotonic.saturating_add(session_timeout)));
        }
        self.requeue_or_fail(now, offered, "", effects);
        self.remove_if_done(key);
    }

    /// Closes the stream of a worker that will not reconnect. Its attempts are lost.
    pub(crate) fn leave(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        match self.running_of(key) {
            0 => self.log_worker(key, WorkerChange::Left, effects),
            _ => self.log_lost_worker(key, "it closed its stream during attempts", effects),
        }
        match self.sessions.get(key).is_some_and(|session| session.jobs.is_empty()) {
            true => self.close_session(now, key, effects),
            false => self.disconnect(now, key, effects),
        }
    }

    /// Begins the attempt of an offer that the worker accepts.
    ///
    /// # Errors
    ///
    /// `LeaseLost`.
    pub(crate) fn accept_lease(
        &mut self,
        now: Now,
        session: SessionKey,
        lease: LeaseId,
        effects: &mut Effects,
    ) -> Result<()> {
        let key = self.leased_job(session, lease)?;
        if self.table[key].is_offered() {
            self.begin_attempt(now, key, effects);
        }
        Ok(())
    }

    /// Extends a lease. Accepts it if it was not accepted yet.
    ///
    /// # Errors
    ///
    /// `LeaseLost`.
    pub(crate) fn renew_lease(
        &mut self,
        now: Now,
        session: SessionKey,
        lease: LeaseId,
        effects: &mut Effects,
    ) -> Result<()> {
        self.accept_lease(now, session, lease, effects)?;
        let key = self.leased_job(session, lease)?;
        let lease_deadline = now.monotonic.saturating_add(self.options.lease);
        if let Some(active) = self.table[key].active_mut() {
            active.renew(lease_deadline);
        }
        self.arm_attempt(key);
        Ok(())
    }

    /// Records the time of a message from the worker.
    pub(crate) fn session_seen(&mut self, now: Now, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.last_seen = now.monotonic;
        }
    }

    /// Whether a report of the worker is new. Repeated reports are ignored. The effects of a report belong to the same
    /// command, so that both are recorded or neither.
    pub(crate) fn take_report(&mut self, key: SessionKey, sequence: u64, effects: &mut Effects) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return true };
        if sequence <= session.reports_taken {
            return false;
        }
        session.reports_taken = sequence;
        session.reports_unknown = session.reports_unknown.min(sequence - 1);
        if let Some(instance) = session.instance() {
            effects.record_reports_taken(instance, sequence);
        }
        true
    }

    /// Retains the number of a report that ended an attempt and was refused: the worker may reconnect before it has read the
    /// refusal.
    pub(crate) fn end_refused(&mut self, key: SessionKey, sequence: u64, lease: LeaseId) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let mut bytes = session.bytes + LEASE_BYTES as u64;
        session.refused_ends.push_back((sequence, lease));
        if session.refused_ends.len() > REFUSED_ENDS_MAX
            && let Some((forgotten, _)) = session.refused_ends.pop_front()
        {
            session.reports_unknown = forgotten;
            bytes = session.bytes;
        }
        self.sessions.set_bytes(key, bytes);
    }

    /// The earlier session of a worker, if there is one.
    pub(crate) fn session_of_worker(&self, hello: &Hello) -> Option<SessionKey> {
        self.sessions.of_link(Link::Stream(hello.instance), hello.peer.principal.as_ref())
    }

    /// The session of the lease, which belongs to this principal.
    ///
    /// # Errors
    ///
    /// `LeaseLost`, also for a lease of another principal.
    pub(crate) fn session_of(&self, lease: LeaseId, principal: Option<&Arc<str>>) -> Result<SessionKey> {
        let (_, key) = self.find_lease(lease).ok_or_else(lease_lost)?;
        let is_own = self.sessions.get(key).is_some_and(|of| of.peer.principal.as_ref() == principal);
        if is_own { Ok(key) } else { Err(lease_lost()) }
    }

    /// The order to end the attempt with this lease, if there is one.
    pub(crate) fn stop_of(&self, now: Now, lease: LeaseId) -> Option<Stop> {
        let Some((key, _)) = self.find_lease(lease) else { return Some(Stop::Revoke) };
        let cancel = self.table[key].active()?.cancel.as_deref()?;
        Some(Stop::Cancel(cancel.force_at.saturating_sub(now.monotonic)))
    }

    /// Drains the workers with this id or name that may be drained: they receive no further jobs. The others do not exist for
    /// the caller. Returns the oldest of them, at most 1,000.
    ///
    /// # Errors
    ///
    /// `WorkerNotFound`; `WorkerInServer` if all of them are the server's own.
    pub(crate) fn drain_workers(
        &mut self,
        now: Now,
        id_or_name: &str,
        within: Duration,
        may_drain: impl Fn(&WorkerView) -> bool,
        effects: &mut Effects,
    ) -> Result<Vec<WorkerView>> {
        let named = |key: &SessionKey| {
            worker_id(*key) == id_or_name || *self.sessions.sessions[key].name == *id_or_name
        };
        let mut keys: Vec<_> = self.sessions.in_order().into_iter().filter(named).collect();
        keys.retain(|key| self.worker(now, *key).is_some_and(|worker| may_drain(&worker)));
        if keys.is_empty() {
            return Err(worker_not_found(id_or_name));
        }
        keys.retain(|key| self.sessions.sessions[key].link != Link::Pool);
        if keys.is_empty() {
            return Err(worker_in_server(id_or_name));
        }
        for key in &keys {
            self.deactivate_session(*key);
            if let Some(session) = self.sessions.get_mut(*key) {
                session.drain_deadline = Some(now.monotonic.saturating_add(within));
            }
            effects.push(Effect::Drain(*key, Drain { within, server_shutdown: false }));
            self.log_worker(*key, WorkerChange::Draining { within }, effects);
        }
        Ok(keys.into_iter().take(DRAINED_SHOWN_MAX).filter_map(|key| self.worker(now, key)).collect())
    }

    /// Handles the timer of a session: the worker was silent, or did not reconnect.
    pub(super) fn session_due(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        if !session.connected {
            return self.close_session(now, key, effects);
        }
        let silent_at = session.last_seen.saturating_add(self.silence_max());
        if silent_at > now.monotonic {
            return self.sessions.set_timer(key, Some(silent_at));
        }
        effects.push(Effect::Disconnect(key));
        self.log_lost_worker(key, "it sent no message for three ping intervals", effects);
        self.disconnect(now, key, effects);
    }

    /// Logs that the connection of a worker is lost. [`Core::disconnect`] follows.
    pub(crate) fn log_lost_worker(&self, key: SessionKey, reason: &'static str, effects: &mut Effects) {
        let change = match self.running_of(key) {
            // Workers disconnect when the server shuts down.
            0 if self.draining => WorkerChange::Left,
            running => WorkerChange::Lost { running, reason },
        };
        self.log_worker(key, change, effects);
    }

    fn log_worker(&self, key: SessionKey, change: WorkerChange, effects: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        // The session of a Lease call is no worker that stays.
        if let Link::Stream(_) = session.link {
            let (name, address) = (session.name.clone(), session.peer.address.clone());
            effects.push(Effect::Log(Box::new(LogLine::Worker {
                id: worker_id(key),
                name,
                address,
                change,
            })));
        }
    }

    /// The number of attempts that run in the session.
    fn running_of(&self, key: SessionKey) -> usize {
        self.jobs_of(key).into_iter().filter(|job| !self.table[*job].is_offered()).count()
    }

    /// Compares the leases that the worker names with those of the session. Returns the valid ones.
    fn reconcile_leases(
        &mut self,
        now: Now,
        session: SessionKey,
        held: &[LeaseId],
        effects: &mut Effects,
    ) -> Vec<LeaseId> {
        let named: HashSet<LeaseId> = held.iter().copied().collect();
        let is_named =
            |job: &JobKey| self.table[*job].active().is_some_and(|active| named.contains(&active.lease));
        let gone: Vec<_> = self.jobs_of(session).into_iter().filter(|job| !is_named(job)).collect();
        for job in &gone {
            self.leave_session(*job, true, effects);
        }
        let mut valid_leases = held.to_vec();
        valid_leases.retain(|lease| self.renew_lease(now, session, *lease, effects).is_ok());
        let valid: HashSet<LeaseId> = valid_leases.iter().copied().collect();
        if let Some(open) = self.sessions.get_mut(session) {
            // Handlers of invalid leases that the worker names may still run. Handlers of leases that it does not name
            // have stopped.
            open.revoked.retain(|lease| named.contains(lease) && !valid.contains(lease));
            open.taken = (valid.len() + open.revoked.len()) as u32;
        }
        let name = self.sessions.get(session).map(|open| open.name.clone()).unwrap_or_default();
        self.requeue_or_fail(now, gone, &format!("worker {name} reconnected without the attempt"), effects);
        valid_leases
    }

    /// The refused ends of these leases, and up to which report others may be missing. The worker has read the refusals of
    /// all other leases.
    fn unread_refusals(&mut self, session: SessionKey, held: &[LeaseId]) -> (Vec<(u64, LeaseId)>, u64) {
        let Some(open) = self.sessions.get_mut(session) else { return (Vec::new(), 0) };
        let held: HashSet<&LeaseId> = held.iter().collect();
        open.refused_ends.retain(|(_, lease)| held.contains(lease));
        (open.refused_ends.iter().copied().collect(), open.reports_unknown)
    }

    fn silence_max(&self) -> Duration {
        self.options.ping_interval.saturating_mul(SILENT_INTERVALS_MAX)
    }

    /// Refuses a new worker while the server drains or the limit is reached, and any worker above the bound of bytes.
    /// `known` is its earlier session.
    pub(super) fn check_worker_limits(&self, bytes: u64, known: Option<SessionKey>) -> Result<()> {
        if self.draining && known.is_none() {
            return Err(draining());
        }
        let workers_max = self.options.workers_max;
        if known.is_none() && self.sessions.sessions.len() >= workers_max {
            let message = format!("{workers_max} workers are connected, the limit: try again later");
            return Err(full("WORKERS_FULL", message));
        }
        let before = known.and_then(|known| self.sessions.get(known)).map_or(0, |session| session.bytes);
        let (others, bytes_max) = (self.sessions.bytes - before, self.options.worker_bytes_max);
        if others + bytes <= bytes_max {
            return Ok(());
        }
        let message = format!(
            "workers have {others} bytes of names, kinds and queues and {bytes} more exceed the limit of {bytes_max}: \
             serve fewer kinds and queues, or raise worker_bytes_max"
        );
        Err(full("WORKERS_FULL", message))
    }
}
