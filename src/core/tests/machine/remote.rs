//! Commands of remote workers.

use proptest::sample::Index;
use uuid::Uuid;

use super::{Machine, kind_of, select};
use crate::core::tests::commands::{Claim, DrainTarget, LeaseChoice, Remote, Serving};
use crate::core::tests::model::{LeaseNumber, Link, Session, SessionNumber};
use crate::core::{Effects, SessionKey, worker_id};
use crate::error::ErrorKind;
use crate::job::{Hello, Peer, SessionSpec};

impl Machine {
    pub(super) fn step_remote(&mut self, command: &Remote) {
        match command {
            Remote::Connect(instance, serving, claim) => self.connect(*instance, serving, claim),
            Remote::Lease(serving, request) => {
                let session = serving.session(Link::Unary(*request), Remote::name_of_caller());
                self.lease(&serving.spec(Remote::name_of_caller()), session);
            }
            Remote::LeaseAgain(session) => {
                let Some(session) = self.unary(session) else { return };
                let session = self.model.sessions[session].as_opened();
                self.lease(&session.spec(), session);
            }
            Remote::Take(session) => self.take_leases(session),
            Remote::Accept(which) => self.accept(which),
            Remote::Heartbeat(session, claim) => self.heartbeat(session, claim),
            Remote::Disconnect(session) => {
                let Some(session) = self.remote(session, false) else { return };
                let key = self.sessions[session];
                self.both(
                    |core, now, effects| core.disconnect(now, key, effects),
                    |model| model.disconnect(session),
                );
            }
            Remote::Leave(session) => {
                let Some(session) = self.remote(session, true) else { return };
                let key = self.sessions[session];
                self.both(|core, now, effects| core.leave(now, key, effects), |model| model.leave(session));
            }
            Remote::TakeReport(session, sequence) => {
                let numbers: Vec<_> = (0..self.sessions.len()).collect();
                let Some(session) = select(&numbers, session) else { return };
                let key = self.sessions[session];
                self.both(
                    |core, _, effects| core.take_report(key, *sequence, effects),
                    |model| model.take_report(session, *sequence),
                );
            }
            Remote::Drain(target, within) => {
                let numbers: Vec<_> = (0..self.sessions.len()).collect();
                let (name, id) = match target {
                    DrainTarget::Name(name) => ((*name).to_owned(), None),
                    DrainTarget::Id(session) => {
                        let Some(session) = select(&numbers, session) else { return };
                        (worker_id(self.sessions[session]), Some(session))
                    }
                };
                let sessions = self.sessions.clone();
                let number =
                    |number| sessions.iter().position(|key| key.0 == number).expect("the session is known");
                self.both(
                    |core, now, effects| {
                        let drained =
                            core.drain_workers(now, &name, *within, |_| true, effects).map_err(kind_of)?;
                        Ok(drained.into_iter().map(|worker| (number(worker.number), worker.state)).collect())
                    },
                    |model| model.drain_workers(&name, id, *within),
                );
            }
        }
    }

    fn connect(&mut self, instance: u8, serving: &Serving, claim: &Claim) {
        let name = Remote::name_of_instance(instance);
        let link = Link::Stream(instance);
        let known = self.model.known().into_iter().find(|session| self.model.sessions[*session].link == link);
        let claimed = self.claimed(known, claim);
        let held = claimed.iter().map(|lease| self.model.leases[*lease].lease).collect();
        let hello = Hello {
            instance: Uuid::from_u128(instance.into()),
            spec: serving.spec(name),
            peer: Peer::default(),
            held,
        };
        let mut effects = Effects::recording();
        let answer = self.core.connect(self.now, &hello, &mut effects).map_err(kind_of);
        let answer = answer
            .map(|welcome| (self.number_of(welcome.session), welcome.valid_leases, welcome.reports_taken));
        let session = serving.session(link, name);
        self.follow(effects, answer, |model| model.connect(session, &claimed));
    }

    fn lease(&mut self, spec: &SessionSpec, session: Session) {
        let Link::Unary(request) = session.link else { return };
        let request_id = request.map(|number| Uuid::from_u128(number.into()));
        let mut effects = Effects::recording();
        let answer = self.core.open_unary(self.now, spec, Peer::default(), request_id, &mut effects);
        let answer = answer.map(|key| self.number_of(key)).map_err(|error| match kind_of(error) {
            ErrorKind::InvalidField(_) => ErrorKind::InvalidField(Vec::new()),
            kind => kind,
        });
        self.follow(effects, answer, |model| model.open_unary(session));
    }

    fn take_leases(&mut self, session: &Index) {
        let Some(session) = self.unary(session) else { return };
        let key = self.sessions[session];
        self.both(
            |core, now, effects| {
                let taken = core.take_leases(now, key, effects).into_iter();
                taken.map(|assignment| (assignment.lease, assignment.time_left)).collect()
            },
            |model| model.take_leases(session),
        );
    }

