//! Reads the response of an attempt: a result, or a failure.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;

use super::failure;
use crate::job::{Encoding, Failure, FailureReason};
use crate::proto::parse::CONTENT_TYPE_BYTES_MAX;
use crate::worker::JobError;
use crate::worker::handler::{HandlerResult, result_payload};

/// Reads a response to its end, or to its bound.
pub(super) async fn read<B>(response: Response<B>, result_bytes_max: usize, input: Encoding) -> HandlerResult
where
    B: BodyExt<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    let (head, body) = response.into_parts();
    match head.status.is_success() {
        true => result(&head, body, result_bytes_max, input).await,
        false => Err(failure::read(&head, body, input).await),
    }
}

async fn result<B>(head: &Parts, body: B, bytes_max: usize, input: Encoding) -> HandlerResult
where
    B: BodyExt<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    if let Some(encoding) = head.headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let message = format!(
            "the response has Content-Encoding {encoding:?}: send it as it is, as Accept-Encoding asks"
        );
        return Err(JobError::permanent(message).with_type("http.content_encoding"));
    }
    if let Some(size) = announced_size(&head.headers).filter(|size| *size > bytes_max as u64) {
        return Err(too_large(&format!("{size} bytes"), bytes_max));
    }
    let (bytes, is_complete) = match bounded(body, bytes_max).await {
        Ok(read) => read,
        Err(error) => {
            let message = format!("the connection broke before the end of the response: {}", chain(&error));
            return Err(JobError::retryable(message).with_type("http.connection"));
        }
    };
    if !is_complete {
        return Err(too_large(&format!("more than {bytes_max} bytes"), bytes_max));
    }
    let content_type = content_type(&head.headers, &bytes);
    Ok(result_payload(bytes, &content_type, input))
}

/// The size in `Content-Length`.
fn announced_size(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(size: &str, limit: usize) -> JobError {
    let message = format!(
        "the result is {size}, limit is {limit}: store it elsewhere and return a reference, or raise the limit"
    );
    JobError::of(Failure::new(FailureReason::ResultTooLarge, message).permanent())
}

/// Reads a body up to a bound. Returns the bytes and whether they are all.
///
/// # Errors
///
/// If the connection breaks.
pub(super) async fn bounded<B>(mut body: B, bytes_max: usize) -> Result<(Bytes, bool), B::Error>
where
    B: BodyExt<Data = Bytes> + Unpin,
{
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are ignored.
        let Ok(data) = frame?.into_data() else { continue };
        let space = bytes_max - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(space)]);
        if data.len() > space {
            return Ok((bytes.freeze(), false));
        }
    }
    Ok((bytes.freeze(), true))
}

/// The content type of the response; by default text or octets, as the bytes are.
pub(super) fn content_type(headers: &HeaderMap, bytes: &[u8]) -> String {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::trim);
    let is_valid = |text: &&str| {
        (1..=CONTENT_TYPE_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    match (sent.filter(is_valid), std::str::from_utf8(bytes)) {
        (Some(sent), _) => sent.to_owned(),
        (None, Ok(_)) => "text/plain; charset=utf-8".to_owned(),
        (None, Err(_)) => "application/octet-stream".to_owned(),
    }
}

/// The error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    message
}
