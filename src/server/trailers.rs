//! A status as the trailers of a response body.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tonic::Status;

/// The frame that ends a body with this status.
pub(super) fn trailers(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    if let Err(error) = status.add_header(&mut trailers) {
        tracing::error!(%error, "could not encode a status as trailers");
    }
    Frame::trailers(trailers)
}
