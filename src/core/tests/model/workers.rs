//! The model's sessions: the in-process pool, workers on streams and unary workers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::lifecycle::failed;
use super::{JobNumber, LeaseNumber, Model, ModelRecord};
use crate::core::tests::fixture::{kind, queue};
use crate::error::ErrorKind;
use crate::job::{Drain, FailureReason, JobState, LeaseId, SessionSpec, Stop, WorkerState};

/// The index of a session among all opened sessions.
pub(in super::super) type SessionNumber = usize;

/// Ping intervals after which a silent worker is disconnected.
const SILENT_INTERVALS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Link {
    Pool,
    /// The instance of the stream.
    Stream(u8),
    /// The id of the lease request.
    Unary(Option<u8>),
}

impl Link {
    pub(in super::super) fn is_unary(self) -> bool {
        matches!(self, Self::Unary(_))
    }
}

#[derive(Debug, Clone)]
pub(in super::super) struct Session {
    pub(in super::super) link: Link,
    pub(in super::super) name: String,
    kinds: BTreeSet<String>,
    queues: Option<BTreeSet<String>>,
    slots: usize,
    /// Whether the session is not closed; see [`Model::is_known`].
    open: bool,
    connected: bool,
    /// Revoked leases whose handlers may still run.
    pub(super) revoked: BTreeSet<LeaseNumber>,
    /// The deadline of a drain.
    drained: Option<Duration>,
    /// The time of its last message, and the time of its disconnect.
    last_message: Duration,
    broken: Duration,
    reports_taken: u64,
}

impl Session {
    pub(in super::super) fn new(
        link: Link,
        name: String,
        kinds: &[&str],
        queues: Option<&[&str]>,
        slots: u32,
    ) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        Self {
            link,
            name,
            kinds: names(kinds),
            queues: queues.map(names),
            slots: slots as usize,
            open: true,
            connected: true,
            revoked: BTreeSet::new(),
            drained: None,
            last_message: Duration::ZERO,
            broken: Duration::ZERO,
            reports_taken: 0,
        }
    }

    /// Returns the session as it was opened.
    pub(in super::super) fn as_opened(&self) -> Self {
        fn names(names: &BTreeSet<String>) -> Vec<&str> {
            names.iter().map(String::as_str).collect()
        }
        let (kinds, queues) = (names(&self.kinds), self.queues.as_ref().map(names));
        Self::new(self.link, self.name.clone(), &kinds, queues.as_deref(), self.slots as u32)
    }

    /// Returns the parameters with which it was opened.
    pub(in super::super) fn spec(&self) -> SessionSpec {
        SessionSpec {
            name: self.name.clone(),
            kinds: self.kinds.iter().map(|name| kind(name)).collect(),
            queues: self.queues.as_ref().map(|names| names.iter().map(|name| queue(name)).collect()),
            slots: self.slots as u32,
        }
    }
}

impl Model {
    /// Returns whether the session is known. A unary worker without leases and calls is not.
    pub(in super::super) fn is_known(&self, session: SessionNumber) -> bool {
        let is_done =
            |known: &Session| known.link.is_unary() && !known.connected && self.held_by(session).is_empty();
        self.sessions.get(session).is_some_and(|known| known.open && !is_done(known))
    }

    pub(in super::super) fn known(&self) -> Vec<SessionNumber> {
        (0..self.sessions.len()).filter(|session| self.is_known(*session)).collect()
    }

    /// Returns whether the session may get jobs.
    fn may_get_jobs(&self, session: SessionNumber) -> bool {
        let Session { open, connected, drained, .. } = &self.sessions[session];
        *open && *connected && drained.is_none()
    }

    /// Returns the group of a session: the number of the first session of the same lanes. Only sessions that may get
    /// jobs are in a group.
    pub(super) fn group_of(&self, session: SessionNumber) -> Option<SessionNumber> {
        let served = |session: SessionNumber| (&self.sessions[session].kinds, &self.sessions[session].queues);
        let same = |other: &SessionNumber| self.may_get_jobs(*other) && served(*other) == served(session);
        self.may_get_jobs(session).then(|| (0..self.sessions.len()).find(same)).flatten()
    }

    pub(super) fn serves(&self, session: SessionNumber, number: JobNumber) -> bool {
        let (known, spec) = (&self.sessions[session], &self.jobs[number].spec);
        self.may_get_jobs(session)
            && known.kinds.contains(spec.kind.as_str())
            && known.queues.as_ref().is_none_or(|queues| queues.contains(spec.queue.as_str()))
    }

