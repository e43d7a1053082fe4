//! Grants: what a principal may do, and with which queues and kinds.

use std::fmt;

use super::pattern::Pattern;
use crate::error::{Error, Result};
use crate::job::quoted;

/// Most grants of a principal.
pub const GRANTS_MAX: usize = 64;

/// What a grant permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Submit jobs.
    Submit,
    /// List jobs and queues, without payloads and results.
    List,
    /// Read a job by its id: state, payload, result and events. With `List`, also payloads in lists.
    Read,
    /// Cancel and delete jobs. They must be readable as well.
    Control,
    /// Run jobs: lease attempts and report about them.
    Work,
    /// Pause, resume and purge queues; list and drain workers; change the level of the log.
    Admin,
    /// Read the metrics of the server.
    Metrics,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 7] =
        [Self::Submit, Self::List, Self::Read, Self::Control, Self::Work, Self::Admin, Self::Metrics];

    /// The name in a grant.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::List => "list",
            Self::Read => "read",
            Self::Control => "control",
            Self::Work => "work",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }

    /// Whether it concerns jobs that exist, so that a grant may be limited to the principal's own jobs.
    fn has_owner(self) -> bool {
        matches!(self, Self::List | Self::Read | Self::Control)
    }
}

/// The name of all actions in a grant.
const ALL: &str = "all";

/// One grant: `read own queue=billing/*`.
///
/// ```
/// use jobstream::access::Grant;
///
/// # fn main() -> jobstream::error::Result<()> {
/// let grant = Grant::parse("submit queue=billing/* kind=mail.*")?;
/// assert_eq!(grant.to_string(), "submit queue=billing/* kind=mail.*");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grant {
    /// `None` is every action.
    action: Option<Action>,
    own: bool,
    queue: Pattern,
    kind: Pattern,
}

impl Grant {
    /// Every action with every queue and kind.
    pub fn all() -> Self {
        Self { action: None, own: false, queue: Pattern::default(), kind: Pattern::default() }
    }

    /// Parses `ACTION [own] [queue=PATTERN] [kind=PATTERN]`. The action is `all` or one of [`Action::ALL`].
    ///
    /// # Errors
    ///
    /// `InvalidField` for `grant`.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |problem: String| {
            let description = format!(
                "{} {problem}: write ACTION [own] [queue=PATTERN] [kind=PATTERN], where ACTION is submit, list, read, \
                 control, work, admin, metrics or all",
                quoted(text)
            );
            Error::invalid("grant", description)
        };
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let action = Action::ALL.into_iter().find(|action| action.name() == name);
        if action.is_none() && name != ALL {
            return Err(invalid(format!("has no action {}", quoted(name))));
        }
        let mut grant = Self { action, ..Self::all() };
        let (mut has_queue, mut has_kind) = (false, false);
        for word in words {
            match word.split_once('=') {
                Some(("queue", pattern)) if !has_queue => {
                    (grant.queue, has_queue) = (Pattern::parse("grant", pattern)?, true);
                }
                Some(("kind", pattern)) if !has_kind => {
                    (grant.kind, has_kind) = (Pattern::parse("grant", pattern)?, true);
                }
                None if word == "own" && !grant.own => grant.own = true,
                _ => return Err(invalid(format!("has the unknown or repeated word {}", quoted(word)))),
            }
        }
        if grant.own && !action.is_none_or(Action::has_owner) {
            return Err(invalid(format!(
                "limits {name} to own jobs, which is possible for list, read and control"
            )));
        }
        if action == Some(Action::Admin) && !grant.kind.is_any() {
            return Err(invalid("limits admin to a kind, but queues and workers have many".to_owned()));
        }
        if action == Some(Action::Metrics) && !(grant.kind.is_any() && grant.queue.is_any()) {
            return Err(invalid("limits metrics, which are those of the whole server".to_owned()));
        }
        Ok(grant)
    }

    /// Whether it permits the action for this job. `is_own`: the principal submitted the job.
    fn covers(&self, action: Action, queue: &str, kind: &str, is_own: bool) -> bool {
        self.permits(action)
            && (!self.own || is_own || !action.has_owner())
            && self.queue.matches(queue)
            && self.kind.matches(kind)
    }

    /// Whether it permits the action for a whole queue, with all its kinds and jobs.
    fn covers_queue(&self, action: Action, queue: &str) -> bool {
        self.permits(action)
            && !(self.own && action.has_owner())
            && self.kind.is_any()
            && self.queue.matches(queue)
    }

    /// Whether it permits the action for all these queues and kinds. Without queues, for every queue.
    fn covers_lanes<'a>(
        &self,
        action: Action,
        queues: Option<impl Iterator<Item = &'a str>>,
        mut kinds: impl Iterator<Item = &'a str>,
    ) -> bool {
        let covers_queues = match queues {
            Some(mut queues) => queues.all(|queue| self.queue.matches(queue)),
            None => self.queue.is_any(),
        };
        self.permits(action) && covers_queues && kinds.all(|kind| self.kind.matches(kind))
    }

    /// Whether it permits the action for every queue, with all kinds and jobs.
    fn covers_all_queues(&self, action: Action) -> bool {
        self.permits(action) && !(self.own && action.has_owner()) && self.kind.is_any() && self.queue.is_any()
    }

    /// Whether it permits the action at all: for some queue, kind and job.
    fn permits(&self, action: Action) -> bool {
        self.action.is_none_or(|own| own == action)
    }

    fn is_unlimited(&self) -> bool {
        self.action.is_none() && !self.own && self.queue.is_any() && self.kind.is_any()
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.map_or(ALL, Action::name))?;
        if self.own {
            f.write_str(" own")?;
        }
        for (name, pattern) in [("queue", &self.queue), ("kind", &self.kind)] {
            if !pattern.is_any() {
                write!(f, " {name}={pattern}")?;
            }
        }
        Ok(())
    }
}

