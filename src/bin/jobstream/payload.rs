//! Payloads from the command line: an argument, a file or stdin, as JSON, text or bytes.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use clap::Args;
use jobstream::job::json_arm_carries;
use jobstream::proto::v1::Payload;
use jobstream::proto::v1::payload::Body;
use serde::de::IgnoredAny;

use crate::error::{Error, Result};
use crate::output::json;

/// Most bytes of a file or stdin. The limits of servers are far lower.
const READ_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How the payload is given.
#[derive(Debug, Clone, Args)]
pub(crate) struct PayloadArgs {
    /// Input: JSON, @file, or - for stdin [default: none]
    #[arg(value_name = "PAYLOAD", allow_hyphen_values = true, help_heading = None::<&str>)]
    pub(crate) payload: Option<String>,
    /// Send the payload as text instead of JSON
    #[arg(long, conflicts_with = "bytes")]
    pub(crate) text: bool,
    /// Send the payload as bytes instead of JSON
    #[arg(long)]
    pub(crate) bytes: bool,
    /// MIME type of --text or --bytes
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
}

impl PayloadArgs {
    /// Reads the payload; none if none was given.
    ///
    /// # Errors
    ///
    /// If the file or stdin cannot be read, or the content does not have the format of the flags.
    pub(crate) fn read(&self) -> Result<Option<Payload>> {
        let as_json = !self.text && !self.bytes;
        if self.content_type.is_some() && as_json {
            let error = Error::usage("--content-type is for --text and --bytes: JSON is application/json");
            return Err(error);
        }
        let Some(argument) = &self.payload else {
            return match as_json {
                true => Ok(None),
                false => {
                    Err(Error::usage("--text and --bytes need a payload").hint("give it, or - for stdin"))
                }
            };
        };
        let content = content(argument)?;
        let content_type = self.content_type.clone().unwrap_or_default();
        let body = match (self.bytes, self.text) {
            (true, _) => Body::Data(Bytes::from(content)),
            (false, true) => Body::Text(utf8(content, argument)?),
            (false, false) => return parse_json(&utf8(content, argument)?, argument).map(Some),
        };
        Ok(Some(Payload { body: Some(body), content_type }))
    }
}

/// JSON from an argument, @file or stdin.
pub(crate) fn json_argument(argument: &str) -> Result<Payload> {
    parse_json(&utf8(content(argument)?, argument)?, argument)
}

fn content(argument: &str) -> Result<Vec<u8>> {
    match argument.strip_prefix('@') {
        None if argument == "-" => read(io::stdin().lock(), "stdin"),
        None => Ok(argument.as_bytes().to_vec()),
        Some(path) => {
            let file = File::open(path).map_err(|error| {
                Error::usage(format!("cannot read the payload file {path}: {error}"))
                    .hint("@ names a file; text that starts with @ comes through stdin, as -")
            })?;
            read(file, path)
        }
    }
}

fn read(source: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    source
        .take(READ_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|error| Error::usage(format!("cannot read the payload from {name}: {error}")))?;
    if content.len() as u64 > READ_BYTES_MAX {
        return Err(Error::usage(format!("the payload from {name} is larger than 64 MiB"))
            .hint("store it elsewhere and submit a reference"));
    }
    Ok(content)
}

fn utf8(content: Vec<u8>, argument: &str) -> Result<String> {
    String::from_utf8(content).map_err(|_| {
        Error::usage(format!("{} is not UTF-8", source(argument))).hint("send it as it is with --bytes")
    })
}

/// Where the content of this argument is, in messages.
fn source(argument: &str) -> &str {
    match argument.strip_prefix('@') {
        None if argument == "-" => "stdin",
        None => "the payload",
        Some(path) => path,
    }
}

