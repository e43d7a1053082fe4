//! The stream of a worker: it applies reports, and sends orders and acknowledgements in few messages.
//!
//! One task reads and writes in turn, so a worker that does not read its stream gets backpressure on its reports.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use prost::Message;
use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::Api;
use super::bounded_list::element_bytes;
use super::early_end::{EarlyEnd, StreamLimits};
use super::error_details::add_details;
use super::quota_use::OpenPermit;
use crate::core::{Welcome, lease_lost, worker_id};
use crate::engine::{Disconnect, Orders, Refusal, ReportAck, ReportAcks, TakeLimit, WorkerSession};
use crate::error::{Error, ErrorKind};
use crate::job::{LeaseId, Order};
use crate::proto::status::{to_rpc_status, to_status};
use crate::proto::{parse, render, v1};

/// Most messages of the worker that are read before the stream sends.
const READ_FRAMES_MAX: usize = 64;
/// Size after which nothing more is added to a message, in bytes. It bounds the buffer of one worker; a worker with a lower
/// message limit gets less. A welcome or a larger element is sent alone.
const MESSAGE_FILL_BYTES: usize = 1 << 20;
/// Most bytes of an acknowledgement without its refusals.
const ACK_BYTES_MAX: usize = 16;

/// The messages to one worker.
pub(crate) struct WorkStream {
    api: Api,
    requests: Streaming<v1::WorkRequest>,
    /// `None` once the worker closed its side.
    session: Option<WorkerSession>,
    acks: ReportAcks,
    welcome: Option<v1::Welcome>,
    /// Size after which nothing more is added to a message, in bytes.
    message_bytes: usize,
    /// The newest report that is durable.
    reports_durable: u64,
    /// The newest report that was acknowledged.
    reports_acked: u64,
    /// Refusals of durable reports that were not sent, in the order of the reports.
    refusals: VecDeque<Refusal>,
    ping: Pin<Box<Sleep>>,
    early_end: EarlyEnd,
    /// The error that ends the stream after all pending messages are sent.
    failed: Option<Status>,
    done: bool,
    /// Counts the stream against the quota of its principal.
    _permit: Option<OpenPermit>,
}

impl WorkStream {
    pub(super) fn new(
        api: Api,
        requests: Streaming<v1::WorkRequest>,
        session: WorkerSession,
        welcome: &Welcome,
        response_bytes_max: usize,
        limits: StreamLimits,
    ) -> Self {
        let ping = Box::pin(sleep(api.engine.options().core.ping_interval));
        Self {
            requests,
            session: Some(session),
            acks: ReportAcks::new(api.engine.clone()),
            welcome: Some(api.welcome(welcome)),
            message_bytes: MESSAGE_FILL_BYTES.min(response_bytes_max),
            reports_durable: welcome.reports_taken,
            reports_acked: welcome.reports_taken,
            refusals: VecDeque::new(),
            ping,
            early_end: EarlyEnd::new(limits),
            failed: None,
            done: false,
            _permit: None,
            api,
        }
    }

    /// Holds the permit of the stream until the stream ends.
    pub(super) fn counted_by(mut self, permit: Option<OpenPermit>) -> Self {
        self._permit = permit;
        self
    }

    /// Applies the messages that have arrived; none while refusals wait to be sent.
    fn read(&mut self, context: &mut Context<'_>) {
        for count in 0.. {
            let Some(session) = self.session.as_ref().filter(|_| self.refusals.is_empty()) else { break };
            if count == READ_FRAMES_MAX {
                context.waker().wake_by_ref();
                break;
            }
            match self.acks.poll_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failed)) => return self.fail(&failed),
                Poll::Pending => break,
            }
            let frame = match Pin::new(&mut self.requests).poll_next(context) {
                Poll::Ready(Some(request)) => request
                    .map_err(|status| add_details(status, self.api.message_bytes_max))
                    .and_then(|request| {
                        parse::frame(request, self.api.payload_bytes_max).map_err(self.api.status())
                    }),
                Poll::Ready(None) => {
                    if let Some(session) = self.session.take() {
                        session.leave();
                    }
                    break;
                }
                Poll::Pending => break,
            };
            match frame {
                Ok(frame) => session.apply(frame, &mut self.acks),
                Err(status) => {
                    let session = self.session.take();
                    // A refused message has error details. A lost connection has none.
                    if let Some(session) = session.filter(|_| status.details().is_empty()) {
                        session.broke();
                    }
                    self.failed = Some(status);
                }
            }
        }
    }

    /// Takes the acknowledgements that are durable, up to one with refusals.
    fn take_acks(&mut self, context: &Context<'_>) {
        while self.refusals.is_empty() {
            match self.acks.poll_next(context) {
                Poll::Ready(Ok(ReportAck { sequence, refusals })) => {
                    self.reports_durable = self.reports_durable.max(sequence);
                    self.refusals = refusals.into();
                }
                Poll::Ready(Err(failed)) => return self.fail(&failed),
                Poll::Pending => return,
            }
        }
    }

    /// Ends the stream at once. The worker may resume on another.
    fn end_early(&mut self, error: &Error) -> Poll<Option<Result<v1::WorkResponse, Status>>> {
        self.done = true;
        self.session = None;
        Poll::Ready(Some(Err(to_status(error, &self.api.boot_id))))
    }

    fn fail(&mut self, error: &Error) {
        self.session = None;
        self.acks = ReportAcks::new(self.api.engine.clone());
        self.failed = Some(self.api.status()(error.clone()));
    }

    /// Adds the acknowledgement of durable reports, with the refusals that fit besides `bytes`. Returns the bytes of both.
    fn acknowledge(&mut self, mut bytes: usize, response: &mut v1::WorkResponse) -> usize {
        if self.reports_acked == self.reports_durable && self.refusals.is_empty() {
            return bytes;
        }
        let mut refusals = Vec::new();
        while let Some(refusal) = self.refusals.front() {
            let wire = self.api.refusal(refusal);
            let with_refusal = bytes + element_bytes(&wire);
            if bytes > 0 && with_refusal > self.message_bytes {
                break;
            }
            bytes = with_refusal;
            refusals.push(wire);
            self.refusals.pop_front();
        }
        let newest =
            self.refusals.front().map_or(self.reports_durable, |next| next.sequence.saturating_sub(1));
        self.reports_acked = newest.max(self.reports_acked);
        response.ack = Some(v1::ReportAck { report_sequence: self.reports_acked, refusals });
        bytes + ACK_BYTES_MAX
    }

    /// Adds orders for the worker, as many as fit besides `bytes`.
    fn add_orders(&mut self, context: &Context<'_>, bytes: usize, response: &mut v1::WorkResponse) {
        // An order that does not fit goes into the next message.
        let Some(bytes_left) = self.message_bytes.checked_sub(bytes).filter(|left| *left > 0) else { return };
        let Some(session) = &self.session else { return };
        // Only a message without other elements may exceed its size for one order.
        let limit = TakeLimit { bytes: bytes_left, may_exceed: bytes == 0 };
        let Orders { orders, drain, disconnect } = match session.poll_orders(context, limit) {
            Poll::Ready(Ok(orders)) => orders,
            Poll::Ready(Err(failed)) => return self.fail(&failed),
            Poll::Pending => return,
        };
        if let Some(disconnect) = disconnect {
            self.session = None;
            self.failed = Some(self.api.status()(disconnect_error(disconnect)));
            return;
        }
        response.drain = drain.map(render::drain);
        // The worker applies cancels after assignments, which is the order in which they were made.
        for order in orders {
            match order {
                Order::Run(assignment) => response.assignments.push(render::assignment(&assignment)),
                Order::Stop(lease, stop) => response.cancels.push(render::attempt_cancel(lease, stop)),
            }
        }
    }

    fn is_ping_due(&mut self, context: &mut Context<'_>) -> bool {
        let mut is_due = false;
        while self.ping.as_mut().poll(context).is_ready() {
            is_due = true;
            let interval = self.api.engine.options().core.ping_interval;
            self.ping.as_mut().reset(Instant::now() + interval);
        }
        is_due
    }
}