/// The grants of a principal. A call is permitted if one of them covers it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    list: Vec<Grant>,
    /// Whether one grant covers everything.
    is_unlimited: bool,
}

impl Grants {
    /// Everything.
    pub fn all() -> Self {
        Self { list: vec![Grant::all()], is_unlimited: true }
    }

    /// At most [`GRANTS_MAX`] grants.
    ///
    /// # Errors
    ///
    /// `InvalidField` if there are more.
    pub fn new(list: Vec<Grant>) -> Result<Self> {
        if list.len() > GRANTS_MAX {
            let description = format!("has {} grants, the limit is {GRANTS_MAX}", list.len());
            return Err(Error::invalid("grants", description));
        }
        let is_unlimited = list.iter().any(Grant::is_unlimited);
        Ok(Self { list, is_unlimited })
    }

    /// Parses grants as [`Grant::parse`] does.
    ///
    /// # Errors
    ///
    /// `InvalidField` for the first grant that is wrong, or if there are too many.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        Self::new(texts.into_iter().map(Grant::parse).collect::<Result<_>>()?)
    }

    /// The grants, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.list.iter()
    }

    /// Whether they cover everything.
    pub fn is_unlimited(&self) -> bool {
        self.is_unlimited
    }

    /// Whether one of them permits the action for this job. `is_own`: the principal submitted the job.
    pub(super) fn cover(&self, action: Action, queue: &str, kind: &str, is_own: bool) -> bool {
        self.is_unlimited || self.list.iter().any(|grant| grant.covers(action, queue, kind, is_own))
    }

    /// Whether one of them permits the action for the whole queue, with all its kinds and jobs.
    pub(super) fn cover_queue(&self, action: Action, queue: &str) -> bool {
        self.is_unlimited || self.list.iter().any(|grant| grant.covers_queue(action, queue))
    }

    /// Whether one of them permits the action for all these queues and kinds. Without queues, for every queue.
    pub(super) fn cover_lanes<'a, Q, K>(&self, action: Action, queues: Option<Q>, kinds: K) -> bool
    where
        Q: Iterator<Item = &'a str> + Clone,
        K: Iterator<Item = &'a str> + Clone,
    {
        self.list.iter().any(|grant| grant.covers_lanes(action, queues.clone(), kinds.clone()))
    }

    /// Whether one of them permits the action for every queue, with all kinds and jobs.
    pub fn cover_all_queues(&self, action: Action) -> bool {
        self.list.iter().any(|grant| grant.covers_all_queues(action))
    }

    /// Whether one of them is about this kind.
    pub(super) fn concern_kind(&self, kind: &str) -> bool {
        self.list.iter().any(|grant| grant.kind.matches(kind))
    }

    /// Whether they permit the action for anything.
    pub(super) fn permit(&self, action: Action) -> bool {
        self.list.iter().any(|grant| grant.permits(action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_written_as_they_are_parsed() {
        for text in [
            "all",
            "submit",
            "read own",
            "list own queue=a/* kind=b",
            "all own",
            "admin queue=x",
            "work kind=*y",
        ] {
            assert_eq!(Grant::parse(text).expect("a grant").to_string(), text);
        }
        assert_eq!(Grant::parse(" read  queue=* ").expect("a grant").to_string(), "read");
    }

    #[test]
    fn a_wrong_grant_is_refused_with_the_syntax() {
        for text in [
            "",
            "own",
            "write",
            "read own own",
            "read queue=",
            "submit own",
            "admin kind=a",
            "metrics queue=a",
            "metrics own",
            "read limit=a",
            "Read",
        ] {
            let error = Grant::parse(text).expect_err(text);
            assert!(error.message().contains("write "), "{text}: {error}");
        }
    }

    #[test]
    fn a_grant_covers_its_queue_kind_and_owner() {
        let grants =
            Grants::parse(["submit queue=a/*", "read own", "list kind=b", "admin queue=a/*"]).unwrap();
        assert!(
            grants.cover(Action::Submit, "a/1", "k", true) && !grants.cover(Action::Submit, "b", "k", true)
        );
        assert!(grants.cover(Action::Read, "b", "k", true) && !grants.cover(Action::Read, "b", "k", false));
        assert!(!grants.cover(Action::Control, "a/1", "k", true) && !grants.is_unlimited());
        assert!(grants.cover_queue(Action::Admin, "a/1") && !grants.cover_queue(Action::Admin, "b"));
        assert!(!grants.cover_queue(Action::List, "a/1"), "limited to a kind");
        assert!(!grants.cover_queue(Action::Read, "a/1"), "limited to own jobs");
    }

    #[test]
    fn all_own_limits_only_what_concerns_jobs_that_exist() {
        let grants = Grants::parse(["all own"]).unwrap();
        assert!(!grants.is_unlimited() && grants.cover(Action::Submit, "a", "k", false));
        assert!(
            grants.cover(Action::Control, "a", "k", true) && !grants.cover(Action::Control, "a", "k", false)
        );
        assert!(grants.cover_queue(Action::Admin, "a") && !grants.cover_queue(Action::List, "a"));
    }
}
