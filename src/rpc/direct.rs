//! Submit as it nearly always comes, a message in one frame: read, answered and written without the boxes, maps and buffers
//! that tonic makes of a call, which take a seventh of its time. Any other call, and any other Submit, goes tonic's way.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyStream, StreamBody};
use prost::Message;
use tokio_stream::StreamExt;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::GRPC_CONTENT_TYPE;
use tower::Service;

use super::Api;
use super::call::caller;
use crate::proto::parse::PayloadSource;
use crate::proto::scan::{self, Refusal, SCANNED_BYTES_MIN};
use crate::proto::v1;

const SUBMIT_PATH: &str = "/jobstream.v1.JobService/Submit";
/// Says that messages are compressed, with what.
const ENCODING: &str = "grpc-encoding";
/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// JobService, with the short way for Submit beside tonic's for everything.
#[derive(Clone)]
pub(crate) struct Direct<S> {
    api: Arc<Api>,
    all: S,
}

impl<S> Direct<S> {
    pub(super) fn new(api: Arc<Api>, all: S) -> Self {
        Self { api, all }
    }
}

impl<S> Service<Request<Body>> for Direct<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Unpin,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = DirectFuture<S>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.all.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> DirectFuture<S> {
        if request.uri().path() == SUBMIT_PATH && !request.headers().contains_key(ENCODING) {
            let reading = Reading { service: self.clone(), request, frame: None };
            return DirectFuture::Reads(Box::new(reading));
        }
        DirectFuture::All(self.all.call(request))
    }
}

/// The answer to a call.
pub(crate) enum DirectFuture<S: Service<Request<Body>>> {
    Reads(Box<Reading<S>>),
    All(S::Future),
}

/// A Submit of which no more than one frame was read.
pub(crate) struct Reading<S> {
    service: Direct<S>,
    request: Request<Body>,
    frame: Option<Bytes>,
}

impl<S> Future for DirectFuture<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Unpin,
    S::Future: Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let reading = match &mut *self {
                Self::All(call) => return Pin::new(call).poll(context),
                Self::Reads(reading) => reading,
            };
            let next = ready!(reading.poll_next(context));
            if next.is_none()
                && let Some(answer) = reading.answer()
            {
                return Poll::Ready(Ok(answer));
            }
            *self = Self::All(reading.leave_to_all(next));
        }
    }
}

type Next = Option<Result<Frame<Bytes>, Status>>;

impl<S> Reading<S> {
    /// Reads the first frame, and answers what comes behind it.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let body = self.request.body_mut();
        while !(self.frame.is_some() && body.is_end_stream()) {
            match ready!(Pin::new(&mut *body).poll_frame(context)) {
                Some(Ok(frame)) if self.frame.is_none() && frame.is_data() => {
                    self.frame = frame.into_data().ok()
                }
                next => return Poll::Ready(next),
            }
        }
        Poll::Ready(None)
    }

    /// The answer to the message, if the frame is all of it and it is one.
    fn answer(&self) -> Option<Response<Body>> {
        let Self { service: Direct { api, .. }, request: call, frame } = self;
        let message = message(frame.as_ref()?).filter(|message| message.len() <= api.message_bytes_max)?;
        if message.len() >= SCANNED_BYTES_MIN
            && let Err(refusal) = scan::check("SubmitRequest", &message)
        {
            return match refusal {
                Refusal::Invalid(error) => Some(api.status()(error).into_http()),
                Refusal::Malformed => None,
            };
        }
        let request = v1::SubmitRequest::decode(message).ok()?;
        // The frame is a slice of all that was read from the connection.
        Some(match api.submit_now(caller(call.extensions()), request, PayloadSource::Shared) {
            Ok(response) => respond(&response),
            Err(status) => status.into_http(),
        })
    }
}

impl<S: Service<Request<Body>>> Reading<S> {
    /// The call as tonic answers it, with what was read already.
    fn leave_to_all(&mut self, next: Next) -> S::Future {
        let Self { service, request, frame } = self;
        let read: Vec<_> = frame.take().map(|frame| Ok(Frame::data(frame))).into_iter().chain(next).collect();
        let replay = |rest| Body::new(StreamBody::new(tokio_stream::iter(read).chain(BodyStream::new(rest))));
        service.all.call(std::mem::take(request).map(replay))
    }
}

/// The message that a frame holds, if it holds just one, uncompressed.
fn message(frame: &Bytes) -> Option<Bytes> {
    let (mut prefix, message) = (frame.get(..PREFIX_BYTES)?, frame.slice(PREFIX_BYTES..));
    let is_plain = prefix.get_u8() == 0;
    (is_plain && prefix.get_u32() as usize == message.len()).then_some(message)
}

fn respond(message: &impl Message) -> Response<Body> {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    message.encode_raw(&mut frame);
    let mut response = Response::new(Body::new(Answer::Message(frame.freeze())));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}

/// What is left to write of a message and its good end.
enum Answer {
    Message(Bytes),
    End,
    Nothing,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let (frame, rest) = match std::mem::replace(&mut *self, Self::Nothing) {
            Self::Message(message) => (Frame::data(message), Self::End),
            Self::End => (Frame::trailers(ok()), Self::Nothing),
            Self::Nothing => return Poll::Ready(None),
        };
        *self = rest;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

fn ok() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::engine::{Engine, EngineOptions};

