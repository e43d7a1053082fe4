//! The API as Rust types: generated messages, clients and server traits, and the descriptor set for reflection.

pub(crate) mod codec;
#[cfg(feature = "server")]
pub mod json;
pub(crate) mod parse;
pub(crate) mod read;
pub(crate) mod render;
pub(crate) mod scan;
pub(crate) mod status;

/// Messages and services of package `jobstream.v1`, generated from `proto/`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("jobstream.v1");
}

/// The descriptors of all messages and services of the API, as an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Largest message with several elements that the server sends, in bytes. A gRPC client reads 4 MiB by default, of which
/// 64 KiB are reserved for other fields. A larger element is sent in a message of its own.
pub(crate) const RESPONSE_BYTES_MAX: usize = (4 << 20) - (64 << 10);
