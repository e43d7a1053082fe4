//! The wire form: generated messages, clients and server traits, and the descriptor set for reflection.

pub(crate) mod codec;
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

/// The descriptors of every message and service above, as an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Most bytes of a message that the server sends, if it has several elements: a stock gRPC client reads 4 MiB, and 64 KiB
/// are left for what surrounds the elements. A single larger element is sent alone.
pub(crate) const RESPONSE_BYTES_MAX: usize = (4 << 20) - (64 << 10);
