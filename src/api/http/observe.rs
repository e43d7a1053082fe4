//! What all requests have in common: an id, a line in the server's log if they are refused, and the headers of HEAD. Those that
//! call an RPC are measured.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method};
use http_body::{Body as HttpBody, Frame};
use prost_reflect::MethodDescriptor;
use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;

use super::problem::Problem;
use crate::api::grpc::{CallLog, CallMeter, CallTimer, LoggedCaller};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is echoed, in bytes. A longer one is replaced.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The RPC that a request called, in the extensions of its response: `jobstream.v1.JobService/Submit`.
#[derive(Debug, Clone)]
struct CalledRpc(String);

/// The call of an RPC by a request. If it is dropped before its end, the client has left.
#[derive(Debug)]
pub(super) struct RpcCall {
    rpc: String,
    timer: CallTimer,
}

impl RpcCall {
    /// Starts to measure a call of this RPC.
    pub(super) fn begin(meter: &CallMeter, rpc: &MethodDescriptor) -> Self {
        let rpc = format!("{}/{}", rpc.parent_service().full_name(), rpc.name());
        let timer = meter.start_at(&rpc, Instant::now(), None);
        Self { rpc, timer }
    }

    /// Ends the call with its response: a stream that was opened when its body ends, others now.
    pub(super) fn end_with(self, mut response: Response) -> Response {
        let Self { rpc, mut timer } = self;
        response.extensions_mut().insert(CalledRpc(rpc));
        if let Some(problem) = response.extensions().get::<Problem>() {
            timer.end(problem.code());
            return response;
        }
        let Some(status) = response.extensions_mut().remove::<StreamStatus>() else {
            timer.end(Code::Ok);
            return response;
        };
        response.map(|body| Body::new(MeasuredBody { body, status, timer }))
    }
}

/// The status of a stream of events, in the extensions of its response. It is OK unless the stream fails.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamStatus(Arc<OnceLock<Code>>);

impl StreamStatus {
    /// The stream failed with this code. A later one is ignored.
    pub(super) fn fail(&self, code: Code) {
        let _ = self.0.set(code);
    }

    fn code(&self) -> Code {
        self.0.get().copied().unwrap_or(Code::Ok)
    }
}

/// The body of a stream of events. The call ends with it.
struct MeasuredBody {
    body: Body,
    status: StreamStatus,
    timer: CallTimer,
}

impl HttpBody for MeasuredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() {
            let code = self.status.code();
            self.timer.end(code);
        }
        Poll::Ready(frame)
    }
}

/// Answers a request with its id, and logs it if it is refused.
pub(super) async fn observe(State(log): State<CallLog>, request: Request, next: Next) -> Response {
    let id = request.headers().get(&REQUEST_ID).filter(|id| is_printable(id)).cloned();
    let id = id.or_else(|| HeaderValue::try_from(Uuid::now_v7().to_string()).ok());
    let caller = LoggedCaller::of(request.extensions());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let rpc = response.extensions_mut().remove::<CalledRpc>();
    if let Some(problem) = response.extensions().get::<Problem>() {
        let rpc = rpc.as_ref().map_or("", |CalledRpc(rpc)| rpc);
        log.refuse(rpc, &format!("{method} {path}"), &caller, problem.reason(), problem.detail());
    }
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    match method {
        Method::HEAD => without_body(response),
        _ => response,
    }
}

fn is_printable(id: &HeaderValue) -> bool {
    !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// The headers of a response, with the length of the body that GET would have.
fn without_body(mut response: Response) -> Response {
    if let Some(length) = response.body().size_hint().exact().filter(|length| *length > 0) {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response.map(|_| Body::empty())
}
