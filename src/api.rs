//! The network APIs of an engine. Each parses a request, calls the engine once and renders the result.

pub(crate) mod grpc;
pub(crate) mod http;
#[cfg(feature = "otel")]
pub(crate) mod request_span;
