//! What each request of a connection passes through: it learns its connection, counts as open, and its bytes count.
//!
//! The count ends with the last byte of the response, so that shutdown can tell what it cut.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tower::Service;

use super::super::budget::{Holder, Kind, Waiting};
use super::Shared;
use super::incoming::{IncomingBody, no_more_streams};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Fewest bytes of a frame that is counted; smaller ones count with their stream.
const COUNTED_BYTES_MIN: usize = 1024;
/// A frame that is larger is given to the connection in parts of this size, so that its progress is seen.
const SLICE_BYTES: usize = 64 * 1024;

/// Services whose calls, but for these, have one message as their request.
const UNARY_PREFIXES: [&str; 2] = ["/jobstream.v1.", "/grpc.health.v1."];
const STREAMING: [&str; 2] = ["/jobstream.v1.JobService/SubmitStream", "/jobstream.v1.WorkerService/Work"];

/// Calls whose whole answer is made at once and may be large: they go on only while it may be held.
const LARGE_ANSWERS: [&str; 6] = [
    "/jobstream.v1.JobService/GetResult",
    "/jobstream.v1.JobService/GetJob",
    "/jobstream.v1.JobService/ListJobs",
    "/jobstream.v1.WorkerService/Lease",
    "/jobstream.v1.AdminService/ListQueues",
    "/jobstream.v1.AdminService/ListWorkers",
];
/// Calls whose answers go on being made after their headers, each part while it may be held.
const STREAMED_ANSWERS: [&str; 2] = ["/jobstream.v1.JobService/Run", "/jobstream.v1.JobService/WatchResult"];

/// The service of one connection.
#[derive(Debug, Clone)]
pub(super) struct RequestService<S> {
    stack: S,
    shared: Arc<Shared>,
}

impl<S> RequestService<S> {
    pub(super) fn new(stack: S, shared: Arc<Shared>) -> Self {
        Self { stack, shared }
    }
}

impl<S, B> Service<Request<B>> for RequestService<S>
where
    S: Service<Request<IncomingBody<B>>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<OpenBody>;
    type Error = Infallible;
    type Future = OpenCall<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let open = Some(OpenRequest::start(self.shared.clone()));
        let budget = &self.shared.budget;
        let kind = if request.version() == Version::HTTP_2 { Kind::Answer } else { Kind::OnlyAnswer };
        if budget.is_exhausted() {
            let refusal = Some(Box::new(no_more_streams().into_http()));
            return OpenCall { stage: Stage::Refused(refusal), open, kind, answer: Answer::Small };
        }
        request.extensions_mut().insert(self.shared.info.clone());
        let path = request.uri().path();
        let is_unary = is_unary(path);
        let answer = Answer::of(path, is_unary);
        let time_max = is_unary.then_some(self.shared.request_timeout);
        let request = request.map(|inner| IncomingBody::new(inner, budget.clone(), time_max));
        OpenCall { stage: Stage::Called(self.stack.call(request)), open, kind, answer }
    }
}

/// What of an answer waits until it may be held.
#[derive(Debug)]
enum Answer {
    /// Nothing: it is not large.
    Small,
    /// All of it, before the call makes it.
    Whole(Waiting),
    /// Each part.
    Streamed,
}

impl Answer {
    /// That of a call with this path, and with one message as its request or not.
    fn of(path: &str, is_unary: bool) -> Self {
        if LARGE_ANSWERS.contains(&path) {
            return Self::Whole(Waiting::default());
        }
        if is_unary && !STREAMED_ANSWERS.contains(&path) { Self::Small } else { Self::Streamed }
    }
}

/// Whether the request of a call is one message, as far as we know.
fn is_unary(path: &str) -> bool {
    UNARY_PREFIXES.iter().any(|prefix| path.starts_with(prefix)) && !STREAMING.contains(&path)
}

/// Counts as an open request until dropped.
#[derive(Debug)]
struct OpenRequest {
    shared: Arc<Shared>,
}

impl OpenRequest {
    fn start(shared: Arc<Shared>) -> Self {
        shared.mark_heard();
        shared.activity.begin_request();
        Self { shared }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.shared.activity.end_request();
    }
}

