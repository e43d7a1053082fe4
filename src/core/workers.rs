//! Workers outside the server: who they are, what they accept and keep alive, and what follows when they are not heard of.
//!
//! A worker reads what it is sent in order. So when its stream breaks, the oldest assignment that it was sent and has not
//! accepted is suspected of it; those behind it are not.
//!
//! A lease is the worker's until it runs out, whatever becomes of the connection: a worker that comes back in time keeps
//! its attempts.

use std::collections::HashSet;
use std::time::Duration;

use super::effects::{Effect, Effects};
use super::keys::{JobKey, SessionKey, worker_id};
use super::record::{Link, Record};
use super::refusals::{draining, full, lease_lost, worker_in_server, worker_not_found};
use super::sessions::{Served, session_bytes};
use super::state::Core;
use crate::clock::Now;
use crate::error::Result;
use crate::job::{Drain, Failure, FailureReason, Hello, LeaseId, Peer, SessionSpec, Stop, WorkerView};

/// Ping intervals without a word after which either side gives the connection up.
pub(crate) const SILENT_INTERVALS_MAX: u32 = 3;

/// Most workers that are shown of those drained at once.
const DRAINED_SHOWN_MAX: usize = 1_000;

/// From so many streams on that broke on the assignment of a job, each counts as an attempt that was lost with its worker.
const BREAKS_MAX: u32 = 3;

/// What a worker finds when it connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) session: SessionKey,
    /// Those of its leases that still stand.
    pub(crate) standing: Vec<LeaseId>,
    /// The newest of its reports that was taken.
    pub(crate) reports_taken: u64,
}

impl Core {
    /// Opens a session of the server's own workers; it may get assignments at once.
    pub(crate) fn open_session(&mut self, now: Now, spec: &SessionSpec, effects: &mut Effects) -> SessionKey {
        let key = self.sessions.open(now, spec, Link::Pool, Peer::default());
        self.admit(now, key, effects);
        key
    }

    /// Ends a session: what it ran is lost and counted as such; what it had not accepted is not.
    pub(crate) fn close_session(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        self.dismiss(key);
        let Some(session) = self.sessions.get(key) else { return };
        let message = format!("worker {} went away during the attempt", session.name);
        if let (Link::Stream(instance), 1..) = (&session.link, session.reports_taken) {
            effects.record(|| Record::ReportsTaken(*instance, 0));
        }
        let held = self.held_by(key);
        for job in &held {
            self.leave_session(*job, true, effects);
        }
        self.sessions.remove(key);
        self.give_back(now, held, &message, effects);
    }

    /// What follows for jobs that were taken from a worker that is gone. The newest come first: each waits in front of
    /// those before it.
    pub(super) fn give_back(&mut self, now: Now, jobs: Vec<JobKey>, lost: &str, effects: &mut Effects) {
        for job in jobs.into_iter().rev() {
            if self.table[job].is_offered() {
                self.take_back(now, job, effects);
            } else {
                let failure = Failure::new(FailureReason::WorkerLost, lost);
                self.attempt_failed(now, job, failure, None, effects);
            }
        }
    }

    /// The stream of a worker broke or was replaced; [`Core::disconnect`] or [`Core::connect`] follows. `is_spared` tells
    /// of the leases that the worker was not sent or still holds.
    ///
    /// How often that happened is counted until the job is accepted, and in memory alone: a restart begins anew.
    pub(crate) fn stream_broke(
        &mut self,
        now: Now,
        session: SessionKey,
        is_spared: impl Fn(LeaseId) -> bool,
        effects: &mut Effects,
    ) {
        let is_suspect = |job: &JobKey| {
            let entry = &self.table[*job];
            entry.is_offered() && entry.live().is_some_and(|live| !is_spared(live.lease))
        };
        let Some(suspect) = self.held_by(session).into_iter().find(is_suspect) else { return };
        let breaks = self.suspects.get(&suspect).map_or(1, |breaks| breaks + 1);
        if breaks >= BREAKS_MAX {
            // An attempt that runs when its worker is lost counts.
            self.begin(now, suspect, effects);
        }
        self.suspects.insert(suspect, breaks);
    }

