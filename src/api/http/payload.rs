//! The payload and the result of a job as bytes. They are downloads: a browser never runs what a caller sent.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use tonic::Code;

use super::problem::Problem;
use super::query;
use super::request::BoundRequest;
use crate::api::grpc::{Access, Api};
use crate::error::{Error, ErrorKind};
use crate::job::{JobId, Outcome, Payload, quoted};

/// Headers that keep a browser from showing or running the content on this origin.
const SAFE_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
];
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Bytes of the digest that an ETag shows.
const ETAG_BYTES: usize = 16;

/// The payload of a job.
pub(super) async fn of_job(api: Api, request: BoundRequest<'_>) -> Result<Response, Problem> {
    let id = job_id(&request)?;
    api.may_read(&Access::of(&request.parts.extensions), id).await?;
    let view = api.engine().job(id).await.map_err(api.status())?;
    Ok(respond(&view.spec.payload, &request.parts.headers))
}

/// The result of a job that succeeded.
pub(super) async fn of_result(api: Api, request: BoundRequest<'_>) -> Result<Response, Problem> {
    let id = job_id(&request)?;
    api.may_read(&Access::of(&request.parts.extensions), id).await?;
    let view = api.engine().result(id, None).await.map_err(api.status())?;
    match &view.outcome {
        Some(Outcome::Result(payload)) => Ok(respond(payload, &request.parts.headers)),
        _ => {
            let kind = ErrorKind::IllegalState { job_id: id, state: view.state, allowed: "SUCCEEDED" };
            let message = format!(
                "job {id} is {} and has no result: see /v1/jobs/{id}/result, which waits with ?wait=30s",
                view.state.name()
            );
            Err(api.status()(Error::new(kind, message)).into())
        }
    }
}

/// The id in the path. These requests have no query parameters.
fn job_id(request: &BoundRequest<'_>) -> Result<JobId, Problem> {
    query::refuse_all(request.parts.uri.query())?;
    let id = request.captures.first().map_or("", |(_, id)| id);
    JobId::parse("jobId", id).map_err(Problem::from)
}

fn respond(payload: &Payload, headers: &HeaderMap) -> Response {
    let bytes = &payload.bytes;
    let etag = etag(bytes);
    let mut response = if is_matched(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match range(headers, &etag, bytes.len()) {
            None => Response::new(Body::from(bytes.clone())),
            Some(Ok((first, last))) => partial(bytes, first, last),
            Some(Err(problem)) => return problem.into_response(),
        }
    };
    let content_type = HeaderValue::try_from(payload.content_type()).unwrap_or(OCTETS);
    let response_headers = response.headers_mut();
    response_headers.insert(CONTENT_TYPE, content_type);
    response_headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response_headers.insert(ETAG, etag);
    }
    response_headers.extend(SAFE_HEADERS);
    response
}

/// The ETag of these bytes.
pub(super) fn etag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().take(ETAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// Whether the client has these bytes already.
pub(super) fn is_matched(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The first and the last byte of a range request; `None` for all bytes. Several ranges are answered with all bytes.
fn range(headers: &HeaderMap, etag: &str, size: usize) -> Option<Result<(usize, usize), Problem>> {
    let text = headers.get(RANGE)?.to_str().ok()?;
    if headers.get(IF_RANGE).is_some_and(|tag| tag.as_bytes() != etag.as_bytes()) {
        return None;
    }
    let (first, last) =
        text.strip_prefix("bytes=").filter(|ranges| !ranges.contains(','))?.split_once('-')?;
    let bounds = match (first.trim(), last.trim()) {
        ("", suffix) => (size.saturating_sub(suffix.parse().ok()?), size.saturating_sub(1)),
        (first, "") => (first.parse().ok()?, size.saturating_sub(1)),
        (first, last) => (first.parse().ok()?, last.parse::<usize>().ok()?.min(size.saturating_sub(1))),
    };
    if bounds.0 < size && bounds.0 <= bounds.1 {
        return Some(Ok(bounds));
    }
    let detail = format!("the range is {}, the content has {size} bytes", quoted(text));
    let problem =
        Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::OutOfRange, "RANGE_NOT_SATISFIABLE", detail);
    let content_range = HeaderValue::try_from(format!("bytes */{size}")).ok()?;
    Some(Err(problem.with_header(CONTENT_RANGE, content_range)))
}

fn partial(bytes: &Bytes, first: usize, last: usize) -> Response {
    let mut response = Response::new(Body::from(bytes.slice(first..=last)));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    if let Ok(range) = HeaderValue::try_from(format!("bytes {first}-{last}/{}", bytes.len())) {
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
    response
}
