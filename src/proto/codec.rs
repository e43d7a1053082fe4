//! The codec of the generated services and clients: prost with small initial buffers.
//!
//! The codec of tonic allocates 8 KiB for each direction of a call, for example of each idle watch.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::scan::{self, Refusal, SCANNED_BYTES_MIN};
use super::status::to_status;

/// Initial size of a buffer, in bytes. Larger messages grow it.
const BUFFER_BYTES: usize = 1024;
/// Encoded bytes that are collected for one write, in bytes. The default of tonic.
const WRITE_BYTES: usize = 32 * 1024;

fn buffer_settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, WRITE_BYTES)
}

/// Encodes `T` and decodes `U`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = MessageEncoder<T>;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        MessageEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder(PhantomData)
    }
}

/// Decodes messages. A request is decoded only if its lists and its JSON values are within their limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if buffer.remaining() >= SCANNED_BYTES_MIN {
            check::<U>(buffer.chunk())?;
            return U::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()));
        }
        let small = buffer.chunk();
        let decoded = U::decode(small).map(Some).map_err(|error| match check::<U>(small) {
            // An error with details, for example JSON that is nested too deep, names the field.
            Err(refusal) if !refusal.details().is_empty() => refusal,
            _ => Status::internal(error.to_string()),
        });
        buffer.advance(buffer.remaining());
        decoded
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}

/// Decodes a request that did not arrive over gRPC, within the same limits.
///
/// # Errors
///
/// The status of a request with too long lists or too large JSON values.
#[cfg(feature = "server")]
pub(crate) fn decode_request<T: Message + Default>(bytes: &[u8]) -> Result<T, Status> {
    if bytes.len() >= SCANNED_BYTES_MIN {
        check::<T>(bytes)?;
    }
    T::decode(bytes).map_err(|error| match check::<T>(bytes) {
        Err(refusal) if !refusal.details().is_empty() => refusal,
        _ => Status::internal(error.to_string()),
    })
}

/// Checks the bytes of a request before they are decoded. Responses are not checked.
fn check<U>(bytes: &[u8]) -> Result<(), Status> {
    let name = std::any::type_name::<U>().rsplit("::").next().unwrap_or_default();
    if !name.ends_with("Request") {
        return Ok(());
    }
    scan::check(name, bytes).map_err(|refusal| match refusal {
        Refusal::Invalid(error) => to_status(&error, ""),
        Refusal::Malformed => {
            Status::internal("failed to decode Protobuf message: truncated or malformed fields")
        }
    })
}

/// Encodes messages. It reserves the encoded length of each message first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for MessageEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        message.encode_raw(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}