    /// Connects a worker, or connects it anew: then what it does not hold any more goes to others.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`; `Draining` for a worker that is not known.
    pub(crate) fn connect(&mut self, now: Now, hello: &Hello, effects: &mut Effects) -> Result<Welcome> {
        let known = self.sessions.of_instance(hello.instance);
        let bytes = session_bytes(&hello.spec, &hello.peer, hello.held.len());
        self.check_worker_bytes(bytes, known)?;
        let session = match known {
            Some(session) => session,
            None => {
                self.check_worker_room()?;
                let (link, peer) = (Link::Stream(hello.instance), hello.peer.clone());
                let session = self.sessions.open(now, &hello.spec, link, peer);
                if let Some(open) = self.sessions.get_mut(session) {
                    // Of another boot, or forgotten: what does not turn out to stand has to stop first.
                    open.revoked = hello.held.iter().copied().collect();
                }
                session
            }
        };
        self.sessions.set_bytes(session, bytes);
        self.dismiss(session);
        let standing = self.settle_held(now, session, &hello.held, effects);
        let mut reports_taken = 0;
        if let Some(open) = self.sessions.get_mut(session) {
            open.name = hello.spec.name.as_str().into();
            open.served = Served::of(&hello.spec, &hello.peer);
            open.slots = hello.spec.slots;
            open.peer = hello.peer.clone();
            open.connected = true;
            open.heard = now.monotonic;
            reports_taken = open.reports_taken;
        }
        self.sessions.set_timer(session, Some(now.monotonic.saturating_add(self.silence_max())));
        self.tell_again(now, session, &standing, effects);
        self.admit_unless_drained(now, session, effects);
        Ok(Welcome { session, standing, reports_taken })
    }

    /// Opens the session of one Lease call: until it is disconnected it is given at most `spec.slots` jobs, whose
    /// assignments take at most `peer.response_bytes_max` bytes together. A single larger one is given alone.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`, `Draining`.
    pub(crate) fn open_unary(
        &mut self,
        now: Now,
        spec: &SessionSpec,
        peer: Peer,
        effects: &mut Effects,
    ) -> Result<SessionKey> {
        self.check_worker_room()?;
        self.check_worker_bytes(session_bytes(spec, &peer, 0), None)?;
        let session = self.sessions.open(now, spec, Link::Unary, peer);
        self.admit(now, session, effects);
        Ok(session)
    }

    /// The worker's connection is gone. What it had not accepted goes to others at once, what it runs after the reconnect
    /// grace.
    pub(crate) fn disconnect(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        self.dismiss(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.connected = false;
        let is_unary = session.link == Link::Unary;
        let grace_end = now.monotonic.saturating_add(self.options.reconnect_grace);
        let mut offered = Vec::new();
        for job in self.held_by(key) {
            if self.table[job].is_offered() {
                self.leave_session(job, true, effects);
                offered.push(job);
            } else if let Some(live) = self.table[job].live_mut()
                && !is_unary
            {
                live.lease_deadline = live.lease_deadline.min(grace_end.into());
                self.await_deadline(job);
            }
        }
        if !is_unary {
            let kept = self.options.lease.max(self.options.reconnect_grace);
            self.sessions.set_timer(key, Some(now.monotonic.saturating_add(kept)));
        }
        self.give_back(now, offered, "", effects);
        self.forget_if_done(key);
    }

    /// The worker closed its side for good: what it still holds is lost.
    pub(crate) fn leave(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        match self.sessions.get(key).is_some_and(|session| session.held.is_empty()) {
            true => self.close_session(now, key, effects),
            false => self.disconnect(now, key, effects),
        }
    }

    /// The worker begins an attempt it was given.
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
        let key = self.held(session, lease)?;
        if self.table[key].is_offered() {
            self.begin(now, key, effects);
        }
        Ok(())
    }

