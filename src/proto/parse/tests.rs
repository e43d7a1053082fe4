//! The parsers: every rule of every request, and the field that its error names.

mod payloads;
mod requests;
mod specs;

use super::*;

const ID: &str = "0190c0de-0000-7000-8000-000000000001";

/// The only violation of a refused request, as `field: description`.
fn violation<T: fmt::Debug>(parsed: Result<T>) -> String {
    let error = parsed.unwrap_err();
    match error.kind() {
        ErrorKind::InvalidField(violations) => assert_eq!(violations.len(), 1, "{error}"),
        kind => panic!("{kind:?} is not an invalid field"),
    }
    error.message().to_owned()
}

fn fields(error: &Error) -> Vec<&str> {
    match error.kind() {
        ErrorKind::InvalidField(violations) => violations.iter().map(|one| one.field.as_str()).collect(),
        kind => panic!("{kind:?} is not an invalid field"),
    }
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}
