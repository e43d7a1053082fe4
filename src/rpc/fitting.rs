//! Answers of several elements, bounded by their encoded length.

use prost::Message;

use crate::proto::RESPONSE_BYTES_MAX;

/// Bytes of an answer for what is not an element: page tokens, totals.
const AROUND_BYTES: usize = 1024;

/// Bytes of a message as an element of a field with a number below 16.
pub(super) fn element_bytes(element: &impl Message) -> usize {
    let bytes = element.encoded_len();
    1 + prost::length_delimiter_len(bytes) + bytes
}

/// The first elements of an answer, as many as fit one message; the first of all even if it is larger.
#[derive(Debug)]
pub(super) struct Fitting<T> {
    pub(super) elements: Vec<T>,
    bytes: usize,
}

impl<T> Default for Fitting<T> {
    fn default() -> Self {
        Self { elements: Vec::new(), bytes: 0 }
    }
}

impl<T: Message> Fitting<T> {
    /// Adds the element if it fits. Answers whether it does.
    pub(super) fn push(&mut self, element: T) -> bool {
        let bytes = self.bytes + element_bytes(&element);
        let fits = self.elements.is_empty() || bytes <= RESPONSE_BYTES_MAX - AROUND_BYTES;
        if fits {
            self.bytes = bytes;
            self.elements.push(element);
        }
        fits
    }
}

/// The first names that fit beside this many bytes.
pub(super) fn fitting_names<'a>(names: impl IntoIterator<Item = &'a str>, mut bytes: usize) -> Vec<String> {
    let fits = |name: &&str| {
        bytes += 1 + prost::length_delimiter_len(name.len()) + name.len();
        bytes <= RESPONSE_BYTES_MAX
    };
    names.into_iter().take_while(fits).map(str::to_owned).collect()
}