impl Drop for WorkStream {
    /// The stream was dropped, so the worker is disconnected.
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.broke();
        }
    }
}

impl Stream for WorkStream {
    type Item = Result<v1::WorkResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        if let Some(error) = this.early_end.expired() {
            return this.end_early(&error);
        }
        let mut response = v1::WorkResponse { welcome: this.welcome.take(), ..v1::WorkResponse::default() };
        let bytes = response.encoded_len();
        this.read(context);
        this.take_acks(context);
        let bytes = this.acknowledge(bytes, &mut response);
        this.add_orders(context, bytes, &mut response);
        if this.session.is_some() && this.is_ping_due(context) {
            response.ping = Some(v1::Ping {});
        }
        if response != v1::WorkResponse::default() {
            return Poll::Ready(Some(Ok(response)));
        }
        if this.session.is_none() && !this.acks.is_empty() {
            return Poll::Pending;
        }
        if let Some(status) = this.failed.take() {
            this.done = true;
            return Poll::Ready(Some(Err(status)));
        }
        if this.session.is_none() {
            this.done = true;
            return Poll::Ready(None);
        }
        match this.early_end.poll_error(context) {
            Some(error) => this.end_early(&error),
            None => Poll::Pending,
        }
    }
}

impl Api {
    fn welcome(&self, welcome: &Welcome) -> v1::Welcome {
        let options = &self.engine.options().core;
        v1::Welcome {
            protocol_version: parse::PROTOCOL_VERSION,
            worker_id: worker_id(welcome.session),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: (*self.boot_id).to_owned(),
            lease: Some(render::duration(options.lease)),
            ping_interval: Some(render::duration(options.ping_interval)),
            accept_timeout: Some(render::duration(options.accept_timeout)),
            reconnect_grace: Some(render::duration(options.reconnect_grace)),
            standing_lease_ids: welcome.valid_leases.iter().map(ToString::to_string).collect(),
            acked_report_sequence: welcome.reports_taken,
            refusals: welcome.refused_ends.iter().map(|end| self.refused_end(*end)).collect(),
            unknown_report_sequence: welcome.reports_unknown,
            payload_bytes_max: u32::try_from(options.payload_bytes_max).unwrap_or(u32::MAX),
            message_bytes_max: u32::try_from(self.message_bytes_max).unwrap_or(u32::MAX),
        }
    }

    fn refused_end(&self, (sequence, lease): (u64, LeaseId)) -> v1::ReportRefusal {
        self.refusal(&Refusal { sequence, lease, error: lease_lost() })
    }

    fn refusal(&self, refusal: &Refusal) -> v1::ReportRefusal {
        v1::ReportRefusal {
            report_sequence: refusal.sequence,
            lease_id: refusal.lease.to_string(),
            error: Some(to_rpc_status(&to_status(&refusal.error, &self.boot_id))),
        }
    }
}

fn disconnect_error(disconnect: Disconnect) -> Error {
    match disconnect {
        Disconnect::TimedOut => Error::new(
            ErrorKind::WorkerSilent,
            "no message from the worker for three ping intervals: reply to every ping with a heartbeat",
        ),
        Disconnect::Replaced => Error::new(
            ErrorKind::WorkerReplaced,
            "a newer stream of the same worker instance replaced this one",
        ),
    }
}
