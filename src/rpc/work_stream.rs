//! A worker's stream: orders and acknowledgements out, frames of reports in, as few messages as possible.
//!
//! Reading and writing take turns in one task: what a worker does not read holds back what the server reads of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, Streaming};

use super::Api;
use super::events::connection_closing;
use super::malformed::named;
use crate::core::{Assignment, Welcome, worker_id};
use crate::engine::{Cut, Order, Orders, Refusal, WorkerSession};
use crate::error::{Error, ErrorKind};
use crate::proto::status::{to_rpc_status, to_status};
use crate::proto::{parse, render, v1};

/// Messages of the worker that are read before something is sent.
const FRAMES_MAX: usize = 64;
/// Bytes after which a message takes nothing more. With the largest payload on top it stays below the 4 MiB that
/// clients read by default.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What an assignment is taken to cost beside its payload.
const ASSIGNMENT_BYTES: usize = 160;

/// What the server sends to one worker.
pub(crate) struct WorkStream {
    api: Api,
    requests: Streaming<v1::WorkRequest>,
    /// Gone once the worker closed its side.
    session: Option<WorkerSession>,
    welcome: Option<v1::Welcome>,
    /// Orders that did not fit the last message.
    orders: std::collections::VecDeque<Order>,
    /// The newest report that was read.
    reports_read: u64,
    ping: Pin<Box<Sleep>>,
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// How the stream ends once what was told before is sent.
    failed: Option<Status>,
    done: bool,
}

impl WorkStream {
    pub(super) fn new(
        api: Api,
        requests: Streaming<v1::WorkRequest>,
        session: WorkerSession,
        welcome: &Welcome,
        closing: Option<CancellationToken>,
    ) -> Self {
        let ping = Box::pin(sleep(api.engine.options().core.ping_interval));
        Self {
            requests,
            session: Some(session),
            welcome: Some(api.welcome(welcome)),
            orders: Default::default(),
            reports_read: welcome.reports_taken,
            ping,
            closing: closing.map(|closing| Box::pin(closing.cancelled_owned())),
            failed: None,
            done: false,
            api,
        }
    }

    /// Does what the worker says in the messages that have arrived.
    fn read(&mut self, context: &mut Context<'_>, answer: &mut v1::WorkResponse) {
        let before = self.reports_read;
        let mut refusals = Vec::new();
        for count in 0.. {
            let Some(session) = &self.session else { break };
            if count == FRAMES_MAX {
                context.waker().wake_by_ref();
                break;
            }
            let frame = match Pin::new(&mut self.requests).poll_next(context) {
                Poll::Ready(Some(request)) => request
                    .map_err(|status| named(status, self.api.message_bytes_max))
                    .and_then(|request| parse::frame(request, &self.api.limits).map_err(self.api.status())),
                Poll::Ready(None) => {
                    if let Some(session) = self.session.take() {
                        session.leave();
                    }
                    break;
                }
                Poll::Pending => break,
            };
            match frame {
                Ok(frame) => {
                    let newest = frame.reports.iter().map(|report| report.sequence).max();
                    self.reports_read = self.reports_read.max(newest.unwrap_or_default());
                    refusals.extend(session.apply(frame));
                }
                Err(status) => {
                    self.session = None;
                    self.failed = Some(status);
                }
            }
        }
        if self.reports_read > before || !refusals.is_empty() {
            let refusals = refusals.iter().map(|refusal| self.api.refusal(refusal)).collect();
            answer.ack = Some(v1::ReportAck { report_sequence: self.reports_read, refusals });
        }
    }

    /// Adds what the worker is told to do, as much as fits.
    fn tell(&mut self, context: &Context<'_>, answer: &mut v1::WorkResponse) {
        if self.orders.is_empty()
            && let Some(session) = &self.session
            && let Poll::Ready(Orders { orders, drain, cut, .. }) = session.poll_orders(context)
        {
            self.orders = orders;
            answer.drain = drain.map(render::drain);
            if let Some(cut) = cut {
                self.session = None;
                self.orders.clear();
                self.failed = Some(self.api.status()(cut_off(cut)));
            }
        }
        let mut bytes = 0;
        // A cancel is handled after the assignments of its message, as it was given after them.
        while bytes < MESSAGE_BYTES_MAX
            && let Some(order) = self.orders.pop_front()
        {
            match order {
                Order::Run(assignment) => {
                    bytes += bytes_of(&assignment);
                    answer.assignments.push(render::assignment(&assignment));
                }
                Order::Stop(lease, stop) => {
                    bytes += ASSIGNMENT_BYTES;
                    answer.cancels.push(render::attempt_cancel(lease, stop));
                }
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

    fn is_closing(&mut self, context: &mut Context<'_>) -> bool {
        self.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(context).is_ready())
    }
}

impl Stream for WorkStream {
    type Item = Result<v1::WorkResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        let mut answer = v1::WorkResponse { welcome: this.welcome.take(), ..v1::WorkResponse::default() };
        this.read(context, &mut answer);
        this.tell(context, &mut answer);
        if this.session.is_some() && this.is_ping_due(context) {
            answer.ping = Some(v1::Ping {});
        }
        if answer != v1::WorkResponse::default() {
            return Poll::Ready(Some(Ok(answer)));
        }
        if let Some(status) = this.failed.take() {
            this.done = true;
            return Poll::Ready(Some(Err(status)));
        }
        if this.session.is_none() {
            this.done = true;
            return Poll::Ready(None);
        }
        if this.is_closing(context) {
            this.done = true;
            this.session = None;
            return Poll::Ready(Some(Err(to_status(&connection_closing(), &this.api.boot_id))));
        }
        Poll::Pending
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
            standing_lease_ids: welcome.standing.iter().map(ToString::to_string).collect(),
            acked_report_sequence: welcome.reports_taken,
            payload_bytes_max: u32::try_from(options.payload_bytes_max).unwrap_or(u32::MAX),
            message_bytes_max: u32::try_from(self.message_bytes_max).unwrap_or(u32::MAX),
        }
    }

    fn refusal(&self, refusal: &Refusal) -> v1::ReportRefusal {
        v1::ReportRefusal {
            report_sequence: refusal.sequence,
            lease_id: refusal.lease.to_string(),
            error: Some(to_rpc_status(&refusal.error, &self.boot_id)),
        }
    }
}

fn bytes_of(assignment: &Assignment) -> usize {
    ASSIGNMENT_BYTES + assignment.payload.wire_bytes_max()
}

fn cut_off(cut: Cut) -> Error {
    match cut {
        Cut::Silent => Error::new(
            ErrorKind::WorkerSilent,
            "the worker was not heard of for three ping intervals: answer every ping with a heartbeat",
        ),
        Cut::Replaced => {
            Error::new(ErrorKind::WorkerReplaced, "the same instance of the worker connected anew")
        }
    }
}
