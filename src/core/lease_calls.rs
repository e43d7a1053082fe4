//! Lease calls: unary calls that take jobs. Each has a session, which lasts until its last lease ended.
//!
//! A call with a request id can be repeated: the id is part of the session's link, so it is known as long as the session
//! exists. No timer and no list of responses is needed: the bound of workers bounds the known ids.

use std::time::Duration;

use uuid::Uuid;

use super::effects::{Effect, Effects};
use super::keys::{JobKey, SessionKey};
use super::record::Link;
use super::refusals::request_id_reused;
use super::sessions::session_bytes;
use super::state::Core;
use crate::clock::Now;
use crate::error::Result;
use crate::job::{Assignment, Drain, Peer, SessionSpec};

impl Core {
    /// Opens the session of a Lease call. Until [`Core::take_leases`] it receives at most `spec.slots` jobs, whose
    /// assignments have at most `peer.response_bytes_max` bytes together. A single larger one is sent alone.
    ///
    /// A repeat of a call of the same principal, with its request id, gets the session of that call, which may still wait for jobs.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`, `Draining`, unless it is a repeat; `InvalidField` if the id is that of another request.
    pub(crate) fn open_unary(
        &mut self,
        now: Now,
        spec: &SessionSpec,
        peer: Peer,
        request_id: Option<Uuid>,
        effects: &mut Effects,
    ) -> Result<SessionKey> {
        let link = Link::Unary(request_id);
        if let Some(known) = self.sessions.of_link(link.clone(), peer.principal.as_ref()) {
            self.repeat_unary(known, spec, &peer, effects)?;
            return Ok(known);
        }
        self.check_worker_limits(session_bytes(spec, &peer, 0), None)?;
        let session = self.sessions.open(now, spec, link, peer);
        self.activate_session(now, session, effects);
        Ok(session)
    }

    fn repeat_unary(
        &self,
        known: SessionKey,
        spec: &SessionSpec,
        peer: &Peer,
        effects: &mut Effects,
    ) -> Result<()> {
        let Some(session) = self.sessions.get(known) else { return Ok(()) };
        if !session.is_request(spec, peer) {
            return Err(request_id_reused());
        }
        if self.draining || session.drain_deadline.is_some() {
            // The first call was informed that no job follows.
            let server_shutdown = self.draining;
            effects.push(Effect::Drain(known, Drain { within: Duration::ZERO, server_shutdown }));
        }
        Ok(())
    }

    /// Whether the session has offers or running attempts.
    pub(crate) fn has_jobs(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|session| !session.jobs.is_empty())
    }

    /// Takes the jobs of a Lease call: the attempts of its offers begin, and it receives no further jobs. A repeat gets
    /// the attempts that still run. It does not renew their leases.
    pub(crate) fn take_leases(
        &mut self,
        now: Now,
        key: SessionKey,
        effects: &mut Effects,
    ) -> Vec<Assignment> {
        let jobs = self.jobs_of(key);
        for job in &jobs {
            if self.table[*job].is_offered() {
                self.begin_attempt(now, *job, effects);
            }
        }
        let assignment = |job: JobKey| Some(self.assignment(now, job, self.table[job].active()?));
        let assignments = jobs.into_iter().filter_map(assignment).collect();
        self.disconnect(now, key, effects);
        assignments
    }
}
