//! Whether the principal of a request may do what it requests.
//!
//! A job that a principal may not read does not exist for it: every call by the job's id is answered with JOB_NOT_FOUND. A
//! missing grant is named only for names that the caller sent itself, or for jobs that it may read.

use std::iter::{Empty, once};
use std::sync::Arc;

use tonic::Status;

use super::Api;
use crate::access::{Action, JobAccess, Principal};
use crate::core::{JobAccessView, job_not_found};
use crate::error::{Error, ErrorKind, Result};
use crate::job::{JobId, Kind, NewJob, QueueName, SessionSpec};

/// Most pairs of queue and kind of a worker that are checked one by one.
const LANES_CHECKED_MAX: usize = 10_000;

/// The caller of a request, for access decisions. Without a principal the server verifies no callers, and permits all.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Access(Option<Arc<Principal>>);

impl Access {
    /// The caller of a request with these extensions.
    pub(in crate::api) fn of(extensions: &http::Extensions) -> Self {
        Self(extensions.get::<Arc<Principal>>().cloned())
    }

    /// The principal, if the server verifies callers.
    pub(super) fn principal(&self) -> Option<&Principal> {
        self.0.as_deref()
    }

    /// The principal, if the server verifies callers, for a stream that outlives the request.
    pub(super) fn shared_principal(&self) -> Option<Arc<Principal>> {
        self.0.clone()
    }

    /// The principal if something may be denied to it.
    pub(super) fn limited(&self) -> Option<&Principal> {
        self.principal().filter(|principal| !principal.is_unlimited())
    }

    /// Permits the submission of a job.
    pub(super) fn submit(&self, job: &NewJob) -> Result<()> {
        self.lane(Action::Submit, job.queue.as_str(), job.kind.as_str())
    }

    /// Permits to read the outcome and the events of a job that the caller submits.
    pub(super) fn follow(&self, job: &NewJob) -> Result<()> {
        let (queue, kind) = (job.queue.as_str(), job.kind.as_str());
        let Some(principal) = self.limited() else { return Ok(()) };
        let owner = principal.owner().map(|name| &**name);
        let access = JobAccess { id: job.id.unwrap_or_else(JobId::mint), queue, kind, owner };
        match principal.may(Action::Read, access) {
            true => Ok(()),
            false => Err(missing(format!("read own queue={queue} kind={kind}"))),
        }
    }

    fn lane(&self, action: Action, queue: &str, kind: &str) -> Result<()> {
        match self.limited() {
            Some(principal) if !principal.may_lane(action, queue, kind) => {
                Err(missing(format!("{} queue={queue} kind={kind}", action.name())))
            }
            _ => Ok(()),
        }
    }

    /// Permits a worker to lease jobs of its queues and kinds.
    pub(super) fn work(&self, spec: &SessionSpec) -> Result<()> {
        let Some(principal) = self.limited() else { return Ok(()) };
        if !principal.may_some(Action::Work) {
            return Err(missing(first_grant(spec)));
        }
        let kinds = &spec.kinds;
        let queues = spec.queues.as_deref();
        let queue_names = queues.map(|queues| queues.iter().map(QueueName::as_str));
        if principal.may_lanes(Action::Work, queue_names, kinds.iter().map(Kind::as_str)) {
            return Ok(());
        }
        let Some(queues) = queues else {
            let covers =
                |kind: &Kind| principal.may_lanes(Action::Work, None::<Empty<&str>>, once(kind.as_str()));
            return match kinds.iter().find(|kind| !covers(kind)) {
                Some(kind) => Err(missing_for_all_queues(kind)),
                None => Ok(()),
            };
        };
        if queues.len().saturating_mul(kinds.len()) > LANES_CHECKED_MAX {
            return Err(missing("work, one grant that covers all queues and kinds of the worker"));
        }
        for queue in queues {
            for kind in kinds {
                self.lane(Action::Work, queue.as_str(), kind.as_str())?;
            }
        }
        Ok(())
    }

    /// Permits the action for a queue as a whole.
    pub(super) fn queue(&self, action: Action, queue: &str) -> Result<()> {
        match self.limited() {
            Some(principal) if !principal.may_queue(action, queue) => {
                Err(missing(format!("{} queue={queue}", action.name())))
            }
            _ => Ok(()),
        }
    }

    /// Permits the action for all queues.
    pub(in crate::api) fn all_queues(&self, action: Action) -> Result<()> {
        if self.may_all_queues(action) { Ok(()) } else { Err(missing(action.name())) }
    }

    /// Whether the action is permitted for a queue as a whole.
    pub(super) fn may_queue(&self, action: Action, queue: &str) -> bool {
        self.limited().is_none_or(|principal| principal.may_queue(action, queue))
    }

    /// Whether the action is permitted for all queues.
    pub(super) fn may_all_queues(&self, action: Action) -> bool {
        self.limited().is_none_or(|principal| principal.may_all_queues(action))
    }

    /// Whether a grant concerns this kind.
    pub(super) fn concerns_kind(&self, kind: &str) -> bool {
        self.limited().is_none_or(|principal| principal.concerns_kind(kind))
    }

    /// Permits a call that returns only what is granted, if any of the actions is granted for anything.
    pub(super) fn some(&self, actions: &[Action]) -> Result<()> {
        match self.limited() {
            Some(principal) if !actions.iter().any(|action| principal.may_some(*action)) => {
                let names: Vec<_> = actions.iter().map(|action| action.name()).collect();
                Err(missing(names.join(" or ")))
            }
            _ => Ok(()),
        }
    }

