//! What all requests have in common: an id, a line in the server's log if they are refused, and the headers of HEAD.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method};
use http_body::Body as HttpBody;
use uuid::Uuid;

use super::problem::Problem;
use crate::api::grpc::{CallLog, ConnectionInfo};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is echoed, in bytes. A longer one is replaced.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Answers a request with its id. Logs it if it is refused.
pub(super) async fn observe(State(log): State<CallLog>, request: Request, next: Next) -> Response {
    let id = request.headers().get(&REQUEST_ID).filter(|id| is_printable(id)).cloned();
    let id = id.or_else(|| HeaderValue::try_from(Uuid::now_v7().to_string()).ok());
    let peer = request.extensions().get::<ConnectionInfo>().map(|connection| connection.peer);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions().get::<Problem>() {
        log.log_request(&format!("{method} {path}"), peer, problem.reason(), problem.detail());
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
