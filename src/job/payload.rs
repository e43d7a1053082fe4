//! Payloads: bytes with a content type and an encoding.

use std::sync::Arc;

use bytes::Bytes;

/// The arm (`oneof` field) of the protobuf message `Payload` in which a client sent the content. Responses use the same
/// arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Encoding {
    /// Arbitrary bytes.
    #[default]
    Data,
    /// UTF-8 text.
    Text,
    /// JSON text, encoded as a JSON value.
    Json,
}

/// The input of a job, its result, or a chunk of output. Cheap to clone.
///
/// ```
/// use jobstream::job::Payload;
///
/// let input = Payload::json_text(r#"{"width": 320}"#);
/// assert_eq!(input.content_type(), "application/json");
///
/// let image = Payload::data(vec![0x89, b'P', b'N', b'G']).with_content_type("image/png");
/// assert_eq!(&image.bytes[1..], b"PNG");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payload {
    /// The content.
    pub bytes: Bytes,
    /// MIME type, if it is not the encoding's default. `Arc<Box<str>>` keeps the field at one word, because few
    /// payloads have a MIME type.
    content_type: Option<Arc<Box<str>>>,
    /// The arm in which the content was sent.
    pub encoding: Encoding,
}

/// Largest encoded JSON value, in bytes. A job with a payload and a result of this size still fits into a message of 4
/// MiB, the default limit of clients. Larger JSON is sent as text.
pub(crate) const JSON_WIRE_BYTES_MAX: usize = 2 * 1024 * 1024 - 32 * 1024;

/// Upper bound of the encoded size of a JSON value that is a single number, in bytes.
const JSON_FIXED_BYTES: usize = 16;

/// The content type of JSON.
pub const JSON: &str = "application/json";

impl Payload {
    /// Arbitrary bytes.
    pub fn data(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), content_type: None, encoding: Encoding::Data }
    }

    /// UTF-8 text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { bytes: text.into().into(), content_type: None, encoding: Encoding::Text }
    }

    /// UTF-8 text. The caller guarantees that the bytes are valid UTF-8.
    pub(crate) fn utf8(bytes: Bytes) -> Self {
        Self { bytes, content_type: None, encoding: Encoding::Text }
    }

    /// JSON text, encoded as a JSON value. The caller guarantees that it is well-formed.
    pub fn json_text(text: impl Into<Bytes>) -> Self {
        Self { bytes: text.into(), content_type: None, encoding: Encoding::Json }
    }

    /// Sets the MIME type. The encoding's default is not stored.
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        let is_default = content_type == default_content_type(self.encoding);
        self.content_type = (!is_default && !content_type.is_empty()).then(|| Arc::new(content_type.into()));
        self
    }

    /// The payload without its content.
    pub(crate) fn without_bytes(&self) -> Self {
        Self { bytes: Bytes::new(), content_type: self.content_type.clone(), encoding: self.encoding }
    }

    /// The MIME type of the content.
    pub fn content_type(&self) -> &str {
        self.explicit_content_type().unwrap_or(default_content_type(self.encoding))
    }

    /// The MIME type, if it is set and not the encoding's default.
    pub fn explicit_content_type(&self) -> Option<&str> {
        self.content_type.as_ref().map(|content_type| &***content_type)
    }

    /// Upper bound of the encoded size of the content. A JSON value takes up to 11 bytes for two bytes of text, and is
    /// sent as text if it takes more than [`JSON_WIRE_BYTES_MAX`].
    pub(crate) fn wire_bytes_max(&self) -> usize {
        match self.encoding {
            Encoding::Data | Encoding::Text => self.bytes.len(),
            Encoding::Json => {
                let value = JSON_FIXED_BYTES + self.bytes.len() * 11 / 2;
                value.min(JSON_WIRE_BYTES_MAX.max(self.bytes.len()))
            }
        }
    }

    /// Whether the content is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

fn default_content_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Data => "application/octet-stream",
        Encoding::Text => "text/plain; charset=utf-8",
        Encoding::Json => JSON,
    }
}
