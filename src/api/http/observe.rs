//! What all requests have in common: an id, a measurement, a line in the server's log if they are refused, and the headers
//! of HEAD.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use prost_reflect::MethodDescriptor;
use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;

use super::problem::Problem;
use crate::api::grpc::{CallLog, CallTimer, LoggedCaller};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is echoed, in bytes. A longer one is replaced.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The RPC that a request called, in the extensions of its response: `jobstream.v1.JobService/Submit`.
#[derive(Debug, Clone)]
pub(super) struct CalledRpc(String);

impl CalledRpc {
    pub(super) fn of(rpc: &MethodDescriptor) -> Self {
        Self(format!("{}/{}", rpc.parent_service().full_name(), rpc.name()))
    }
}

/// Answers a request with its id. Counts it as the RPC that it calls, and logs it if it is refused.
pub(super) async fn observe(State(log): State<CallLog>, request: Request, next: Next) -> Response {
    let id = request.headers().get(&REQUEST_ID).filter(|id| is_printable(id)).cloned();
    let id = id.or_else(|| HeaderValue::try_from(Uuid::now_v7().to_string()).ok());
    let caller = LoggedCaller::of(request.extensions());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = Instant::now();
    let mut response = next.run(request).await;
    let rpc = response.extensions_mut().remove::<CalledRpc>();
    if let Some(problem) = response.extensions().get::<Problem>() {
        let rpc = rpc.as_ref().map_or("", |CalledRpc(rpc)| rpc);
        log.refuse(rpc, &format!("{method} {path}"), &caller, problem.reason(), problem.detail());
    }
    if let Some(CalledRpc(rpc)) = rpc {
        response = measure(log.meter().start_at(&rpc, began, None), response);
    }
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    match method {
        Method::HEAD => without_body(response),
        _ => response,
    }
}

/// Ends the measurement of a call: of a stream that was opened when its body ends, of others now.
fn measure(mut timer: CallTimer, response: Response) -> Response {
    match response.extensions().get::<Problem>() {
        Some(problem) => timer.end(problem.code()),
        None if timer.is_stream() => {
            let timer = timer.ok_when_dropped();
            return response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _ends_with_the_body = &timer;
                    frame
                }))
            });
        }
        None => timer.end(Code::Ok),
    }
    response
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
