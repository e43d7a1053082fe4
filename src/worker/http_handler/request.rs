//! The request of one attempt: its headers and its body.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use tokio::time::Instant;

use super::HttpHandler;
use super::signature::signatures;
use crate::clock::Clock;
use crate::job::{Timestamp, TraceContext};
use crate::worker::JobContext;

const USER_AGENT: &str = concat!("jobstream/", env!("CARGO_PKG_VERSION"));
/// Prefixes of the headers that only jobstream sets.
const OWN_PREFIXES: [&str; 2] = ["jobstream-", "webhook-"];
/// Headers of the connection or the message. No job and no configuration sets them.
const RESERVED: [HeaderName; 12] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// Further headers of the connection, without a constant.
const RESERVED_NAMES: [&str; 3] = ["http2-settings", "keep-alive", "proxy-connection"];
/// Headers that endpoints trust. A job does not set them, its submitter need not be trusted.
const TRUSTED: [HeaderName; 4] =
    [header::AUTHORIZATION, header::COOKIE, header::FORWARDED, header::USER_AGENT];
const TRUSTED_PREFIX: &str = "x-forwarded-";

/// Whether only jobstream sets this header.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    let text = name.as_str();
    OWN_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || RESERVED.contains(name)
        || RESERVED_NAMES.contains(&text)
}

/// Whether a header of a job is sent.
fn is_forwarded(name: &HeaderName) -> bool {
    !is_reserved(name) && !TRUSTED.contains(name) && !name.as_str().starts_with(TRUSTED_PREFIX)
}

/// The request of an attempt. It is signed if the handler has secrets.
pub(super) fn build(handler: &HttpHandler, context: &JobContext) -> Request<Full<Bytes>> {
    let body = context.payload().bytes.clone();
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = handler.url.clone();
    let now = Clock::system().now().wall;
    let headers = request.headers_mut();
    add_job_headers(headers, context.headers());
    for (name, value) in context.trace_context().into_iter().flat_map(TraceContext::headers) {
        set(headers, HeaderName::from_static(name), &value);
    }
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // The result is stored as it is sent.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.extend(handler.headers.clone());
    set(headers, header::CONTENT_TYPE, context.payload().content_type());
    set(headers, HeaderName::from_static("jobstream-job-id"), &context.job_id().to_string());
    set(headers, HeaderName::from_static("jobstream-attempt"), &context.attempt().to_string());
    set(headers, HeaderName::from_static("jobstream-kind"), context.kind());
    set(headers, HeaderName::from_static("jobstream-queue"), context.queue());
    set(headers, HeaderName::from_static("jobstream-deadline"), &rfc3339(deadline(context, now)));
    if !handler.secrets.is_empty() {
        let id = format!("{}_{}", context.job_id(), context.attempt());
        let timestamp = now.as_micros() / 1_000_000;
        set(headers, HeaderName::from_static("webhook-id"), &id);
        set(headers, HeaderName::from_static("webhook-timestamp"), &timestamp.to_string());
        let signatures = signatures(&handler.secrets, &id, timestamp, &body);
        set(headers, HeaderName::from_static("webhook-signature"), &signatures);
    }
    request
}

/// Adds the headers of a job that are valid in HTTP. Of two names that differ in case only, the first is sent.
fn add_job_headers<'a>(headers: &mut HeaderMap, of_job: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, value) in of_job {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) else {
            continue;
        };
        if is_forwarded(&name) {
            headers.entry(name).or_insert(value);
        }
    }
}

/// Sets a header. A value that is not valid in HTTP, such as a content type with a line break, is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// When the attempt times out.
fn deadline(context: &JobContext, now: Timestamp) -> Timestamp {
    now.plus(context.deadline().saturating_duration_since(Instant::now()))
}

fn rfc3339(time: Timestamp) -> String {
    let micros = time.as_micros();
    let (seconds, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    // Less than a million.
    prost_types::Timestamp { seconds, nanos: rest as i32 * 1_000 }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_job_are_sent_unless_they_are_reserved_or_trusted() {
        let job = [
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("X-Tenant", "a"),
            ("x-tenant", "b"),
            ("no name", "c"),
            ("x-break", "d\r\nhost: e"),
            ("Host", "f"),
            ("Content-Length", "7"),
            ("Transfer-Encoding", "chunked"),
            ("Keep-Alive", "g"),
            ("Authorization", "Bearer h"),
            ("Cookie", "i"),
            ("X-Forwarded-For", "127.0.0.1"),
            ("Jobstream-Job-Id", "j"),
            ("Webhook-Signature", "k"),
        ];
        let mut headers = HeaderMap::new();
        add_job_headers(&mut headers, job.into_iter());
        let sent: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(sent, [("traceparent", job[0].1.as_bytes()), ("x-tenant", b"a")]);
    }

    #[test]
    fn times_are_in_the_format_of_rfc_3339() {
        assert_eq!(rfc3339(Timestamp::from_micros(1_767_225_600_250_000)), "2026-01-01T00:00:00.250Z");
    }
}