fn parse_json(text: &str, argument: &str) -> Result<Payload> {
    if text.trim().is_empty() {
        return Err(Error::usage(format!("{} is empty, and no JSON", source(argument)))
            .hint("leave the payload out to send none, or send an empty text with --text"));
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
        Error::usage(format!("the payload is not JSON: {error}"))
            .hint("a JSON string has double quotes of its own: '\"hello\"'")
            .hint("--text sends it as plain text, --bytes as it is")
    })?;
    // JSON values on the wire hold doubles and 30 levels. Text carries all other JSON, of any depth.
    let value = json_arm_carries(text.as_bytes()).then(|| json::value(text)).flatten();
    let (body, content_type) = match value {
        Some(value) => (Body::Json(value), String::new()),
        None => (Body::Text(text.to_owned()), "application/json".to_owned()),
    };
    Ok(Payload { body: Some(body), content_type })
}

/// Plain text as a payload.
#[cfg(test)]
pub(crate) fn text_payload(text: &str) -> Payload {
    Payload { body: Some(Body::Text(text.to_owned())), content_type: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(payload: &str) -> PayloadArgs {
        PayloadArgs { payload: Some(payload.to_owned()), text: false, bytes: false, content_type: None }
    }

    #[test]
    fn an_argument_is_json_unless_flags_say_otherwise() {
        let json = args(r#"{"to": 5}"#).read().expect("JSON").expect("a payload");
        assert!(matches!(json.body, Some(Body::Json(_))));
        let text = PayloadArgs { text: true, ..args("plain") }.read().expect("text").expect("a payload");
        assert_eq!(text, text_payload("plain"));
        let bytes = PayloadArgs { bytes: true, content_type: Some("image/png".into()), ..args("raw") };
        let bytes = bytes.read().expect("bytes").expect("a payload");
        assert_eq!(bytes.body, Some(Body::Data(Bytes::from_static(b"raw"))));
        assert_eq!(bytes.content_type, "image/png");
    }

    #[test]
    fn large_integers_travel_as_text_with_every_digit() {
        for number in [
            "9007199254740993",
            "[-9007199254740992]",
            r#"{"a":123456789012345678901234567890}"#,
            "0.1234567890123456789",
            "[1e400]",
        ] {
            let payload = json_argument(number).expect("JSON");
            assert_eq!(payload.body, Some(Body::Text(number.to_owned())));
            assert_eq!(payload.content_type, "application/json");
        }
        let small = json_argument("[9007199254740991, -9007199254740991, 0.1]").expect("JSON");
        assert!(matches!(small.body, Some(Body::Json(_))));
    }

    #[test]
    fn deep_json_travels_as_text() {
        let nested = |levels| format!("{}\"[[\"{}", "[".repeat(levels), "]".repeat(levels));
        let body = |levels| json_argument(&nested(levels)).expect("JSON").body;
        assert!(matches!(body(30), Some(Body::Json(_))));
        for levels in [31, 127, 128, 100_000] {
            assert_eq!(body(levels), Some(Body::Text(nested(levels))));
        }
        assert!(json_argument(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn what_is_not_json_gets_a_way_out() {
        let error = args("hello").read().expect_err("not JSON");
        assert!(error.hints.iter().any(|hint| hint.contains("--text")), "{error:?}");
    }

    #[test]
    fn empty_content_is_named_by_its_source() {
        let error = args(" ").read().expect_err("no JSON");
        assert_eq!(error.message, "the payload is empty, and no JSON");
        assert_eq!((source("-"), source("@a.json"), source("1")), ("stdin", "a.json", "the payload"));
        let error = utf8(vec![0xff], "-").expect_err("not UTF-8");
        assert_eq!(error.message, "stdin is not UTF-8");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = args("@/no/such/file").read().expect_err("no file");
        assert!(error.message.contains("/no/such/file"), "{error:?}");
    }

    #[test]
    fn flags_without_sense_are_refused() {
        assert!(PayloadArgs { content_type: Some("a/b".into()), ..args("1") }.read().is_err());
        assert!(PayloadArgs { payload: None, text: true, ..args("") }.read().is_err());
        assert_eq!(PayloadArgs { payload: None, ..args("") }.read().expect("nothing"), None);
    }
}