/// A request whose response headers are still to come.
#[derive(Debug)]
pub(super) struct OpenCall<F> {
    stage: Stage<F>,
    /// Moves on into the body with the response.
    open: Option<OpenRequest>,
    kind: Kind,
    answer: Answer,
}

#[derive(Debug)]
enum Stage<F> {
    Called(F),
    Refused(Option<Box<Response<Body>>>),
}

impl<F> Future for OpenCall<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<OpenBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let (Answer::Whole(waiting), Some(open)) = (&mut this.answer, &this.open)
            && !open.shared.budget.has_room()
        {
            // Before it is polled: an answer that was made is held, whether it is encoded or not.
            ready!(open.shared.budget.poll_admission(waiting, cx));
        }
        let response = match &mut this.stage {
            Stage::Called(call) => ready!(Pin::new(call).poll(cx))?,
            Stage::Refused(response) => *response.take().expect("a finished future is not polled again"),
        };
        let open = this.open.take().expect("a finished future is not polled again");
        let (kind, is_streamed) = (this.kind, matches!(this.answer, Answer::Streamed));
        Poll::Ready(Ok(response.map(|inner| OpenBody { inner, open, kind, is_streamed, large: None })))
    }
}

/// A response body whose request counts as open until it is sent, and whose bytes count until the peer takes them.
#[derive(Debug)]
pub(super) struct OpenBody {
    inner: Body,
    open: OpenRequest,
    kind: Kind,
    /// Whether each part of it waits until it may be held.
    is_streamed: bool,
    /// Since a part of it was too large to count with its stream, or had to wait.
    large: Option<Box<Large>>,
}

/// What a body needs beyond small frames.
#[derive(Debug, Default)]
struct Large {
    holder: Option<Arc<Holder>>,
    /// What is left of a large frame.
    rest: Bytes,
    waiting: Waiting,
}

impl OpenBody {
    /// What is still to be sent of a large frame, or that the peer has to take some first.
    fn poll_large(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Some(large) = &mut self.large else { return Poll::Ready(None) };
        let Some(holder) = &large.holder else { return Poll::Ready(None) };
        holder.watch(context.waker());
        if holder.is_condemned() {
            // Whatever is left of the answer is dropped now, so that its producer stops with it.
            (self.inner, self.large) = (Body::empty(), None);
            return Poll::Ready(Some(Err(h2::Reason::ENHANCE_YOUR_CALM.into())));
        }
        if !large.rest.is_empty() {
            holder.progress(context.waker());
            let slice = large.rest.split_to(large.rest.len().min(SLICE_BYTES));
            return Poll::Ready(Some(Ok(slice)));
        }
        // Streams that are open can be ended, streams that are done cannot.
        match holder.holds_any() && self.open.shared.budget.is_above_high_water() {
            true => Poll::Pending,
            false => Poll::Ready(None),
        }
    }

    /// Waits until another large frame may be made.
    fn poll_admission(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let budget = &self.open.shared.budget;
        if !self.is_streamed || budget.has_room() {
            return Poll::Ready(());
        }
        let large = self.large.get_or_insert_default();
        budget.poll_admission(&mut large.waiting, context)
    }

    /// The frame to send now, of one that has these bytes.
    fn count(&mut self, data: Bytes, context: &Context<'_>) -> Bytes {
        if data.len() < COUNTED_BYTES_MIN {
            return data;
        }
        let large = self.large.get_or_insert_default();
        let kind = self.kind;
        let holder = large.holder.get_or_insert_with(|| self.open.shared.budget.register(kind));
        holder.progress(context.waker());
        large.rest = holder.own(data);
        large.rest.split_to(large.rest.len().min(SLICE_BYTES))
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        if let Some(holder) = &self.holder {
            holder.leave();
        }
    }
}

impl http_body::Body for OpenBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(slice) = ready!(this.poll_large(cx)) {
            return Poll::Ready(Some(slice.map(Frame::data).map_err(Into::into)));
        }
        ready!(this.poll_admission(cx));
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => Frame::data(this.count(data, cx)),
            Err(frame) => frame,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.large.as_ref().is_none_or(|large| large.rest.is_empty()) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.large.is_some() { SizeHint::new() } else { self.inner.size_hint() }
    }
}