    /// Returns the slots in use, by leases and by revoked attempts that have not stopped.
    pub(in super::super) fn taken(&self, session: SessionNumber) -> usize {
        self.held_by(session).len() + self.sessions[session].revoked.len()
    }

    /// Returns whether the session has a free slot. A lease call has a slot per requested job.
    pub(super) fn has_free_slot(&self, session: SessionNumber) -> bool {
        let assigned = || self.leases.iter().filter(|started| started.session == session).count();
        let taken = match self.sessions[session].link {
            Link::Unary(_) => assigned(),
            Link::Pool | Link::Stream(_) => self.taken(session),
        };
        self.may_get_jobs(session) && taken < self.sessions[session].slots
    }

    /// Returns the jobs of a session, oldest first.
    pub(in super::super) fn held_by(&self, session: SessionNumber) -> Vec<JobNumber> {
        let lease = |number: &JobNumber| {
            self.jobs[*number].held.filter(|held| held.session == session).map(|held| held.lease)
        };
        let mut held: Vec<_> = (0..self.jobs.len()).filter(|number| lease(number).is_some()).collect();
        held.sort_by_key(lease);
        held
    }

    /// Returns the job of a lease, if it is the newest lease and this session has it.
    pub(in super::super) fn held(&self, session: SessionNumber, lease: LeaseNumber) -> Option<JobNumber> {
        let holds = |number: &JobNumber| {
            self.jobs[*number].held.is_some_and(|held| (held.session, held.lease) == (session, lease))
        };
        (0..self.jobs.len()).find(holds)
    }

    pub(in super::super) fn is_offered(&self, number: JobNumber) -> bool {
        self.jobs[number].state == JobState::Queued && self.jobs[number].held.is_some()
    }

    pub(in super::super) fn open(&mut self, session: Session) {
        self.sessions.push(Session { last_message: self.now.monotonic, ..session });
        self.fill();
    }

    /// Returns the session of the lease call, which may be a repeat.
    pub(in super::super) fn open_unary(&mut self, session: Session) -> Result<SessionNumber, ErrorKind> {
        let is_repeated = |known: &SessionNumber| {
            session.link != Link::Unary(None) && self.sessions[*known].link == session.link
        };
        if let Some(known) = self.known().into_iter().find(is_repeated) {
            let Session { kinds, queues, slots, drained, .. } = &self.sessions[known];
            if (kinds, queues, slots) != (&session.kinds, &session.queues, &session.slots) {
                return Err(ErrorKind::InvalidField(Vec::new()));
            }
            if drained.is_some() || self.draining {
                self.send_drain(known, Duration::ZERO, self.draining);
            }
            return Ok(known);
        }
        self.check_worker_limit()?;
        self.open(session);
        Ok(self.sessions.len() - 1)
    }

    /// Takes the jobs of a lease call. Returns those that run, with the time that each has left.
    pub(in super::super) fn take_leases(&mut self, session: SessionNumber) -> Vec<(LeaseId, Duration)> {
        let held = if self.is_known(session) { self.held_by(session) } else { Vec::new() };
        for number in &held {
            if self.is_offered(*number) {
                self.begin(*number);
            }
        }
        let taken = held.iter().filter_map(|number| {
            let held = self.jobs[*number].held?;
            let end = held.attempt_end.into_iter().chain(self.jobs[*number].overall_deadline()).min()?;
            Some((self.leases[held.lease].lease, end.saturating_sub(self.now.monotonic)))
        });
        let taken = taken.collect();
        self.disconnect(session);
        taken
    }

    pub(in super::super) fn set_slots(&mut self, session: SessionNumber, slots: u32) {
        self.sessions[session].slots = slots as usize;
        self.fill();
    }

    pub(in super::super) fn close(&mut self, session: SessionNumber) {
        let held = self.held_by(session);
        self.sessions[session].open = false;
        if let Session { link: Link::Stream(instance), reports_taken: 1.., .. } = self.sessions[session] {
            self.records.push(ModelRecord::ReportsTaken(instance, 0));
        }
        self.send_revoked(&held);
        self.lose_attempts(&held);
    }

