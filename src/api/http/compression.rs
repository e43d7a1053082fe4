//! Compresses large JSON responses for clients that accept gzip. Streams and payloads are sent as they are.

use axum::response::Response;
use tower_http::compression::{CompressionLayer, Predicate};

/// Smallest response that is compressed, in bytes.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// Marks a response that may be compressed, in its extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compressible;

/// Compresses responses that are marked and large.
#[derive(Debug, Clone, Copy)]
pub(super) struct LargeJson;

impl Predicate for LargeJson {
    fn should_compress<B: http_body::Body>(&self, response: &http::Response<B>) -> bool {
        response.extensions().get::<Compressible>().is_some()
            && response.body().size_hint().exact().is_none_or(|bytes| bytes >= COMPRESSED_BYTES_MIN)
    }
}

pub(super) fn layer() -> CompressionLayer<LargeJson> {
    CompressionLayer::new().gzip(true).compress_when(LargeJson)
}

/// Marks a response as compressible.
pub(super) fn mark(response: &mut Response) {
    response.extensions_mut().insert(Compressible);
}
