//! The lines of the server's log about refused calls. Each is counted as well.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::call::principal_name;
use super::call_meter::{CallMeter, CallTimer};
use super::{ConnectionInfo, Deadline};
use crate::job::truncate;
use crate::log_limit::LogLimit;

/// Most bytes of a method and of a message in the log.
const METHOD_BYTES_MAX: usize = 128;
const MESSAGE_BYTES_MAX: usize = 256;
/// The error of a stream that its client resumes on another connection: normal operation.
const CONNECTION_CLOSING: &str = "CONNECTION_CLOSING";

/// Logs refused calls, within a limit a second. Clones share the limit.
#[derive(Debug, Clone)]
pub(crate) struct CallLog {
    limit: Arc<LogLimit>,
    meter: CallMeter,
}

/// A call that may be refused.
#[derive(Debug)]
pub(crate) struct Call {
    path: Option<PathAndQuery>,
    caller: LoggedCaller,
    timer: CallTimer,
}

/// The caller of a call, for the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoggedCaller {
    peer: Option<SocketAddr>,
    /// `None` for anonymous callers.
    principal: Option<Arc<str>>,
}

impl LoggedCaller {
    /// The caller of a request with these extensions.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self {
            peer: extensions.get::<ConnectionInfo>().map(|connection| connection.peer),
            principal: principal_name(extensions).cloned(),
        }
    }
}

impl Default for CallLog {
    fn default() -> Self {
        let log_omitted =
            |omitted| tracing::warn!(omitted, "more calls were refused: at most 10 a second are logged");
        Self { limit: Arc::new(LogLimit::new(log_omitted)), meter: CallMeter::default() }
    }
}

impl CallLog {
    /// What measures the calls.
    pub(crate) fn meter(&self) -> &CallMeter {
        &self.meter
    }

    /// The call of a request, which begins now.
    pub(crate) fn begin<B>(&self, request: &Request<B>) -> Call {
        Call {
            path: request.uri().path_and_query().cloned(),
            caller: LoggedCaller::of(request.extensions()),
            timer: self.meter.start(request.uri().path(), request.extensions().get::<Deadline>().copied()),
        }
    }

    /// Counts the end of a call and logs its error, now or at the end of the response's body.
    pub(crate) fn observe(&self, mut call: Call, response: Response<Body>) -> Response<Body> {
        if response.headers().contains_key(Status::GRPC_STATUS) {
            call.timer.end_with(response.headers());
            self.log_headers(&call, response.headers());
            return response;
        }
        let log = self.clone();
        let observed = move |frame: http_body::Frame<_>| {
            if let Some(trailers) = frame.trailers_ref() {
                call.timer.end_with(trailers);
                log.log_headers(&call, trailers);
            }
            frame
        };
        response.map(|body| Body::new(body.map_frame(observed)))
    }

    fn log_headers(&self, call: &Call, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok) {
            let method = call.path.as_ref().map_or("", |path| path.path().trim_start_matches('/'));
            self.log(method, &call.caller, &status);
        }
    }

    /// Logs and counts a refused call of this method, or a refused job of a batch.
    pub(super) fn log(&self, method: &str, caller: &LoggedCaller, status: &Status) {
        let details = status.get_error_details();
        let reason =
            details.error_info().map_or_else(|| code_name(status.code()), |info| info.reason.as_str());
        self.refuse(method, method, caller, reason, status.message());
    }

    /// Logs and counts a refused call of this method. `shown` is what was requested.
    pub(crate) fn refuse(&self, method: &str, shown: &str, caller: &LoggedCaller, reason: &str, error: &str) {
        if reason == CONNECTION_CLOSING {
            return;
        }
        self.meter.count_refusal(method, reason);
        if self.limit.passes() {
            write(shown, caller, reason, error);
        }
    }
}

fn write(method: &str, caller: &LoggedCaller, reason: &str, error: &str) {
    let (mut method, mut error) = (method.to_owned(), error.to_owned());
    truncate(&mut method, METHOD_BYTES_MAX);
    truncate(&mut error, MESSAGE_BYTES_MAX);
    let peer = caller.peer.map(tracing::field::display);
    tracing::warn!(method, reason, error, peer, principal = caller.principal.as_deref(), "call refused");
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
