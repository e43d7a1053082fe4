//! Reads the body of a request: its content type and its size.

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tonic::{Code, Status};

use super::problem::Problem;
use crate::job::quoted;

/// The whole body, at most this many bytes.
///
/// # Errors
///
/// 413 if it is larger, 408 if it does not arrive in time, 400 if it ends early.
pub(super) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let read = Limited::new(body, bytes_max).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| unreadable(&*error, bytes_max))
}

fn unreadable(error: &(dyn std::error::Error + 'static), bytes_max: usize) -> Problem {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            let detail = format!(
                "the body has more than {bytes_max} bytes, the limit of a request: send less, or raise \
                 message_bytes_max of the server"
            );
            return Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                Code::InvalidArgument,
                "PAYLOAD_TOO_LARGE",
                detail,
            );
        }
        if let Some(status) = error.downcast_ref::<Status>() {
            let problem = Problem::from(status.clone());
            return match status.code() {
                Code::DeadlineExceeded => problem.with_status(StatusCode::REQUEST_TIMEOUT),
                _ => problem,
            };
        }
        cause = error.source();
    }
    let detail = format!("the body could not be read: {error}");
    Problem::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, "INCOMPLETE_BODY", detail)
}

/// Checks that a body is JSON in UTF-8. A body without a content type is read as JSON.
///
/// # Errors
///
/// 415.
pub(super) fn check_is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or("\u{fffd}").to_ascii_lowercase();
    let (media_type, parameters) = text.split_once(';').unwrap_or((&text, ""));
    let is_utf8 = parameters.split(';').all(|parameter| match parameter.trim().split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
        _ => true,
    });
    let media_type = media_type.trim();
    if is_utf8 && (media_type == "application/json" || media_type.ends_with("+json")) {
        return Ok(());
    }
    let mut detail = format!(
        "the content type is {}, this request takes application/json in UTF-8: send the header content-type: \
         application/json",
        quoted(&text)
    );
    if media_type == "application/x-www-form-urlencoded" {
        detail.push_str(" (with curl: --json instead of -d)");
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::InvalidArgument,
        "UNSUPPORTED_MEDIA_TYPE",
        detail,
    ))
}

/// Checks that a body is not compressed.
///
/// # Errors
///
/// 415 with the header Accept-Encoding.
pub(super) fn check_is_not_encoded(headers: &HeaderMap) -> Result<(), Problem> {
    let is_identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    let Some(encoding) = headers.get_all(CONTENT_ENCODING).iter().find(|value| !is_identity(value)) else {
        return Ok(());
    };
    let encoding = quoted(encoding.to_str().unwrap_or("\u{fffd}"));
    let detail = format!("the body has the content encoding {encoding}: send it without compression");
    let problem = Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::InvalidArgument,
        "UNSUPPORTED_CONTENT_ENCODING",
        detail,
    );
    Err(problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")))
}
