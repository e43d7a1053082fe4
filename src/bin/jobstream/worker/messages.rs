//! The lines that report a worker's status.

use std::time::Duration;

use crate::connect::Address;
use crate::output::text;

/// What a worker serves, and where.
#[derive(Debug)]
pub(super) struct Description {
    /// Shown with each attempt.
    pub(super) name: String,
    /// Of the server.
    pub(super) address: String,
    /// Kinds, and how many jobs of each run at the same time.
    pub(super) kinds: Vec<(String, u32)>,
    /// Queues; none is all.
    pub(super) queues: Vec<String>,
}

impl Description {
    /// `worker a-1 serves resize, upper of every queue: connecting to http://127.0.0.1:7070 (the default address)`.
    pub(super) fn starting(&self, address: &Address) -> String {
        let queues = match &self.queues[..] {
            [] => "every queue".to_owned(),
            [queue] => format!("queue {queue}"),
            queues => format!("queues {}", queues.join(", ")),
        };
        let (name, kinds) = (&self.name, self.kinds());
        format!("worker {name} serves {kinds} of {queues}: connecting to {address}")
    }

    /// `connected to http://127.0.0.1:7070 as w7 (server 0.1.0), 8 slots, kinds: resize`.
    pub(super) fn connected(&self, worker_ids: &[String], server_version: &str) -> String {
        let slots: u64 = self.kinds.iter().map(|(_, slots)| u64::from(*slots)).sum();
        let slots = text::counted(slots, "slot", "slots");
        let (address, ids, kinds) = (&self.address, worker_ids.join(", "), self.kinds());
        format!("connected to {address} as {ids} (server {server_version}), {slots}, kinds: {kinds}")
    }

    /// `lost the server at http://h:1: reset: trying again; running attempts continue`.
    pub(super) fn disconnected(&self, was_connected: bool, why: &str) -> String {
        let (what, address) =
            (if was_connected { "lost the server" } else { "cannot reach the server" }, &self.address);
        let on = if was_connected { "; running attempts continue" } else { "" };
        format!("{what} at {address}: {why}: trying again{on}")
    }

    fn kinds(&self) -> String {
        self.kinds.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// `draining 2 jobs, up to 30s; another signal ends at once`.
pub(super) fn draining(jobs: usize, within: Duration) -> String {
    let jobs = text::counted(jobs as u64, "job", "jobs");
    format!("draining {jobs}, up to {}; another signal ends at once", text::duration(within))
}

/// `an operator drains this worker: finishing 2 jobs`.
pub(super) fn drained_by_operator(jobs: usize) -> String {
    let jobs = text::counted(jobs as u64, "job", "jobs");
    format!("an operator drains this worker: finishing {jobs}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Source;

    fn description(queues: &[&str]) -> Description {
        Description {
            name: "a-1".to_owned(),
            address: "http://h:1".to_owned(),
            kinds: vec![("resize".to_owned(), 8), ("upper".to_owned(), 2)],
            queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
        }
    }

    #[test]
    fn it_begins_with_what_it_serves() {
        let address = Address::new("h:1", Source::Flag).expect("an address");
        let starting = |queues| description(queues).starting(&address);
        let expected = "worker a-1 serves resize, upper of every queue: \
                        connecting to http://h:1 (from --address)";
        assert_eq!(starting(&[]), expected);
        assert!(starting(&["a"]).contains("of queue a:"));
        assert!(starting(&["a", "b"]).contains("of queues a, b:"));
    }

    #[test]
    fn a_connection_is_reported_with_the_id_of_the_worker() {
        let connected = description(&[]).connected(&["w7".to_owned(), "w8".to_owned()], "0.1.0");
        let expected = "connected to http://h:1 as w7, w8 (server 0.1.0), 10 slots, kinds: resize, upper";
        assert_eq!(connected, expected);
    }

    #[test]
    fn a_continuing_worker_is_reported_only_if_it_has_attempts() {
        assert_eq!(
            description(&[]).disconnected(true, "reset"),
            "lost the server at http://h:1: reset: trying again; running attempts continue"
        );
        assert_eq!(
            description(&[]).disconnected(false, "refused"),
            "cannot reach the server at http://h:1: refused: trying again"
        );
    }

    #[test]
    fn a_drain_reports_attempts_and_its_time_limit() {
        let expected = "draining 1 job, up to 30s; another signal ends at once";
        assert_eq!(draining(1, Duration::from_secs(30)), expected);
        assert_eq!(drained_by_operator(3), "an operator drains this worker: finishing 3 jobs");
    }
}
