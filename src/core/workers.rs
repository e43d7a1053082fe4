//! Workers outside the server: who they are, what they accept and keep alive, and what follows when they are not heard of.
//!
//! A lease is the worker's until it runs out, whatever becomes of the connection: a worker that comes back in time keeps
//! its attempts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::attempts::lease_lost;
use super::effects::{Effect, Effects};
use super::lanes::full;
use super::sessions::{Link, Served, Session, SessionKey, session_bytes};
use super::submit::draining;
use super::table::JobKey;
use crate::clock::Now;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{Drain, Hello, LeaseId, Peer, SessionSpec, Stop, WorkerLink, WorkerState, WorkerView};

/// Ping intervals without a word after which either side gives the connection up.
pub(crate) const SILENT_INTERVALS_MAX: u32 = 3;

/// Most kinds, and most queues, that are shown of one worker.
const NAMES_SHOWN_MAX: usize = 1_000;
/// Most workers that are shown of those drained at once.
const DRAINED_SHOWN_MAX: usize = 1_000;

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

    /// Workers after this number, oldest first, at most `limit`; and whether there are more.
    pub(crate) fn workers(&self, now: Now, after: u64, limit: usize) -> (Vec<WorkerView>, bool) {
        let mut following = self.sessions.in_order().into_iter().filter(|key| key.0 > after);
        let views = following.by_ref().take(limit).filter_map(|key| self.worker(now, key)).collect();
        (views, following.next().is_some())
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

    /// Up to `limit` jobs of the queue that workers were given and have not accepted.
    pub(super) fn offered_in(&self, queue: &str, limit: usize) -> Vec<JobKey> {
        let given = self.sessions.in_order().into_iter().flat_map(|session| self.held_by(session));
        let is_of_queue = |job: &JobKey| *self.lanes[self.table[*job].lane].queue == *queue;
        given.filter(|job| self.table[*job].is_offered() && is_of_queue(job)).take(limit).collect()
    }

    /// A worker that takes leases by call is forgotten once it holds none and asks for none.
    pub(super) fn forget_if_done(&mut self, key: SessionKey) {
        let is_done =
            |session: &Session| session.link == Link::Unary && !session.connected && session.held.is_empty();
        if self.sessions.get(key).is_some_and(is_done) {
            self.sessions.remove(key);
        }
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

    fn worker(&self, now: Now, key: SessionKey) -> Option<WorkerView> {
        let session = self.sessions.get(key)?;
        let link = match session.link {
            Link::Pool => WorkerLink::Pool,
            Link::Stream(_) => WorkerLink::Stream,
            Link::Unary => WorkerLink::Unary,
        };
        let state = match session {
            Session { link: Link::Stream(_), connected: false, .. } => WorkerState::Disconnected,
            Session { drained: Some(_), .. } => WorkerState::Draining,
            _ => WorkerState::Connected,
        };
        let names = |names: &std::collections::BTreeSet<Arc<str>>| {
            names.iter().take(NAMES_SHOWN_MAX).cloned().collect()
        };
        let queues = session.served.queues.as_ref();
        Some(WorkerView {
            number: key.0,
            id: worker_id(key),
            name: session.name.clone(),
            link,
            state,
            kinds: names(&session.served.kinds),
            kinds_total: session.served.kinds.len(),
            queues: queues.map(names).unwrap_or_default(),
            queues_total: queues.map_or(0, |queues| queues.len()),
            slots: session.slots,
            slots_taken: session.taken,
            create_time: session.create_time,
            last_heard_age: (link != WorkerLink::Pool).then(|| now.monotonic.saturating_sub(session.heard)),
            sdk: session.peer.sdk.clone(),
            address: session.peer.address.clone(),
        })
    }
}

/// What people and calls name a worker by.
pub(crate) fn worker_id(key: SessionKey) -> String {
    format!("w{}", key.0)
}

fn worker_not_found(id_or_name: &str) -> Error {
    let message = format!("no worker has the id or name {id_or_name}: ListWorkers tells those there are");
    Error::new(ErrorKind::WorkerNotFound(id_or_name.to_owned()), message)
}

fn worker_in_server(id_or_name: &str) -> Error {
    let message = format!(
        "worker {id_or_name} is part of the server: pause its queues, or shut the server down, to drain it"
    );
    Error::new(ErrorKind::WorkerInServer(id_or_name.to_owned()), message)
}
