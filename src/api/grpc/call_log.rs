//! The lines of the server's log about refused calls.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::ConnectionInfo;
use crate::job::truncate;
use crate::log_limit::{Admission, LogLimit};

/// Most bytes of a method and of a message in the log.
const METHOD_BYTES_MAX: usize = 128;
const MESSAGE_BYTES_MAX: usize = 256;
/// The error of a stream that its client resumes on another connection: normal operation.
const CONNECTION_CLOSING: &str = "CONNECTION_CLOSING";

/// Logs refused calls, at most some a second. Clones share the limit.
#[derive(Debug, Clone)]
pub(crate) struct CallLog(Arc<LogLimit>);

/// A call that may be refused.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    path: Option<PathAndQuery>,
    peer: Option<SocketAddr>,
}

impl Call {
    /// The call of a request.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let peer = request.extensions().get::<ConnectionInfo>().map(|connection| connection.peer);
        Self { path: request.uri().path_and_query().cloned(), peer }
    }
}

impl Default for CallLog {
    fn default() -> Self {
        let log_omitted =
            |omitted| tracing::warn!(omitted, "more calls were refused: at most 10 a second are logged");
        Self(Arc::new(LogLimit::new(log_omitted)))
    }
}

impl CallLog {
    /// Logs the error of a response, now or at the end of its body.
    pub(crate) fn observe(&self, call: Call, response: Response<Body>) -> Response<Body> {
        if response.headers().contains_key(Status::GRPC_STATUS) {
            self.log_headers(&call, response.headers());
            return response;
        }
        let log = self.clone();
        let observed = move |frame: http_body::Frame<_>| {
            if let Some(trailers) = frame.trailers_ref() {
                log.log_headers(&call, trailers);
            }
            frame
        };
        response.map(|body| Body::new(body.map_frame(observed)))
    }

    fn log_headers(&self, call: &Call, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok) {
            let method = call.path.as_ref().map_or("", |path| path.path().trim_start_matches('/'));
            self.log(method, call.peer, &status);
        }
    }

    /// Logs a refused job of a batch.
    pub(super) fn log_job(&self, method: &str, status: &Status) {
        self.log(method, None, status);
    }

    fn log(&self, method: &str, peer: Option<SocketAddr>, status: &Status) {
        let details = status.get_error_details();
        let reason =
            details.error_info().map_or_else(|| code_name(status.code()), |info| info.reason.as_str());
        if reason == CONNECTION_CLOSING || !self.admit() {
            return;
        }
        write(method, peer, reason, status.message());
    }

    /// Logs a refused request of the HTTP/JSON interface.
    pub(crate) fn log_request(&self, method: &str, peer: Option<SocketAddr>, reason: &str, error: &str) {
        if reason != CONNECTION_CLOSING && self.admit() {
            write(method, peer, reason, error);
        }
    }

    fn admit(&self) -> bool {
        let admission = self.0.admit();
        if let (Admission::FirstOmitted, Some(due)) = (admission, self.0.report_due()) {
            let limit = self.0.clone();
            tokio::spawn(async move {
                tokio::time::sleep(due).await;
                limit.report();
            });
        }
        admission == Admission::Logged
    }
}

fn write(method: &str, peer: Option<SocketAddr>, reason: &str, error: &str) {
    let (mut method, mut error) = (method.to_owned(), error.to_owned());
    truncate(&mut method, METHOD_BYTES_MAX);
    truncate(&mut error, MESSAGE_BYTES_MAX);
    let peer = peer.map(tracing::field::display);
    tracing::warn!(method, reason, error, peer, "call refused");
}

/// The name of a code, as in the documentation of gRPC.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