    /// Returns the session, the valid leases, and the sequence of the last applied report.
    pub(in super::super) fn connect(
        &mut self,
        hello: Session,
        reported: &[LeaseNumber],
    ) -> Result<(SessionNumber, Vec<LeaseId>, u64), ErrorKind> {
        let same = |session: &SessionNumber| self.sessions[*session].link == hello.link;
        let session = match self.known().into_iter().find(same) {
            Some(session) => session,
            None => {
                self.check_worker_limit()?;
                // The instance is unknown: its reported attempts use slots until they have stopped.
                let revoked = reported.iter().copied().collect();
                self.sessions.push(Session { connected: false, revoked, ..hello.clone() });
                self.sessions.len() - 1
            }
        };
        self.sessions[session].connected = false;
        let (retained, missing) = self.held_by(session).into_iter().partition::<Vec<_>, _>(|number| {
            self.jobs[*number].held.is_some_and(|held| reported.contains(&held.lease))
        });
        let valid: Vec<_> =
            reported.iter().copied().filter(|lease| self.held(session, *lease).is_some()).collect();
        self.send_revoked(&missing);
        for lease in &valid {
            self.renew_lease(session, *lease)?;
        }
        self.lose_attempts(&missing);
        let Session { drained, reports_taken, .. } = self.sessions[session];
        let last_message = self.now.monotonic;
        // A reported attempt uses a slot unless the server knows that it stopped.
        let before = std::mem::take(&mut self.sessions[session].revoked).into_iter();
        let revoked = before.filter(|lease| reported.contains(lease) && !valid.contains(lease)).collect();
        self.sessions[session] = Session { revoked, drained, reports_taken, last_message, ..hello };
        assert_eq!(retained.len(), valid.iter().collect::<BTreeSet<_>>().len());
        self.resend_cancels(session, &valid);
        match drained {
            Some(until) => self.send_drain(session, until.saturating_sub(self.now.monotonic), false),
            None => self.fill(),
        }
        let valid = valid.iter().map(|lease| self.leases[*lease].lease).collect();
        Ok((session, valid, reports_taken))
    }

    fn resend_cancels(&mut self, session: SessionNumber, valid: &[LeaseNumber]) {
        for lease in valid {
            let number = self.held(session, *lease).expect("the lease is valid");
            if let Some(force_at) = self.jobs[number].force_at {
                let left = force_at.saturating_sub(self.now.monotonic);
                self.messages.stops.push((session, self.leases[*lease].lease, Stop::Cancel(left)));
            }
        }
    }

    fn check_worker_limit(&self) -> Result<(), ErrorKind> {
        let retry_after = Duration::from_secs(1);
        if self.draining {
            return Err(ErrorKind::Draining { retry_after });
        }
        match self.known().len() < self.options.workers_max {
            true => Ok(()),
            false => {
                let (reason, subject) = ("WORKERS_FULL", "server".to_owned());
                Err(ErrorKind::ResourceExhausted { reason, subject, retry_after })
            }
        }
    }

    /// Disconnects a session: unaccepted jobs are queued again, running attempts have the reconnect grace.
    pub(in super::super) fn disconnect(&mut self, session: SessionNumber) {
        if !self.is_known(session) {
            return;
        }
        let (offered, running) =
            self.held_by(session).into_iter().partition::<Vec<_>, _>(|number| self.is_offered(*number));
        self.sessions[session].connected = false;
        self.sessions[session].broken = self.now.monotonic;
        let grace_end = self.now.monotonic + self.options.reconnect_grace;
        for number in running.iter().filter(|_| !self.sessions[session].link.is_unary()) {
            let held = self.jobs[*number].held.as_mut().expect("the job has a lease");
            held.lease_end = held.lease_end.map(|end| end.min(grace_end));
        }
        self.send_revoked(&offered);
        self.lose_attempts(&offered);
    }

    pub(in super::super) fn leave(&mut self, session: SessionNumber) {
        match self.held_by(session).is_empty() {
            true => self.close(session),
            false => self.disconnect(session),
        }
    }

    /// Takes the jobs of a removed worker, newest first. Only started attempts are lost.
    fn lose_attempts(&mut self, jobs: &[JobNumber]) {
        for number in jobs.iter().rev() {
            self.leave_session(*number);
            match self.jobs[*number].state {
                JobState::Running => self.attempt_failed(*number, failed(FailureReason::WorkerLost, 0), None),
                _ => self.requeue_in_front(*number),
            }
        }
    }

    pub(in super::super) fn accept_lease(
        &mut self,
        session: SessionNumber,
        lease: LeaseNumber,
    ) -> Result<(), ErrorKind> {
        let number = self.held(session, lease).ok_or(ErrorKind::LeaseLost)?;
        if self.is_offered(number) {
            self.begin(number);
        }
        Ok(())
    }

    pub(in super::super) fn renew_lease(
        &mut self,
        session: SessionNumber,
        lease: LeaseNumber,
    ) -> Result<(), ErrorKind> {
        self.accept_lease(session, lease)?;
        let number = self.held(session, lease).ok_or(ErrorKind::LeaseLost)?;
        let held = self.jobs[number].held.as_mut().expect("the job has a lease");
        held.lease_end = held.lease_end.map(|_| self.now.monotonic + self.options.lease);
        Ok(())
    }

