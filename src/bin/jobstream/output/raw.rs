//! A payload itself, as it goes to stdout or into a file.

use std::borrow::Cow;

use jobstream::proto::v1::Payload;
use jobstream::proto::v1::payload::Body;

use super::json;

/// A result: JSON indented and ended with a newline; text and bytes exactly as they are.
pub(crate) fn result(payload: &Payload) -> Cow<'_, [u8]> {
    match &payload.body {
        Some(Body::Json(value)) => Cow::Owned(format!("{:#}\n", json::value(value)).into_bytes()),
        _ => as_it_is(payload),
    }
}

/// A chunk of output: JSON on a line of its own; text and bytes exactly as they are, so that they join.
pub(crate) fn chunk(payload: &Payload) -> Cow<'_, [u8]> {
    match &payload.body {
        Some(Body::Json(value)) => Cow::Owned(format!("{}\n", json::value(value)).into_bytes()),
        _ => as_it_is(payload),
    }
}

fn as_it_is(payload: &Payload) -> Cow<'_, [u8]> {
    match &payload.body {
        Some(Body::Text(text)) => Cow::Borrowed(text.as_bytes()),
        Some(Body::Data(data)) => Cow::Borrowed(data),
        Some(Body::Json(_)) | None => Cow::Borrowed(&[]),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::payload::{text_payload, to_proto};

    #[test]
    fn text_and_bytes_are_not_touched() {
        assert_eq!(*result(&text_payload("no newline")), *b"no newline");
        let data = Payload { body: Some(Body::Data(Bytes::from_static(b"\0\xff"))), ..Payload::default() };
        assert_eq!(*chunk(&data), *b"\0\xff");
        assert_eq!(*result(&Payload::default()), *b"");
    }

    #[test]
    fn json_is_indented_as_a_result_and_a_line_as_a_chunk() {
        let body = Some(Body::Json(to_proto(&json!({ "a": 1 }))));
        let payload = Payload { body, ..Payload::default() };
        assert_eq!(*result(&payload), *b"{\n  \"a\": 1\n}\n");
        assert_eq!(*chunk(&payload), *b"{\"a\":1}\n");
    }
}
