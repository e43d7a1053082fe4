//! Principals: the verified callers of a server.

use std::sync::Arc;

use super::grant::{Action, Grants};
use super::quota::Quota;
use crate::error::{Error, Result};
use crate::job::{JobId, Timestamp, quoted};

/// Most characters of a principal's name.
pub const PRINCIPAL_CHARS_MAX: usize = 256;

/// How a principal was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// It sent no credential.
    Anonymous,
    /// A static token.
    Token,
    /// A JSON Web Token.
    Jwt,
    /// A client certificate.
    Certificate,
    /// A token of MintToken.
    Minted,
}

impl Method {
    /// The displayed name, such as `TOKEN`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "ANONYMOUS",
            Self::Token => "TOKEN",
            Self::Jwt => "JWT",
            Self::Certificate => "CERTIFICATE",
            Self::Minted => "MINTED",
        }
    }
}

/// A verified caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    name: Arc<str>,
    method: Method,
    grants: Grants,
    expire_time: Option<Timestamp>,
    /// The only job that the caller may read.
    job: Option<JobId>,
    quota: Quota,
}

/// What decides whether a principal may act on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobAccess<'a> {
    pub(crate) id: JobId,
    pub(crate) queue: &'a str,
    pub(crate) kind: &'a str,
    /// The principal that submitted it; `None` for an anonymous caller.
    pub(crate) owner: Option<&'a str>,
}

impl Principal {
    /// The caller without a credential. Its name is empty.
    pub fn anonymous(grants: Grants) -> Self {
        Self {
            name: Arc::from(""),
            method: Method::Anonymous,
            grants,
            expire_time: None,
            job: None,
            quota: Quota::default(),
        }
    }

    /// A caller with this name, verified by a credential that is valid until `expire_time`.
    ///
    /// # Errors
    ///
    /// `InvalidField` if the name is empty, has more than [`PRINCIPAL_CHARS_MAX`] characters or contains a space or a
    /// control character.
    pub fn new(name: &str, method: Method, grants: Grants, expire_time: Option<Timestamp>) -> Result<Self> {
        let is_bad = |c: char| c.is_whitespace() || c.is_control();
        if name.is_empty() || name.chars().count() > PRINCIPAL_CHARS_MAX || name.contains(is_bad) {
            let description = format!(
                "{} is not the name of a principal: write 1 to {PRINCIPAL_CHARS_MAX} characters without spaces",
                quoted(name)
            );
            return Err(Error::invalid("name", description));
        }
        Ok(Self { name: Arc::from(name), method, grants, expire_time, job: None, quota: Quota::default() })
    }

    /// The holder of a token that was minted by the principal of this name: it may read one job and nothing else.
    pub fn reader_of(job: JobId, minter: &str, expire_time: Timestamp) -> Self {
        Self {
            name: Arc::from(minter),
            method: Method::Minted,
            grants: Grants::default(),
            expire_time: Some(expire_time),
            job: Some(job),
            quota: Quota::default(),
        }
    }

    /// The same principal with this quota.
    pub fn with_quota(self, quota: Quota) -> Self {
        Self { quota, ..self }
    }

    /// How much it may use. Anonymous callers have no quota.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// The name; empty for anonymous callers.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How it was verified.
    pub fn method(&self) -> Method {
        self.method
    }

    /// What it may do. A minted token has no grants.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// When its credential expires, if it does.
    pub fn expire_time(&self) -> Option<Timestamp> {
        self.expire_time
    }

    /// The only job that it may read, if its token was minted for one.
    pub fn job(&self) -> Option<JobId> {
        self.job
    }

    /// The owner of jobs that it submits; `None` for an anonymous caller.
    pub(crate) fn owner(&self) -> Option<&Arc<str>> {
        (!self.name.is_empty()).then_some(&self.name)
    }

    /// Whether it may do this with the job.
    pub(crate) fn may(&self, action: Action, job: JobAccess<'_>) -> bool {
        if let Some(readable) = self.job {
            return action == Action::Read && readable == job.id;
        }
        let is_own = job.owner == self.owner().map(|name| &**name);
        self.grants.cover(action, job.queue, job.kind, is_own)
    }

    /// Whether it may submit jobs to this queue and kind, or run them.
    pub(crate) fn may_lane(&self, action: Action, queue: &str, kind: &str) -> bool {
        self.grants.cover(action, queue, kind, true)
    }

    /// Whether it may do this with every job of this queue and kind, also those of other principals.
    pub(crate) fn may_whole_lane(&self, action: Action, queue: &str, kind: &str) -> bool {
        self.grants.cover(action, queue, kind, false)
    }

    /// Whether it may do this with the whole queue: all its kinds and jobs.
    pub(crate) fn may_queue(&self, action: Action, queue: &str) -> bool {
        self.grants.cover_queue(action, queue)
    }

    /// Whether one grant permits the action for all these queues and kinds. Without queues, for every queue.
    pub(crate) fn may_lanes<'a, Q, K>(&self, action: Action, queues: Option<Q>, kinds: K) -> bool
    where
        Q: Iterator<Item = &'a str> + Clone,
        K: Iterator<Item = &'a str> + Clone,
    {
        self.grants.cover_lanes(action, queues, kinds)
    }

    /// Whether it may do this with all queues, kinds and jobs.
    pub(crate) fn may_all_queues(&self, action: Action) -> bool {
        self.grants.cover_all_queues(action)
    }

    /// Whether a grant is about this kind.
    pub(crate) fn concerns_kind(&self, kind: &str) -> bool {
        self.grants.concern_kind(kind)
    }

    /// Whether it may do this with anything at all.
    pub(crate) fn may_some(&self, action: Action) -> bool {
        self.grants.permit(action)
    }

    /// Whether nothing is denied.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.grants.is_unlimited()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(owner: Option<&str>) -> JobAccess<'_> {
        JobAccess { id: JobId::from_bytes([1; 16]), queue: "q", kind: "k", owner }
    }

    #[test]
    fn own_jobs_are_those_of_the_same_name() {
        let grants = Grants::parse(["read own"]).unwrap();
        let alice = Principal::new("alice", Method::Token, grants.clone(), None).unwrap();
        assert!(alice.may(Action::Read, job(Some("alice"))));
        assert!(!alice.may(Action::Read, job(Some("bob"))) && !alice.may(Action::Read, job(None)));
        let anonymous = Principal::anonymous(grants);
        assert!(anonymous.may(Action::Read, job(None)) && !anonymous.may(Action::Read, job(Some("alice"))));
    }

    #[test]
    fn a_minted_token_reads_its_job_and_nothing_else() {
        let reader = Principal::reader_of(JobId::from_bytes([1; 16]), "alice", Timestamp::from_micros(1));
        assert!(reader.may(Action::Read, job(Some("bob"))));
        let other = JobAccess { id: JobId::from_bytes([2; 16]), ..job(Some("alice")) };
        assert!(!reader.may(Action::Read, other));
        for action in Action::ALL.into_iter().filter(|action| *action != Action::Read) {
            assert!(
                !reader.may(action, job(Some("alice"))) && !reader.may_lane(action, "q", "k"),
                "{action:?}"
            );
            assert!(!reader.may_queue(action, "q") && !reader.may_some(action), "{action:?}");
        }
    }

    #[test]
    fn names_without_characters_and_with_spaces_are_refused() {
        for name in ["", "a b", "a\n", &"a".repeat(PRINCIPAL_CHARS_MAX + 1)] {
            assert!(Principal::new(name, Method::Jwt, Grants::all(), None).is_err(), "{name:?}");
        }
    }
}
