//! Nothing leaves the server before the records that caused it are on disk: answers wait here for their position. And
//! nothing new is read while more waits for the disk than it takes: what is not read holds back whoever sends it. Once
//! the log failed, calls that only read go on: the engine shows them nothing that was lost. The others are refused.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::relay::Relay;
use super::trailers::trailers;
use crate::engine::{Engine, Position};
use crate::error::Error;
use crate::proto::status::to_status;

/// The calls whose answers go on being made after their headers.
const STREAMING: [&str; 4] = [
    "/jobstream.v1.JobService/SubmitStream",
    "/jobstream.v1.JobService/Run",
    "/jobstream.v1.JobService/WatchResult",
    "/jobstream.v1.WorkerService/Work",
];

/// The calls whose requests go on coming after the first.
const READING: [&str; 2] = ["/jobstream.v1.JobService/SubmitStream", "/jobstream.v1.WorkerService/Work"];

/// The calls that change nothing.
const LOOKING: [&str; 7] = [
    "/jobstream.v1.JobService/GetResult",
    "/jobstream.v1.JobService/WatchResult",
    "/jobstream.v1.JobService/GetJob",
    "/jobstream.v1.JobService/ListJobs",
    "/jobstream.v1.AdminService/GetServerInfo",
    "/jobstream.v1.AdminService/ListQueues",
    "/jobstream.v1.AdminService/ListWorkers",
];

/// What holds back the answer to one call.
pub(super) struct Gate {
    relay: Relay,
    is_streaming: bool,
    is_looking: bool,
    /// Whether the call may begin.
    is_open: bool,
    /// Whether the answer waits for nothing: the log had failed before the call began.
    is_free: bool,
    /// The answer, and what it waits for.
    held: Option<(Position, Response<Body>)>,
}

impl Gate {
    /// The gate of this call, if it has to do with jobs. The rest of its request waits for room as its beginning does.
    pub(super) fn of(relay: &Relay, request: Request<Body>) -> (Option<Self>, Request<Body>) {
        let path = request.uri().path();
        if !path.starts_with("/jobstream.v1.") {
            return (None, request);
        }
        let gate = Self {
            relay: relay.clone(),
            is_streaming: STREAMING.contains(&path),
            is_looking: LOOKING.contains(&path),
            is_open: false,
            is_free: false,
            held: None,
        };
        let request = match READING.contains(&path) {
            true => request.map(|inner| Body::new(HeldBody { engine: relay.engine().clone(), inner })),
            false => request,
        };
        (Some(gate), request)
    }

    /// The answer of `call`, once it may leave.
    pub(super) fn poll<E>(
        &mut self,
        call: Pin<&mut impl Future<Output = Result<Response<Body>, E>>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Response<Body>, E>> {
        if !self.is_open {
            ready!(self.relay.engine().poll_room(context));
            self.is_open = true;
            match self.relay.engine().check_log() {
                Err(error) if !self.is_looking => return Poll::Ready(Ok(self.status(&error).into_http())),
                log => self.is_free = log.is_err(),
            }
        }
        if self.is_free {
            return call.poll(context);
        }
        if self.held.is_none() {
            let answer = ready!(call.poll(context))?;
            if is_refused(&answer) {
                return Poll::Ready(Ok(answer));
            }
            self.held = Some((self.relay.engine().position(), answer));
        }
        let Some((position, _)) = &self.held else { return Poll::Pending };
        let durable = ready!(self.relay.poll_durable(*position, context));
        let Some((_, answer)) = self.held.take() else { return Poll::Pending };
        Poll::Ready(Ok(match durable {
            Err(error) => self.status(&error).into_http(),
            Ok(()) if self.is_streaming => answer.map(|body| DurableBody::wrap(self.relay.clone(), body)),
            Ok(()) => answer,
        }))
    }

    fn status(&self, error: &Error) -> Status {
        to_status(error, self.relay.engine().boot_id())
    }
}

/// Whether nothing was kept of the call because something is full: that waits for nothing, least of all for a full disk.
fn is_refused(answer: &Response<Body>) -> bool {
    let status = answer.headers().get(Status::GRPC_STATUS);
    status.is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::ResourceExhausted)
}

/// A stream of requests that is read only while the disk keeps up.
struct HeldBody {
    engine: Engine,
    inner: Body,
}

impl http_body::Body for HeldBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        ready!(self.engine.poll_room(context));
        if let Err(error) = self.engine.check_log() {
            return Poll::Ready(Some(Err(to_status(&error, self.engine.boot_id()))));
        }
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A stream of answers, each of which waits for its position.
struct DurableBody {
    relay: Relay,
    inner: Body,
    held: Option<(Position, Frame<Bytes>)>,
    is_over: bool,
}

impl DurableBody {
    fn wrap(relay: Relay, inner: Body) -> Body {
        if inner.is_end_stream() {
            return inner;
        }
        Body::new(Self { relay, inner, held: None, is_over: false })
    }

    /// The end of a stream whose log failed.
    fn fail(&mut self, error: &Error) -> Frame<Bytes> {
        self.inner = Body::empty();
        (self.held, self.is_over) = (None, true);
        trailers(&to_status(error, self.relay.engine().boot_id()))
    }
}

impl http_body::Body for DurableBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        if this.held.is_none() {
            let Some(frame) = ready!(Pin::new(&mut this.inner).poll_frame(context)).transpose()? else {
                return Poll::Ready(None);
            };
            this.held = Some((this.relay.engine().position(), frame));
        }
        let Some((position, _)) = &this.held else { return Poll::Pending };
        Poll::Ready(match ready!(this.relay.poll_durable(*position, context)) {
            Ok(()) => this.held.take().map(|(_, frame)| Ok(frame)),
            Err(error) => Some(Ok(this.fail(&error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || (self.held.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // At any time the rest may be replaced by trailers.
        SizeHint::new()
    }
}
