//! A response that is not a result: whether the failure is retryable, its message, its type and its details.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

use super::problem::Problem;
use super::response::{bounded, content_type};
use super::retry_after;
use crate::clock::Clock;
use crate::job::{AttemptEnd, Encoding, Failure, FailureReason, truncate};
use crate::worker::JobError;
use crate::worker::handler::{essence, result_payload};

/// Most bytes of a body that are read. JSON of this size becomes the details.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of a body in the message.
const EXCERPT_BYTES_MAX: usize = 2 * 1024;
/// The content type of problem details.
const PROBLEM: &str = "application/problem+json";

/// Reads a response with a status other than 2xx.
pub(super) async fn read<B>(head: &Parts, body: B, input: Encoding) -> JobError
where
    B: BodyExt<Data = Bytes> + Unpin,
{
    let status = head.status;
    if status.is_redirection() {
        return redirect(status, &head.headers);
    }
    // The status says enough if the connection breaks before the end of the body.
    let (body, is_complete) = bounded(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let content_type = content_type(&head.headers, &body);
    let problem = match essence(&content_type).eq_ignore_ascii_case(PROBLEM) {
        true => Problem::parse(&body),
        false => None,
    };
    let explanation = problem.as_ref().and_then(Problem::message).or_else(|| excerpt(&head.headers, &body));
    let message = match explanation {
        Some(explanation) => format!("the endpoint answered {status}: {explanation}"),
        None => format!("the endpoint answered {status}"),
    };
    let failure =
        Failure { retryable: is_retryable(status), ..Failure::new(FailureReason::Handler, message) };
    let delay = match failure.retryable {
        true => retry_after::delay(&head.headers, Clock::system().now().wall),
        false => None,
    };
    let error_type = problem.as_ref().and_then(Problem::error_type).map(str::to_owned);
    let error = JobError::from_end(AttemptEnd::Failure(failure, delay))
        .with_type(error_type.unwrap_or_else(|| http_type(status)));
    let is_details = is_complete
        && is_json(&content_type)
        && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
    match is_details {
        true => error.with_details(result_payload(body, &content_type, input)),
        false => error,
    }
}

/// A request timeout, a request that came too early, too many requests, or a failure of the server.
fn is_retryable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..=599)
}

fn http_type(status: StatusCode) -> String {
    format!("http.{}", status.as_u16())
}

fn redirect(status: StatusCode, headers: &HeaderMap) -> JobError {
    let location = headers.get(LOCATION).map(|location| String::from_utf8_lossy(location.as_bytes()));
    let message = match location {
        Some(location) => format!(
            "the endpoint answered {status} with the Location {:?}: redirects are not followed, configure the URL \
             that answers",
            shortened(&location)
        ),
        None => format!("the endpoint answered {status}: redirects are not followed"),
    };
    JobError::permanent(message).with_type(http_type(status))
}

/// The first part of a text.
fn excerpt(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_text = sent.is_empty() || is_json(sent) || essence(sent).to_ascii_lowercase().starts_with("text/");
    let text = if is_text { String::from_utf8_lossy(body) } else { return None };
    let text = text.trim();
    (!text.is_empty()).then(|| shortened(text))
}

fn shortened(text: &str) -> String {
    let mut text = text.to_owned();
    truncate(&mut text, EXCERPT_BYTES_MAX);
    text
}

fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}