    /// Keeps a lease alive, and accepts it if it was not accepted yet.
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
        let key = self.held(session, lease)?;
        let lease_deadline = now.monotonic.saturating_add(self.options.lease);
        if let Some(live) = self.table[key].live_mut() {
            live.renew(lease_deadline);
        }
        self.await_deadline(key);
        Ok(())
    }

    /// The worker was heard of.
    pub(crate) fn heard(&mut self, now: Now, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.heard = now.monotonic;
        }
    }

    /// Whether a report of the worker is new; a report is taken once, however often it is sent. What a report causes
    /// belongs to the same command, so that both are recorded or neither is.
    pub(crate) fn take_report(&mut self, key: SessionKey, sequence: u64, effects: &mut Effects) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return true };
        if sequence <= session.reports_taken {
            return false;
        }
        session.reports_taken = sequence;
        if let Link::Stream(instance) = session.link {
            effects.record_reports_taken(instance, sequence);
        }
        true
    }

    /// The session that holds the lease.
    ///
    /// # Errors
    ///
    /// `LeaseLost`.
    pub(crate) fn session_of(&self, lease: LeaseId) -> Result<SessionKey> {
        self.holder(lease).map(|(_, session)| session).ok_or_else(lease_lost)
    }

    /// Why the attempt with this lease must end, if it must.
    pub(crate) fn stop_of(&self, now: Now, lease: LeaseId) -> Option<Stop> {
        let Some((key, _)) = self.holder(lease) else { return Some(Stop::Revoke) };
        let (force_at, _) = self.table[key].live()?.cancel.as_deref()?;
        Some(Stop::Cancel(force_at.saturating_sub(now.monotonic)))
    }

    /// Gives workers nothing more and tells them to end: the one with this id, or all of this name. Answers the oldest of
    /// them, at most 1,000.
    ///
    /// # Errors
    ///
    /// `WorkerNotFound`; `WorkerInServer` if there are only the server's own.
    pub(crate) fn drain_workers(
        &mut self,
        now: Now,
        id_or_name: &str,
        within: Duration,
        effects: &mut Effects,
    ) -> Result<Vec<WorkerView>> {
        let named = |key: &SessionKey| {
            worker_id(*key) == id_or_name || *self.sessions.sessions[key].name == *id_or_name
        };
        let mut keys: Vec<_> = self.sessions.in_order().into_iter().filter(named).collect();
        if keys.is_empty() {
            return Err(worker_not_found(id_or_name));
        }
        keys.retain(|key| self.sessions.sessions[key].link != Link::Pool);
        if keys.is_empty() {
            return Err(worker_in_server(id_or_name));
        }
        for key in &keys {
            self.dismiss(*key);
            if let Some(session) = self.sessions.get_mut(*key) {
                session.drained = Some(now.monotonic.saturating_add(within));
            }
            effects.push(Effect::Drain(*key, Drain { within, server_shutdown: false }));
        }
        Ok(keys.into_iter().take(DRAINED_SHOWN_MAX).filter_map(|key| self.worker(now, key)).collect())
    }

    /// What is due of a session: it was silent, or it did not come back.
    pub(super) fn session_due(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        if !session.connected {
            return self.close_session(now, key, effects);
        }
        let silent_at = session.heard.saturating_add(self.silence_max());
        if silent_at > now.monotonic {
            return self.sessions.set_timer(key, Some(silent_at));
        }
        effects.push(Effect::Cut(key));
        self.disconnect(now, key, effects);
    }

    /// Compares what the worker holds with what it was given, and answers the leases that stand.
    fn settle_held(
        &mut self,
        now: Now,
        session: SessionKey,
        held: &[LeaseId],
        effects: &mut Effects,
    ) -> Vec<LeaseId> {
        let told: HashSet<LeaseId> = held.iter().copied().collect();
        let lease_of = |core: &Self, job: &JobKey| core.table[*job].live().map(|live| live.lease);
        let is_told =
            |core: &Self, job: &JobKey| lease_of(core, job).is_some_and(|lease| told.contains(&lease));
        let gone: Vec<_> = self.held_by(session).into_iter().filter(|job| !is_told(self, job)).collect();
        for job in &gone {
            self.leave_session(*job, true, effects);
        }
        let mut standing = Vec::new();
        for lease in held {
            if self.renew_lease(now, session, *lease, effects).is_ok() {
                standing.push(*lease);
            }
        }
        let stands: HashSet<LeaseId> = standing.iter().copied().collect();
        if let Some(open) = self.sessions.get_mut(session) {
            // Their handlers may still have to stop; those of others that it names have, but it was not told that the
            // server knows.
            open.revoked.retain(|lease| told.contains(lease) && !stands.contains(lease));
            open.taken = (stands.len() + open.revoked.len()) as u32;
        }
        let name = self.sessions.get(session).map(|open| open.name.clone()).unwrap_or_default();
        self.give_back(now, gone, &format!("worker {name} came back without the attempt"), effects);
        standing
    }

    /// Tells a worker that came back of cancels it may have missed.
    fn tell_again(&self, now: Now, session: SessionKey, standing: &[LeaseId], effects: &mut Effects) {
        for lease in standing {
            if let Some(stop) = self.stop_of(now, *lease) {
                effects.push(Effect::Stop(session, *lease, stop));
            }
        }
    }

    fn admit_unless_drained(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        match self.sessions.get(key).and_then(|session| session.drained) {
            Some(until) => {
                let within = until.saturating_sub(now.monotonic);
                effects.push(Effect::Drain(key, Drain { within, server_shutdown: false }));
            }
            None => self.admit(now, key, effects),
        }
    }

    fn silence_max(&self) -> Duration {
        self.options.ping_interval.saturating_mul(SILENT_INTERVALS_MAX)
    }

    fn check_worker_room(&self) -> Result<()> {
        if self.draining {
            return Err(draining());
        }
        let workers_max = self.options.workers_max;
        if self.sessions.sessions.len() < workers_max {
            return Ok(());
        }
        let message = format!("{workers_max} workers are connected, the limit: try again later");
        Err(full("WORKERS_FULL", message))
    }

    /// Refuses a worker of so many bytes if all would hold too many; what it held under its earlier connection goes.
    fn check_worker_bytes(&self, bytes: u64, known: Option<SessionKey>) -> Result<()> {
        let before = known.and_then(|known| self.sessions.get(known)).map_or(0, |session| session.bytes);
        let (others, bytes_max) = (self.sessions.bytes - before, self.options.worker_bytes_max);
        if others + bytes <= bytes_max {
            return Ok(());
        }
        let message = format!(
            "workers hold {others} bytes of names, kinds and queues and {bytes} more exceed the limit of {bytes_max}: \
             serve fewer kinds and queues, or raise worker_bytes_max"
        );
        Err(full("WORKERS_FULL", message))
    }
}
