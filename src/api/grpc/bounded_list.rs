//! Lists of messages in a response, limited by their encoded length.

use prost::Message;

use crate::proto::RESPONSE_BYTES_MAX;

/// Bytes of a response reserved for other fields, such as page tokens and totals.
const OTHER_FIELDS_BYTES: usize = 1024;

/// Encoded length of an element of a repeated field, in bytes, if the field number is below 16.
pub(super) fn element_bytes(element: &impl Message) -> usize {
    let bytes = element.encoded_len();
    1 + prost::length_delimiter_len(bytes) + bytes
}

/// The elements of a response that fit one message. The first element is always included.
#[derive(Debug)]
pub(super) struct BoundedList<T> {
    pub(super) elements: Vec<T>,
    bytes: usize,
}

impl<T> Default for BoundedList<T> {
    fn default() -> Self {
        Self { elements: Vec::new(), bytes: 0 }
    }
}

impl<T: Message> BoundedList<T> {
    /// Adds the element if it fits. Returns whether it was added.
    pub(super) fn push(&mut self, element: T) -> bool {
        let bytes = self.bytes + element_bytes(&element);
        let fits = self.elements.is_empty() || bytes <= RESPONSE_BYTES_MAX - OTHER_FIELDS_BYTES;
        if fits {
            self.bytes = bytes;
            self.elements.push(element);
        }
        fits
    }
}

/// The first names that fit a response of `bytes` other bytes.
pub(super) fn bounded_names<'a>(names: impl IntoIterator<Item = &'a str>, mut bytes: usize) -> Vec<String> {
    let fits = |name: &&str| {
        bytes += 1 + prost::length_delimiter_len(name.len()) + name.len();
        bytes <= RESPONSE_BYTES_MAX
    };
    names.into_iter().take_while(fits).map(str::to_owned).collect()
}
