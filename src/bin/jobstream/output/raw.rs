//! The content of a payload, as it is written to stdout.

use std::borrow::Cow;

use jobstream::proto::v1::Payload;
use jobstream::proto::v1::payload::Body;
use serde_json::Value;

use super::json;
use crate::error::Result;

/// A result: JSON indented and ended with a newline; text and bytes exactly as they are.
///
/// # Errors
///
/// If it is JSON that cannot be shown.
pub(crate) fn result(payload: &Payload) -> Result<Cow<'_, [u8]>> {
    content(payload, |json| format!("{json:#}\n"))
}

/// A chunk of output: JSON on a line of its own; text and bytes exactly as they are, so that they join.
///
/// # Errors
///
/// If it is JSON that cannot be shown.
pub(crate) fn chunk(payload: &Payload) -> Result<Cow<'_, [u8]>> {
    content(payload, |json| format!("{json}\n"))
}

fn content(payload: &Payload, format: impl Fn(&Value) -> String) -> Result<Cow<'_, [u8]>> {
    Ok(match &payload.body {
        Some(Body::Json(_)) => Cow::Owned(format(&json::message("Payload", payload)?["json"]).into_bytes()),
        Some(Body::Text(text)) => Cow::Borrowed(text.as_bytes()),
        Some(Body::Data(data)) => Cow::Borrowed(data),
        None => Cow::Borrowed(&[]),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::payload::text_payload;

    #[test]
    fn text_and_bytes_are_not_touched() {
        assert_eq!(*result(&text_payload("no newline")).expect("text"), *b"no newline");
        let data = Payload { body: Some(Body::Data(Bytes::from_static(b"\0\xff"))), ..Payload::default() };
        assert_eq!(*chunk(&data).expect("bytes"), *b"\0\xff");
        assert_eq!(*result(&Payload::default()).expect("nothing"), *b"");
    }

    #[test]
    fn json_is_indented_as_a_result_and_a_line_as_a_chunk() {
        let body = json::value(r#"{"a":1}"#).map(Body::Json);
        let payload = Payload { body, ..Payload::default() };
        assert_eq!(*result(&payload).expect("JSON"), *b"{\n  \"a\": 1\n}\n");
        assert_eq!(*chunk(&payload).expect("JSON"), *b"{\"a\":1}\n");
    }
}