    /// Whether this job may be read, of which the caller has seen the names.
    pub(super) fn may_read(&self, job: JobAccess<'_>) -> bool {
        self.limited().is_none_or(|principal| principal.may(Action::Read, job))
    }
}

impl Api {
    /// Permits to read a job.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, also for a job that exists and may not be read; `LogFailed`.
    pub(in crate::api) async fn may_read(&self, access: &Access, id: JobId) -> Result<(), Status> {
        self.permit(access, &[], id).await.map(drop).map_err(self.status())
    }

    /// Permits to cancel or delete a job.
    ///
    /// # Errors
    ///
    /// As [`Api::may_read`]; `GrantMissing` for a job that may be read.
    pub(super) async fn may_control(&self, access: &Access, id: JobId) -> Result<(), Status> {
        self.permit(access, &[Action::Control], id).await.map(drop).map_err(self.status())
    }

    /// Permits to submit a job again, as this kind or as its own.
    ///
    /// # Errors
    ///
    /// As [`Api::may_control`].
    pub(super) async fn may_retry(
        &self,
        access: &Access,
        id: JobId,
        kind: Option<&Kind>,
    ) -> Result<(), Status> {
        let job = self.permit(access, &[Action::Control], id).await.map_err(self.status())?;
        let Some(job) = job else { return Ok(()) };
        let kind = kind.map_or(&*job.kind, Kind::as_str);
        access.lane(Action::Submit, &job.queue, kind).map_err(self.status())
    }

    /// Permits to read a job, and these actions. Returns the job if the caller is limited.
    async fn permit(&self, access: &Access, actions: &[Action], id: JobId) -> Result<Option<JobAccessView>> {
        let Some(principal) = access.limited() else { return Ok(None) };
        let job = match self.engine.job_access(id).await {
            Ok(job) => job,
            // Whether a job was removed is known to callers that may read every job.
            Err(error) if matches!(error.kind(), ErrorKind::ResultExpired { .. }) => {
                return Err(job_not_found(id));
            }
            Err(error) => return Err(error),
        };
        if !principal.may(Action::Read, job.as_access()) {
            return Err(job_not_found(id));
        }
        match actions.iter().find(|action| !principal.may(**action, job.as_access())) {
            Some(action) => Err(missing(format!("{} queue={} kind={}", action.name(), job.queue, job.kind))),
            None => Ok(Some(job)),
        }
    }
}

/// The error for a caller without a grant.
pub(super) fn missing(grant: impl Into<String>) -> Error {
    let grant = grant.into();
    let message =
        format!("the caller has no grant \"{grant}\": add it to its grants in the server's configuration");
    Error::new(ErrorKind::GrantMissing { grant }, message)
}

/// The grant for the first queue and kind of a worker.
fn first_grant(spec: &SessionSpec) -> String {
    let queue = spec.queues.iter().flatten().next().map(|queue| format!(" queue={}", queue.as_str()));
    let kind = spec.kinds.first().map(|kind| format!(" kind={}", kind.as_str()));
    format!("work{}{}", queue.unwrap_or_default(), kind.unwrap_or_default())
}

/// The error for a worker that names no queues, and lacks a grant for its kind in all of them.
fn missing_for_all_queues(kind: &Kind) -> Error {
    let grant = format!("work kind={}", kind.as_str());
    let message = format!(
        "the caller has no grant \"{grant}\", which a worker that names no queues needs: name the queues that it has \
         grants for, or add the grant in the server's configuration"
    );
    Error::new(ErrorKind::GrantMissing { grant }, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Grants, Method};

    #[test]
    fn a_worker_of_all_queues_needs_a_grant_for_each_kind_and_learns_which_is_missing() {
        let grants = Grants::parse(["work kind=a", "work kind=b", "work queue=mail kind=c"]).expect("grants");
        let principal = Principal::new("w", Method::Token, grants, None).expect("a principal");
        let access = Access(Some(Arc::new(principal)));
        let work = |kinds: &[&str], queues: Option<&[&str]>| {
            let kinds = kinds.iter().map(|kind| Kind::parse("kind", kind).expect("a kind")).collect();
            let queue = |queue: &&str| QueueName::parse("queue", queue).expect("a queue");
            let queues = queues.map(|queues| queues.iter().map(queue).collect());
            access.work(&SessionSpec { name: "w".to_owned(), kinds, queues, slots: 1 })
        };
        assert!(work(&["a", "b"], None).is_ok() && work(&["a", "c"], Some(&["mail"])).is_ok());
        for kind in ["c", "d"] {
            let error = work(&["a", kind], None).expect_err("no grant for all queues");
            let expected =
                format!("has no grant \"work kind={kind}\", which a worker that names no queues needs");
            assert!(error.message().contains(&expected), "{error}");
        }
    }

    #[test]
    fn a_worker_without_any_grant_learns_the_one_for_its_queue_and_kind() {
        let grants = Grants::parse(["submit"]).expect("grants");
        let principal = Principal::new("w", Method::Token, grants, None).expect("a principal");
        let kinds = vec![Kind::parse("kind", "resize").expect("a kind")];
        for (queues, grant) in [
            (None, "work kind=resize"),
            (Some(vec![QueueName::parse("queue", "mail").expect("a queue")]), "work queue=mail kind=resize"),
        ] {
            let spec = SessionSpec { name: "w".to_owned(), kinds: kinds.clone(), queues, slots: 1 };
            let error = Access(Some(Arc::new(principal.clone()))).work(&spec).expect_err("no grant");
            assert!(error.message().contains(&format!("no grant \"{grant}\"")), "{error}");
        }
    }
}
