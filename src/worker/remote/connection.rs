//! One connection of a stream, from the greeting to its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Fuse;
use hashbrown::HashSet;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Status, Streaming};

use super::ledger::Terms;
use super::request::Requests;
use super::wire::{assignment, span};
use super::{FORCE_TIME_MAX, Remote, SETTLE_TIME_MAX};
use crate::job::{Assignment, AttemptEnd, LeaseId, QueueName, Stop};
use crate::proto::v1;
use crate::worker::desk::GIVEN_BACK;
use crate::worker::link::Link;
use crate::worker::{WorkerEnd, WorkerStatus};

/// What a server gets to answer the greeting.
const WELCOME_TIME_MAX: Duration = Duration::from_secs(10);
/// Ping intervals without a word after which a connection is given up.
const SILENT_PINGS_MAX: u32 = 3;
/// Shortest silence that ends a connection, whatever the server says of its pings.
const SILENCE_MIN: Duration = Duration::from_millis(50);

/// What the server's own word gets to arrive before an attempt whose cancel was not heeded is ended without it.
const FORCE_MARGIN: Duration = Duration::from_millis(250);

/// What one connection needs beside its stream.
struct Talk {
    link: Link,
    /// The last queue that was named: most jobs come from the same one.
    queue: Arc<str>,
    /// Until when what runs may finish, once the server said that it shuts down.
    leaving: Option<Instant>,
}

impl Remote {
    /// Connects and does as the server says until the stream ends.
    pub(super) async fn converse(&self) -> Result<(), Status> {
        let stream = self.ledger.greet(self.hello.clone());
        let requests = Requests::new(self.ledger.clone(), stream);
        let mut client = self.client.clone();
        let greeting = async {
            let mut responses = client.work(requests).await?.into_inner();
            match responses.message().await? {
                Some(first) => Ok((first, responses)),
                None => Err(Status::unavailable("the server ended the stream without a welcome")),
            }
        };
        let answered = timeout(WELCOME_TIME_MAX, greeting).await;
        let (first, responses) = answered
            .map_err(|_| Status::deadline_exceeded("the server did not answer the greeting in time"))??;
        // What an earlier connection was told is not meant for this one.
        let _ = self.give_up.notified().now_or_never();
        self.read(first, responses).await
    }

    async fn read(
        &self,
        mut first: v1::WorkResponse,
        mut responses: Streaming<v1::WorkResponse>,
    ) -> Result<(), Status> {
        let Some(welcome) = first.welcome.take() else {
            return Err(Status::unavailable("the server began the stream without a welcome"));
        };
        let silence_max = (span(welcome.ping_interval) * SILENT_PINGS_MAX).max(SILENCE_MIN);
        self.welcome(welcome);
        let queue = QueueName::default().as_str().into();
        let mut talk = Talk { link: Link::Remote(self.ledger.clone()), queue, leaving: None };
        self.handle(first, &mut talk)?;
        let mut heard = Instant::now();
        let mut silence = std::pin::pin!(sleep_until(heard + silence_max));
        let mut leave = std::pin::pin!(Fuse::terminated());
        loop {
            if let Some(until) = talk.leaving.take() {
                leave.set(self.leave(until).fuse());
            }
            tokio::select! {
                response = responses.message() => match response? {
                    Some(response) => {
                        heard = Instant::now();
                        self.handle(response, &mut talk)?;
                    }
                    None => return Ok(()),
                },
                () = &mut silence => {
                    if heard.elapsed() >= silence_max {
                        return Err(Status::deadline_exceeded("the server was silent for three ping intervals"));
                    }
                    silence.as_mut().reset(heard + silence_max);
                }
                () = &mut leave => self.ledger.end_stream(),
                () = self.give_up.notified() => return Err(Status::aborted("the leases ran out")),
            }
        }
    }

