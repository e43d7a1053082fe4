//! Errors as RFC 9457 problem details.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::api::grpc::code_name;
use crate::error::Error;
use crate::proto::status::to_status;

/// The media type of problem details.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// Prefix of the `type` of a problem. The reason follows.
const TYPE_PREFIX: &str = "urn:jobstream:problem:";
const INVALID_FIELD: &str = "INVALID_FIELD";
/// Retry delay in a response that has none of its own, in seconds.
const RETRY_AFTER_DEFAULT: u64 = 1;

/// An error of the HTTP interface.
#[derive(Debug, Clone)]
pub(super) struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: Code,
    reason: String,
    detail: String,
    /// The violations, the retry delay and the facts of the error.
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of HTTP itself, which no RPC has.
    pub(super) fn new(
        status: StatusCode,
        code: Code,
        reason: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            reason: reason.to_owned(),
            detail: detail.into(),
            members: Map::new(),
            headers: Vec::new(),
        }))
    }

    /// The same problem with another status.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// The same problem with one more header.
    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Renames the fields of the violations.
    pub(super) fn map_fields(mut self, rename: impl Fn(&str) -> String) -> Self {
        let violations = self.0.members.get_mut("violations").and_then(Value::as_array_mut);
        let mut lines = Vec::new();
        for violation in violations.into_iter().flatten() {
            if let Some(Value::String(field)) = violation.get_mut("field") {
                *field = rename(field);
            }
            let text = |name: &str| violation[name].as_str().unwrap_or_default().to_owned();
            lines.push(format!("{}: {}", text("field"), text("description")));
        }
        if self.0.reason == INVALID_FIELD {
            self.0.detail = lines.join("; ");
        }
        self
    }

    /// The code of gRPC.
    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    /// The reason: `JOB_NOT_FOUND`.
    pub(super) fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The detail, for people.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The problem as a JSON object.
    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::from_iter([
            ("type".to_owned(), format!("{TYPE_PREFIX}{}", self.0.reason).into()),
            ("title".to_owned(), title(&self.0.reason).into()),
            ("status".to_owned(), self.0.status.as_u16().into()),
            ("detail".to_owned(), self.0.detail.as_str().into()),
            ("code".to_owned(), code_name(self.0.code).into()),
            ("reason".to_owned(), self.0.reason.as_str().into()),
        ]);
        object.extend(self.0.members.clone());
        Value::Object(object)
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let reason = info.map_or_else(|| code_name(status.code()).to_owned(), |info| info.reason.clone());
        let mut members = Map::new();
        if let Some(request) = details.bad_request() {
            let violation = |violation: &tonic_types::FieldViolation| json!({ "field": violation.field, "description": violation.description });
            members.insert("violations".to_owned(), request.field_violations.iter().map(violation).collect());
        }
        let http_status = http_status(status.code(), &reason);
        let mut headers = Vec::new();
        let delay = details.retry_info().and_then(|info| info.retry_delay);
        let needs_delay =
            [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&http_status);
        if delay.is_some() || needs_delay {
            let seconds = delay.map_or(RETRY_AFTER_DEFAULT, |delay| delay.as_millis().div_ceil(1000) as u64);
            members.insert("retryAfter".to_owned(), seconds.into());
            headers.push((RETRY_AFTER, seconds.into()));
        }
        if let Some(info) = info.filter(|info| !info.metadata.is_empty()) {
            let mut facts: Map<_, _> =
                info.metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            facts.sort_keys();
            members.insert("metadata".to_owned(), Value::Object(facts));
        }
        Self(Box::new(Parts {
            status: http_status,
            code: status.code(),
            reason,
            detail: status.message().to_owned(),
            members,
            headers,
        }))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        to_status(&error, "").into()
    }
}

/// The response to a request that the server refuses before its route is known.
pub(crate) fn refusal(status: Status) -> http::Response<tonic::body::Body> {
    Problem::from(status).into_response().map(tonic::body::Body::new)
}

/// [`refusal`] with this HTTP status.
pub(crate) fn refusal_with(status: Status, http_status: StatusCode) -> http::Response<tonic::body::Body> {
    Problem::from(status).with_status(http_status).into_response().map(tonic::body::Body::new)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, self.to_json().to_string() + "\n").into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in &self.0.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The HTTP status of an error.
fn http_status(code: Code, reason: &str) -> StatusCode {
    match (code, reason) {
        (_, "PAYLOAD_TOO_LARGE") => StatusCode::PAYLOAD_TOO_LARGE,
        (_, "RESULT_EXPIRED") => StatusCode::GONE,
        (_, "TLS_REQUIRED") => StatusCode::BAD_REQUEST,
        (Code::InvalidArgument | Code::OutOfRange, _) => StatusCode::BAD_REQUEST,
        (Code::Unauthenticated, _) => StatusCode::UNAUTHORIZED,
        (Code::PermissionDenied, _) => StatusCode::FORBIDDEN,
        (Code::NotFound, _) => StatusCode::NOT_FOUND,
        (Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition, _) => StatusCode::CONFLICT,
        (Code::ResourceExhausted, _) => StatusCode::TOO_MANY_REQUESTS,
        (Code::Cancelled, _) => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        (Code::Unimplemented, _) => StatusCode::NOT_IMPLEMENTED,
        (Code::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Code::DeadlineExceeded, _) => StatusCode::GATEWAY_TIMEOUT,
        (Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `Job not found` for `JOB_NOT_FOUND`.
fn title(reason: &str) -> String {
    let mut title = reason.replace('_', " ").to_ascii_lowercase();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}
