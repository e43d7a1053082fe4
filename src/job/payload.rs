//! Payloads: bytes with a content type, and the arm they were written in.

use std::sync::Arc;

use bytes::Bytes;

/// Which arm of the wire's `Payload` the content was written in, and is read back in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Encoding {
    /// Arbitrary bytes.
    #[default]
    Data,
    /// UTF-8 text.
    Text,
    /// JSON text, read back as a JSON value.
    Json,
}

/// The input of a job, its result, or a chunk of output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payload {
    /// The content.
    pub bytes: Bytes,
    /// MIME type, if it is not the encoding's default. Few have one: it is as thin as it can be in the others.
    content_type: Option<Arc<Box<str>>>,
    /// The arm it was written in.
    pub encoding: Encoding,
}

/// Largest JSON value on the wire, in bytes: a job with such a payload and such a result still fits the message of 4 MiB
/// that clients read unless configured otherwise. Larger ones are sent as text.
pub(crate) const JSON_WIRE_BYTES_MAX: usize = 2 * 1024 * 1024 - 32 * 1024;

/// What a JSON value of a single number takes on the wire, in bytes, at most.
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

    /// Bytes that the caller knows to be UTF-8 text.
    pub(crate) fn utf8(bytes: Bytes) -> Self {
        Self { bytes, content_type: None, encoding: Encoding::Text }
    }

    /// JSON text that is read back as a JSON value; the caller knows that it is well-formed.
    pub fn json_text(text: impl Into<Bytes>) -> Self {
        Self { bytes: text.into(), content_type: None, encoding: Encoding::Json }
    }

    /// The same content with this MIME type; the encoding's default costs nothing.
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        let is_default = content_type == default_content_type(self.encoding);
        self.content_type = (!is_default && !content_type.is_empty()).then(|| Arc::new(content_type.into()));
        self
    }

    /// The same without its content.
    pub(crate) fn without_bytes(&self) -> Self {
        Self { bytes: Bytes::new(), content_type: self.content_type.clone(), encoding: self.encoding }
    }

    /// MIME type of the content.
    pub fn content_type(&self) -> &str {
        self.explicit_content_type().unwrap_or(default_content_type(self.encoding))
    }

    /// The MIME type if it was given and is not the encoding's default.
    pub fn explicit_content_type(&self) -> Option<&str> {
        self.content_type.as_ref().map(|content_type| &***content_type)
    }

    /// Bytes of the content on the wire, at most: a JSON value may take 11 bytes for two of its text, and is sent as text
    /// if it takes more than [`JSON_WIRE_BYTES_MAX`].
    pub(crate) fn wire_bytes_max(&self) -> usize {
        match self.encoding {
            Encoding::Data | Encoding::Text => self.bytes.len(),
            Encoding::Json => {
                let value = JSON_FIXED_BYTES + self.bytes.len() * 11 / 2;
                value.min(JSON_WIRE_BYTES_MAX.max(self.bytes.len()))
            }
        }
    }

    /// Whether there is no content.
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
