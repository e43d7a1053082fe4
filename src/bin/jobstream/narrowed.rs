//! Lists that the caller's grants narrow: the server leaves out what they do not permit, and does not say so.

use std::time::Duration;

use jobstream::access::{Action, Grants};
use jobstream::client;
use tokio::time;

use crate::connect::Client;

/// Timeout of WhoAmI with its retries. The list is complete without it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// A list of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Jobs,
    Queues,
    Workers,
}

impl List {
    fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Queues => "queues",
            Self::Workers => "workers",
        }
    }

    /// The actions that show the whole list if one of them is granted without a limit.
    fn actions(self) -> &'static [Action] {
        match self {
            Self::Jobs => &[Action::List],
            Self::Queues => &[Action::List, Action::Admin],
            Self::Workers => &[Action::Admin],
        }
    }

    fn is_narrowed_by(self, grants: &Grants) -> bool {
        !self.actions().iter().any(|action| grants.cover_all_queues(*action))
    }
}

/// Which of the lists may lack elements, and the grants that show all: `only workers that your grants permit are shown:
/// seeing all needs admin`. `None` if they are complete, or if it is unknown because WhoAmI failed
/// or was not answered within [`ANSWER_TIME_MAX`].
pub(crate) async fn reason(api: &client::Client, lists: &[List]) -> Option<String> {
    let caller = time::timeout(ANSWER_TIME_MAX, api.who_am_i()).await.ok()?.ok()?;
    let grants = Grants::parse(caller.grants.iter().map(String::as_str)).ok()?;
    described(&grants, lists)
}

/// Writes [`reason`] to stderr, unless quiet. Returns whether there is one.
pub(crate) async fn notice(client: &Client, list: List) -> bool {
    if client.output.quiet {
        return false;
    }
    let reason = reason(&client.api, &[list]).await;
    reason.iter().for_each(|reason| client.output.notice(reason));
    reason.is_some()
}

fn described(grants: &Grants, lists: &[List]) -> Option<String> {
    let narrowed: Vec<_> = lists.iter().copied().filter(|list| list.is_narrowed_by(grants)).collect();
    if narrowed.is_empty() {
        return None;
    }
    let names: Vec<_> = narrowed.iter().map(|list| list.name()).collect();
    let mut needed: Vec<_> = narrowed.iter().map(|list| list.actions()[0].name()).collect();
    needed.dedup();
    let (names, needed) = (names.join(" and "), needed.join(" and "));
    Some(format!("only {names} that your grants permit are shown: seeing all needs {needed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_narrowed_unless_a_grant_shows_all_of_it() {
        let of = |grants: &[&str], lists: &[List]| {
            described(&Grants::parse(grants.iter().copied()).expect("grants"), lists)
        };
        let all = [List::Jobs, List::Queues, List::Workers];
        for (grants, lists) in [
            (&["all"][..], &all[..]),
            (&["list", "admin"], &all),
            (&["admin"], &all[1..]),
            (&["list"], &all[..2]),
        ] {
            assert_eq!(of(grants, lists), None, "{grants:?}");
        }
        for (grants, lists, expected) in [
            (
                &["list own"][..],
                &all[..1],
                "only jobs that your grants permit are shown: seeing all needs list",
            ),
            (
                &["admin queue=mail"],
                &all[2..],
                "only workers that your grants permit are shown: seeing all needs admin",
            ),
            (
                &["list kind=a"],
                &all[..2],
                "only jobs and queues that your grants permit are shown: seeing all needs list",
            ),
            (
                &["all queue=mail"],
                &all,
                "only jobs and queues and workers that your grants permit are shown: seeing all needs list and admin",
            ),
        ] {
            assert_eq!(of(grants, lists).as_deref(), Some(expected), "{grants:?}");
        }
    }
}
