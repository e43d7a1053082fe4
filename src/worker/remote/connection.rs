//! One connection of a session: the handshake (`Hello`, `Welcome`), then the server's messages until the stream ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Fuse;
use hashbrown::HashSet;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Status, Streaming};

use super::convert::{assignment, span};
use super::report_buffer::{Resumed, ServerLimits};
use super::request::Requests;
use super::{ACK_TIME_MAX, FORCE_TIME_MAX, RemoteSession};
use crate::client::{self, status::from_rpc_status};
use crate::job::{Assignment, AttemptEnd, LeaseId, QueueName, Stop};
use crate::proto::v1;
use crate::worker::executor::RELEASED;
use crate::worker::report_sink::ReportSink;
use crate::worker::settled::lease_lost;
use crate::worker::{WorkerEnd, WorkerStatus};

/// Timeout of the handshake.
const WELCOME_TIME_MAX: Duration = Duration::from_secs(10);
/// The worker closes a connection after this many ping intervals without a message.
const IDLE_PINGS_MAX: u32 = 3;
/// Lower bound of the idle timeout, for short ping intervals.
const IDLE_TIMEOUT_MIN: Duration = Duration::from_millis(50);

/// Extra time for the server's revocation to arrive before the worker itself ends a cancelled attempt by force.
const FORCE_MARGIN: Duration = Duration::from_millis(250);

/// State of one connection beside its stream.
struct Connection {
    sink: ReportSink,
    /// The queue of the last assignment. Its allocation is shared: most consecutive jobs have the same queue.
    queue: Arc<str>,
    /// The drain deadline of a server that announced its shutdown.
    shutdown_deadline: Option<Instant>,
}

impl RemoteSession {
    /// Connects and processes the server's messages until the stream ends.
    pub(super) async fn run_connection(&self) -> Result<(), Status> {
        let stream = self.buffer.open_stream(self.hello.clone());
        let requests = Requests::new(self.buffer.clone(), stream);
        let mut client = self.client.clone();
        let handshake = async {
            let mut responses = client.work(requests).await?.into_inner();
            match responses.message().await? {
                Some(first) => Ok((first, responses)),
                None => Err(Status::unavailable("the server ended the stream without a welcome")),
            }
        };
        let (first, responses) = timeout(WELCOME_TIME_MAX, handshake)
            .await
            .map_err(|_| Status::deadline_exceeded("the server sent no welcome in time"))??;
        // Discard a notification that was meant for an earlier connection.
        let _ = self.leases_expired.notified().now_or_never();
        self.process_responses(first, responses).await
    }

    async fn process_responses(
        &self,
        mut first: v1::WorkResponse,
        mut responses: Streaming<v1::WorkResponse>,
    ) -> Result<(), Status> {
        let Some(welcome) = first.welcome.take() else {
            return Err(Status::unavailable("the server's first message was not a welcome"));
        };
        let idle_timeout = (span(welcome.ping_interval) * IDLE_PINGS_MAX).max(IDLE_TIMEOUT_MIN);
        self.on_welcome(welcome);
        let queue = QueueName::default().as_str().into();
        let sink = ReportSink::Remote(self.buffer.clone());
        let mut connection = Connection { sink, queue, shutdown_deadline: None };
        self.on_response(first, &mut connection)?;
        let mut last_message = Instant::now();
        let mut idle = std::pin::pin!(sleep_until(last_message + idle_timeout));
        let mut finish = std::pin::pin!(Fuse::terminated());
        loop {
            if let Some(deadline) = connection.shutdown_deadline.take() {
                finish.set(self.finish_before_shutdown(deadline).fuse());
            }
            tokio::select! {
                response = responses.message() => match response? {
                    Some(response) => {
                        last_message = Instant::now();
                        self.on_response(response, &mut connection)?;
                    }
                    None => return Ok(()),
                },
                () = &mut idle => {
                    if last_message.elapsed() >= idle_timeout {
                        let message = "the server sent no message for three ping intervals";
                        return Err(Status::deadline_exceeded(message));
                    }
                    idle.as_mut().reset(last_message + idle_timeout);
                }
                () = &mut finish => self.buffer.close_stream(),
                () = self.leases_expired.notified() => return Err(Status::aborted("the leases expired")),
            }
        }
    }

    fn on_welcome(&self, welcome: v1::Welcome) {
        let valid: HashSet<_> =
            welcome.standing_lease_ids.iter().filter_map(|lease| LeaseId::parse(lease)).collect();
        let limits = ServerLimits {
            lease: span(welcome.lease),
            payload_bytes_max: welcome.payload_bytes_max as usize,
        };
        let resumed = Resumed {
            valid,
            acknowledged: welcome.acked_report_sequence,
            refused: self.refused(&welcome.refusals),
            unknown: welcome.unknown_report_sequence,
        };
        let lost = self.buffer.resume(resumed, limits);
        for lease in lost {
            self.executor.stop_attempt(lease, Stop::Revoke);
        }
        self.is_welcomed.store(true, Ordering::Relaxed);
        self.welcomed.notify_one();
        tracing::info!(worker = %self.hello.name, worker_id = %welcome.worker_id, "the worker is connected");
        let (worker_ids, server_version) = (vec![welcome.worker_id], welcome.server_version);
        self.set_status(WorkerStatus::Connected { worker_ids, server_version });
    }