    fn welcome(&self, welcome: v1::Welcome) {
        let standing: HashSet<_> =
            welcome.standing_lease_ids.iter().filter_map(|lease| LeaseId::parse(lease)).collect();
        let terms =
            Terms { lease: span(welcome.lease), payload_bytes_max: welcome.payload_bytes_max as usize };
        let lost = self.ledger.welcome(&standing, welcome.acked_report_sequence, terms);
        for lease in lost {
            self.desk.end(lease, Stop::Revoke);
        }
        self.welcomed.notify_one();
        let (worker_ids, server_version) = (vec![welcome.worker_id], welcome.server_version);
        self.post(WorkerStatus::Connected { worker_ids, server_version });
    }

    /// Does as the server says, in the order of the fields, and has the answers sent.
    fn handle(&self, response: v1::WorkResponse, talk: &mut Talk) -> Result<(), Status> {
        let v1::WorkResponse { welcome: _, assignments, cancels, ack, ping, drain } = response;
        if !assignments.is_empty() {
            self.begin(assignments, talk)?;
        }
        for cancel in cancels {
            self.cancel(&cancel);
        }
        if let Some(ack) = ack {
            self.acknowledge(&ack);
        }
        if ping.is_some() {
            self.ledger.beat();
        }
        if let Some(drain) = drain {
            let until = Instant::now() + span(drain.time_left);
            if drain.server_shutdown {
                talk.leaving = Some(until);
            } else {
                self.signals.end(WorkerEnd::Drained);
                self.signals.drain_until(until);
            }
        }
        self.ledger.wake();
        Ok(())
    }

    fn begin(&self, assignments: Vec<v1::Assignment>, talk: &mut Talk) -> Result<(), Status> {
        let mut ends = Vec::with_capacity(if self.inline.is_some() { assignments.len() } else { 0 });
        for wire in assignments {
            let kind = self.desk.known_kind(&wire.kind);
            let assignment = assignment(wire, kind, &mut talk.queue).map_err(Status::internal)?;
            match assignment {
                // Given before the server heard that nothing more is asked for, and perhaps after the last look at what
                // still runs.
                Ok(assignment) if self.signals.is_draining() => ends.push((assignment.lease, GIVEN_BACK)),
                Ok(assignment) => self.run_or_end(assignment, &talk.link, &mut ends),
                Err(unreadable) => ends.push(unreadable),
            }
        }
        if !ends.is_empty() {
            self.ledger.end_at_once(ends);
        }
        Ok(())
    }

    /// Runs a short handler here and now, any other as a task.
    fn run_or_end(&self, assignment: Assignment, link: &Link, ends: &mut Vec<(LeaseId, AttemptEnd)>) {
        let lease = assignment.lease;
        match &self.inline {
            Some(inline) => ends.push((lease, inline(assignment))),
            None => {
                self.ledger.begin(lease);
                self.desk.run(assignment, link.clone());
            }
        }
    }

    fn cancel(&self, cancel: &v1::AttemptCancel) {
        let Some(lease) = LeaseId::parse(&cancel.lease_id) else { return };
        if cancel.revoked {
            self.desk.end(lease, Stop::Revoke);
            return;
        }
        let force_after = span(cancel.force_after);
        self.desk.end(lease, Stop::Cancel(force_after));
        // The server says so first, if it can be heard then: the job's end is to tell that it was forced.
        self.desk.force_in(lease, force_after.saturating_add(FORCE_MARGIN));
    }

    fn acknowledge(&self, ack: &v1::ReportAck) {
        for refusal in &ack.refusals {
            let (code, message) =
                refusal.error.as_ref().map_or((0, ""), |error| (error.code, error.message.as_str()));
            match LeaseId::parse(&refusal.lease_id) {
                Some(lease) if code == Code::FailedPrecondition as i32 => self.desk.end(lease, Stop::Revoke),
                _ => tracing::warn!(lease = %refusal.lease_id, message, "the server refused a report"),
            }
        }
        self.ledger.acknowledge(ack.report_sequence);
    }

    /// Before a server shuts down: lets what runs finish by then, gives back the rest and waits until the server knows.
    async fn leave(&self, until: Instant) {
        tokio::select! {
            () = self.desk.idle() => {}
            () = sleep_until(until) => self.desk.force_all(),
        }
        let _ = timeout(FORCE_TIME_MAX, self.desk.idle()).await;
        let _ = timeout(SETTLE_TIME_MAX, self.ledger.settled()).await;
    }
}