    const LIMIT: usize = 1000;

    /// Answers what it was sent.
    #[derive(Clone)]
    struct Mirror;

    impl Service<Request<Body>> for Mirror {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            std::future::ready(Ok(Response::new(request.into_body())))
        }
    }

    type Frames = Vec<Result<Frame<Bytes>, Status>>;

    fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, Status> {
        Ok(Frame::data(bytes.into()))
    }

    fn submit(payload: usize) -> Vec<u8> {
        let body = Some(v1::payload::Body::Text("x".repeat(payload)));
        let payload = Some(v1::Payload { body, ..v1::Payload::default() });
        let job = v1::JobSpec { kind: "k".to_owned(), payload, ..v1::JobSpec::default() };
        v1::SubmitRequest { job: Some(job), ..v1::SubmitRequest::default() }.encode_to_vec()
    }

    /// The message behind its prefix.
    fn framed(is_compressed: u8, message: &[u8]) -> Vec<u8> {
        [&[is_compressed][..], &(message.len() as u32).to_be_bytes(), message].concat()
    }

    async fn call(request: Request<()>, frames: Frames) -> (Engine, Response<Body>) {
        let engine = Engine::start(EngineOptions::default());
        let api = Arc::new(Api::new(engine.clone(), LIMIT));
        let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
        let answer = Direct::new(api, Mirror).call(request.map(|()| body)).await;
        (engine, answer.expect("it answers"))
    }

    fn request(path: &str) -> Request<()> {
        Request::builder().uri(path).body(()).expect("a path")
    }

    #[tokio::test]
    async fn a_message_in_one_frame_is_answered_at_once() {
        let frames = vec![data(framed(0, &submit(10)))];
        let (engine, answer) = call(request(SUBMIT_PATH), frames).await;
        assert_eq!(answer.headers()[CONTENT_TYPE], GRPC_CONTENT_TYPE);
        let answer = answer.into_body().collect().await.expect("a body");
        assert_eq!(answer.trailers().expect("trailers")[Status::GRPC_STATUS], "0");
        let frame = answer.to_bytes();
        let response = v1::SubmitResponse::decode(message(&frame).expect("one message")).expect("an answer");
        assert_eq!(engine.counts().total(), 1);
        let id = crate::job::JobId::parse("job_id", &response.job_id).expect("an id");
        assert_eq!(engine.job(id).await.expect("it is there").spec.payload.bytes.len(), 10);
    }

    #[tokio::test]
    async fn a_refusal_says_why() {
        let frames = vec![data(framed(0, &v1::SubmitRequest::default().encode_to_vec()))];
        let (engine, answer) = call(request(SUBMIT_PATH), frames).await;
        let status = Status::from_header_map(answer.headers()).expect("a refusal");
        assert_eq!((status.code(), engine.counts().total()), (tonic::Code::InvalidArgument, 0));
        assert!(status.message().contains("job"), "{status}");
    }

    /// Whatever is not simple is tonic's, with every byte of it.
    #[tokio::test]
    async fn what_comes_in_another_way_is_left_as_it_was() {
        let (simple, large) = (framed(0, &submit(10)), framed(0, &submit(LIMIT)));
        let compressed =
            Request::builder().uri(SUBMIT_PATH).header(ENCODING, "gzip").body(()).expect("a path");
        let (first, second) = simple.split_at(7);
        let others: [(Request<()>, Frames); 9] = [
            (request("/jobstream.v1.JobService/Run"), vec![data(simple.clone())]),
            (compressed, vec![data(simple.clone())]),
            (request(SUBMIT_PATH), vec![data(framed(1, &submit(10)))]),
            (request(SUBMIT_PATH), vec![data(first.to_vec()), data(second.to_vec())]),
            (request(SUBMIT_PATH), vec![data(first.to_vec())]),
            (request(SUBMIT_PATH), vec![data([simple.clone(), simple.clone()].concat())]),
            (request(SUBMIT_PATH), vec![data(large)]),
            (request(SUBMIT_PATH), vec![data(framed(0, b"\xff\xff"))]),
            (request(SUBMIT_PATH), vec![]),
        ];
        for (number, (request, frames)) in others.into_iter().enumerate() {
            let sent: Vec<_> =
                frames.iter().flatten().filter_map(Frame::data_ref).flatten().copied().collect();
            let (engine, answer) = call(request, frames).await;
            let seen = answer.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!((number, seen.to_vec(), engine.counts().total()), (number, sent, 0));
        }
    }

    #[tokio::test]
    async fn a_request_that_breaks_off_is_left_with_its_error() {
        let frames = vec![data(framed(0, &submit(10))), Err(Status::cancelled("cut"))];
        let (engine, answer) = call(request(SUBMIT_PATH), frames).await;
        let error = answer.into_body().collect().await.expect_err("it broke off");
        assert_eq!((error.message(), engine.counts().total()), ("cut", 0));
    }
}