    /// Processes one message in the order of its fields and wakes the request stream.
    fn on_response(&self, response: v1::WorkResponse, connection: &mut Connection) -> Result<(), Status> {
        let v1::WorkResponse { welcome: _, assignments, cancels, ack, ping, drain } = response;
        if !assignments.is_empty() {
            self.on_assignments(assignments, connection)?;
        }
        for cancel in cancels {
            self.on_cancel(&cancel);
        }
        if let Some(ack) = ack {
            self.on_ack(&ack);
        }
        if ping.is_some() {
            self.buffer.request_heartbeat();
        }
        if let Some(drain) = drain {
            let deadline = Instant::now() + span(drain.time_left);
            if drain.server_shutdown {
                connection.shutdown_deadline = Some(deadline);
            } else {
                self.worker.drain_until(deadline, WorkerEnd::Drained);
            }
        }
        self.buffer.wake();
        Ok(())
    }

    fn on_assignments(
        &self,
        messages: Vec<v1::Assignment>,
        connection: &mut Connection,
    ) -> Result<(), Status> {
        let mut ends = Vec::with_capacity(if self.inline.is_some() { messages.len() } else { 0 });
        for message in messages {
            let kind = self.executor.known_kind(&message.kind);
            let assignment = assignment(message, kind, &mut connection.queue).map_err(Status::internal)?;
            match assignment {
                // The server sent it before it received that the worker drains. `finish` may no longer wait for new
                // attempts.
                Ok(assignment) if self.worker.is_draining() => ends.push((assignment.lease, RELEASED)),
                Ok(assignment) => self.run_or_end(assignment, &connection.sink, &mut ends),
                Err(invalid) => ends.push(invalid),
            }
        }
        if !ends.is_empty() {
            self.buffer.push_ends(ends);
        }
        Ok(())
    }

    /// Runs an inline handler on this thread, and any other handler as a task.
    fn run_or_end(&self, assignment: Assignment, sink: &ReportSink, ends: &mut Vec<(LeaseId, AttemptEnd)>) {
        let lease = assignment.lease;
        match &self.inline {
            Some(inline) => ends.push((lease, inline(assignment))),
            None => {
                self.buffer.begin(lease);
                self.executor.run(assignment, sink.clone());
            }
        }
    }

    fn on_cancel(&self, cancel: &v1::AttemptCancel) {
        let Some(lease) = LeaseId::parse(&cancel.lease_id) else { return };
        if cancel.revoked {
            self.buffer.revoke(lease);
            self.executor.stop_attempt(lease, Stop::Revoke);
            return;
        }
        let force_after = span(cancel.force_after);
        self.executor.stop_attempt(lease, Stop::Cancel(force_after));
        // The server revokes the lease after `force_after` and records that the end was forced. The worker ends the
        // attempt itself only if that revocation does not arrive.
        self.executor.force_in(lease, force_after.saturating_add(FORCE_MARGIN));
    }

    fn on_ack(&self, ack: &v1::ReportAck) {
        self.buffer.acknowledge(ack.report_sequence, self.refused(&ack.refusals));
    }

    /// Stops the attempts whose leases are lost. Returns the numbers of the refused reports, and their errors.
    fn refused(&self, refusals: &[v1::ReportRefusal]) -> Vec<(u64, client::Error)> {
        let mut refused_reports = Vec::with_capacity(refusals.len());
        for refusal in refusals {
            let error = refusal.error.clone().unwrap_or_default();
            let refused = match LeaseId::parse(&refusal.lease_id) {
                Some(lease) if error.code == Code::FailedPrecondition as i32 => {
                    self.buffer.revoke(lease);
                    self.executor.stop_attempt(lease, Stop::Revoke);
                    lease_lost()
                }
                _ => {
                    let message = &error.message;
                    tracing::warn!(lease = %refusal.lease_id, message, "the server refused a report");
                    from_rpc_status(&error, "of the worker")
                }
            };
            refused_reports.push((refusal.report_sequence, refused));
        }
        refused_reports
    }

    /// Waits for running attempts until the server's drain deadline, releases the others and waits for the
    /// acknowledgement of the last reports.
    async fn finish_before_shutdown(&self, deadline: Instant) {
        tokio::select! {
            () = self.executor.idle() => {}
            () = sleep_until(deadline) => self.executor.force_all(),
        }
        let _ = timeout(FORCE_TIME_MAX, self.executor.idle()).await;
        let _ = timeout(ACK_TIME_MAX, self.buffer.all_acknowledged()).await;
    }
}