    /// Returns the stop of an attempt, if it must end.
    pub(in super::super) fn stop_of(&self, lease: LeaseNumber) -> Option<Stop> {
        match self.held(self.leases[lease].session, lease) {
            None => Some(Stop::Revoke),
            Some(number) => {
                let force_at = self.jobs[number].force_at?;
                Some(Stop::Cancel(force_at.saturating_sub(self.now.monotonic)))
            }
        }
    }

    pub(in super::super) fn message_received(&mut self, session: SessionNumber) {
        self.sessions[session].last_message = self.now.monotonic;
    }

    /// Returns the time since the last message, zero for the in-process pool.
    pub(in super::super) fn silence(&self, session: SessionNumber) -> Option<Duration> {
        let Session { link, last_message, .. } = &self.sessions[session];
        (*link != Link::Pool).then(|| self.now.monotonic - *last_message)
    }

    pub(in super::super) fn take_report(&mut self, session: SessionNumber, sequence: u64) -> bool {
        if !self.is_known(session) {
            return true;
        }
        let Session { reports_taken, link, .. } = &mut self.sessions[session];
        let is_new = std::mem::replace(reports_taken, sequence.max(*reports_taken)) < sequence;
        if let (Link::Stream(instance), true) = (link, is_new) {
            self.records.push(ModelRecord::ReportsTaken(*instance, sequence));
        }
        is_new
    }

    /// Returns the drained workers and their states.
    pub(in super::super) fn drain_workers(
        &mut self,
        id_or_name: &str,
        id: Option<SessionNumber>,
        within: Duration,
    ) -> Result<Vec<(SessionNumber, WorkerState)>, ErrorKind> {
        let named = |session: &SessionNumber| {
            Some(*session) == id || (id.is_none() && self.sessions[*session].name == id_or_name)
        };
        let (own, remote) = self
            .known()
            .into_iter()
            .filter(named)
            .partition::<Vec<_>, _>(|session| self.sessions[*session].link == Link::Pool);
        if remote.is_empty() {
            let name = id_or_name.to_owned();
            return Err(match own.is_empty() {
                true => ErrorKind::WorkerNotFound(name),
                false => ErrorKind::WorkerInServer(name),
            });
        }
        for session in &remote {
            self.sessions[*session].drained = Some(self.now.monotonic + within);
            self.send_drain(*session, within, false);
        }
        Ok(remote.into_iter().map(|session| (session, self.worker_state(session))).collect())
    }

    pub(in super::super) fn drain(&mut self, within: Duration) {
        self.draining = true;
        self.known().into_iter().for_each(|session| self.send_drain(session, within, true));
    }

    fn send_drain(&mut self, session: SessionNumber, within: Duration, server_shutdown: bool) {
        self.messages.drains.push((session, Drain { within, server_shutdown }));
    }

    pub(in super::super) fn worker_state(&self, session: SessionNumber) -> WorkerState {
        let Session { link, connected, drained, .. } = &self.sessions[session];
        match (link, connected, drained) {
            (Link::Stream(_), false, _) => WorkerState::Disconnected,
            (.., Some(_)) => WorkerState::Draining,
            _ => WorkerState::Connected,
        }
    }

    /// Returns when a silent worker is disconnected, or a disconnected one is removed.
    fn session_due(&self, session: SessionNumber) -> Option<Duration> {
        let Session { link, connected, last_message, broken, .. } = &self.sessions[session];
        let Link::Stream(_) = link else { return None };
        let retained = self.options.lease.max(self.options.reconnect_grace);
        let due = if *connected {
            *last_message + self.options.ping_interval * SILENT_INTERVALS
        } else {
            *broken + retained
        };
        self.is_known(session).then_some(due)
    }

    pub(super) fn check_session(&mut self, session: SessionNumber) {
        if self.session_due(session).is_none_or(|due| due > self.now.monotonic) {
            return;
        }
        if !self.sessions[session].connected {
            return self.close(session);
        }
        self.messages.cuts.push(session);
        self.disconnect(session);
    }

    /// Returns the monotonic time of the next deadline.
    pub(in super::super) fn next_due(&self) -> Option<Duration> {
        let sessions = (0..self.sessions.len()).filter_map(|session| self.session_due(session));
        let job = self.next_tick().map(|tick| Duration::from_millis(tick as u64));
        sessions.chain(job).min()
    }
}