    /// Returns the number of a session, which may be new.
    fn number_of(&mut self, key: SessionKey) -> SessionNumber {
        let known = self.sessions.iter().position(|known| *known == key);
        known.unwrap_or_else(|| {
            self.sessions.push(key);
            self.sessions.len() - 1
        })
    }

    fn accept(&mut self, which: &LeaseChoice) {
        let offered: Vec<_> = self.offered();
        let found = match which {
            LeaseChoice::Offered(index) => select(&offered, index),
            LeaseChoice::Any(lease, session) => {
                let leases: Vec<_> = (0..self.model.leases.len()).collect();
                let sessions: Vec<_> = (0..self.sessions.len()).collect();
                select(&sessions, session).zip(select(&leases, lease))
            }
        };
        let Some((session, lease)) = found else { return };
        let (key, id) = (self.sessions[session], self.model.leases[lease].lease);
        self.both(
            |core, now, effects| core.accept_lease(now, key, id, effects).map_err(kind_of),
            |model| model.accept_lease(session, lease),
        );
    }

    fn heartbeat(&mut self, session: &Index, claim: &Claim) {
        let Some(session) = select(&self.model.known(), session) else { return };
        let claimed = self.claimed(Some(session), claim);
        let key = self.sessions[session];
        let ids: Vec<_> = claimed.iter().map(|lease| self.model.leases[*lease].lease).collect();
        self.both(
            |core, now, effects| {
                core.session_seen(now, key);
                let renewed = ids.iter().map(|id| core.renew_lease(now, key, *id, effects).map_err(kind_of));
                renewed.collect::<Vec<_>>()
            },
            |model| {
                model.message_received(session);
                claimed.iter().map(|lease| model.renew_lease(session, *lease)).collect()
            },
        );
    }

    /// Returns the leases that the worker of a session reports.
    fn claimed(&self, session: Option<SessionNumber>, claim: &Claim) -> Vec<LeaseNumber> {
        let jobs = session.map(|session| self.model.held_by(session)).unwrap_or_default();
        let held = jobs.iter().filter_map(|number| self.model.jobs[*number].held.map(|held| held.lease));
        let is_named = |index: u32| claim.held >> (index % u32::BITS) & 1 == 1;
        let named = held.zip(0..).filter(|(_, index)| is_named(*index)).map(|(lease, _)| lease);
        let leases: Vec<_> = (0..self.model.leases.len()).collect();
        named.chain(claim.others.iter().filter_map(|other| select(&leases, other))).collect()
    }

    /// Selects a remote worker.
    fn remote(&self, index: &Index, is_stream: bool) -> Option<SessionNumber> {
        let is_remote = |session: &SessionNumber| match self.model.sessions[*session].link {
            Link::Pool => false,
            Link::Unary(_) => !is_stream,
            Link::Stream(_) => true,
        };
        select(&self.model.known().into_iter().filter(is_remote).collect::<Vec<_>>(), index)
    }

    /// Selects a lease call.
    fn unary(&self, index: &Index) -> Option<SessionNumber> {
        let is_unary = |session: &SessionNumber| self.model.sessions[*session].link.is_unary();
        select(&self.model.known().into_iter().filter(is_unary).collect::<Vec<_>>(), index)
    }

    fn offered(&self) -> Vec<(SessionNumber, LeaseNumber)> {
        let offered = (0..self.model.jobs.len()).filter(|number| self.model.is_offered(*number));
        let held = offered.filter_map(|number| self.model.jobs[number].held);
        held.map(|held| (held.session, held.lease)).collect()
    }

    /// Checks that the core and the model agree on all workers and on all leases.
    pub(super) fn check_workers(&self) {
        let number =
            |number| self.sessions.iter().position(|key| key.0 == number).expect("the session is known");
        let (workers, _) = self.core.workers(self.now, 0, usize::MAX);
        let workers: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let state = (worker.state, worker.slots_taken as usize, worker.last_heard_age);
                (number(worker.number), state)
            })
            .collect();
        let expected = self.model.known().into_iter();
        let expected: Vec<(SessionNumber, _)> = expected
            .map(|session| {
                let age = self.model.silence(session);
                (session, (self.model.worker_state(session), self.model.taken(session), age))
            })
            .collect();
        assert_eq!(workers, expected);
        for (lease, started) in self.model.leases.iter().enumerate() {
            let holder = self.core.session_of(started.lease, None).ok();
            let is_held = self.model.held(started.session, lease).is_some();
            assert_eq!(holder, is_held.then(|| self.sessions[started.session]), "a lease has one session");
            assert_eq!(self.core.stop_of(self.now, started.lease), self.model.stop_of(lease));
        }
    }
}

impl Serving {
    pub(super) fn session(&self, link: Link, name: &str) -> Session {
        Session::new(link, name.to_owned(), self.kinds, self.queues, self.slots)
    }
}
