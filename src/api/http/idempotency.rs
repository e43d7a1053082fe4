//! The header Idempotency-Key, as in the draft of the IETF: it names a request, so that a client may repeat it.

use http::StatusCode;
use prost_reflect::{DynamicMessage, Value};

use super::problem::Problem;
use super::request::BoundRequest;
use super::route::IdempotencyKey;
use crate::api::grpc::{Api, principal_name};
use crate::error::Error;
use crate::job::{JobId, quoted};

const HEADER: &str = "Idempotency-Key";
/// Longest key, in bytes, without its quotes.
pub(super) const KEY_BYTES_MAX: usize = 255;

/// Sets the id of the new job from the key of a request, if it has one. A key that is a UUID is the id itself.
///
/// # Errors
///
/// `InvalidField` if the key is malformed, differs from the id in the body, or does not apply to this request.
pub(super) async fn apply(
    api: &Api,
    request: &BoundRequest<'_>,
    message: &mut DynamicMessage,
) -> Result<(), Problem> {
    let IdempotencyKey::Sets(path) = request.route.idempotency_key else {
        return refuse(request);
    };
    let Some(key) = key_of(request)? else { return Ok(()) };
    let id = match JobId::parse("jobId", &key) {
        Ok(id) => id,
        Err(_) => {
            // Each principal has ids of its own, and anonymous callers together.
            let principal = principal_name(&request.parts.extensions).map_or("", |name| &**name);
            api.engine().job_id_of_key(principal, &key).await.map_err(api.status())?
        }
    };
    let Some(target) = field_at(message, path) else { return Ok(()) };
    if !target.is_empty() && JobId::parse("jobId", target).as_ref() != Ok(&id) {
        let description =
            format!("is {}, which is another id than {target} in the body: send one of them", quoted(&key));
        return Err(Error::invalid(HEADER, description).into());
    }
    *target = id.to_string();
    Ok(())
}

/// The problem of a key that was used with another request is 422.
pub(super) fn adjust(problem: Problem, request_has_key: bool) -> Problem {
    match request_has_key && problem.reason() == "JOB_ID_REUSED" {
        true => problem.with_status(StatusCode::UNPROCESSABLE_ENTITY),
        false => problem,
    }
}

/// Whether a request has a key.
pub(super) fn has_key(request: &BoundRequest<'_>) -> bool {
    request.parts.headers.contains_key(HEADER)
}

fn refuse(request: &BoundRequest<'_>) -> Result<(), Problem> {
    let is_refused = request.route.idempotency_key == IdempotencyKey::Refused && has_key(request);
    match is_refused {
        true => {
            Err(Error::invalid(HEADER, "does not apply to several jobs: give each job its own jobId").into())
        }
        false => Ok(()),
    }
}

/// The key of a request, without quotes.
fn key_of(request: &BoundRequest<'_>) -> Result<Option<String>, Problem> {
    let mut values = request.parts.headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let invalid = |description: String| Err(Error::invalid(HEADER, description).into());
    if values.next().is_some() {
        return invalid("is given twice: give it once".to_owned());
    }
    let Some(text) = value.to_str().ok() else {
        return invalid("has bytes that are no printable ASCII".to_owned());
    };
    let key = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted).ok_or_else(|| {
            Error::invalid(HEADER, "begins with a quote and does not end as a quoted string: \"order-123\"")
        })?,
        None => text.to_owned(),
    };
    match key.len() {
        0 => invalid("is empty: send a UUID or a text".to_owned()),
        1..=KEY_BYTES_MAX => Ok(Some(key)),
        bytes => invalid(format!("has {bytes} bytes, the limit is {KEY_BYTES_MAX}")),
    }
}

/// The content of a quoted string after its first quote; `None` if it is malformed.
fn unquoted(text: &str) -> Option<String> {
    let mut content = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(content),
            '\\' => content.push(chars.next().filter(|char| matches!(char, '"' | '\\'))?),
            char => content.push(char),
        }
    }
}

/// The text field at this path of a message. Messages on the path are set.
fn field_at<'a>(message: &'a mut DynamicMessage, path: &[&str]) -> Option<&'a mut String> {
    let (name, rest) = path.split_first()?;
    match message.get_field_by_name_mut(name)? {
        Value::String(text) => Some(text),
        Value::Message(inner) => field_at(inner, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_string_is_unquoted() {
        let cases = [
            (r#"order-123""#, Some("order-123")),
            (r#"a\"b\\c""#, Some(r#"a"b\c"#)),
            (r#"""#, Some("")),
            (r#"a"b"#, None),
            (r#"a\n""#, None),
            ("a", None),
        ];
        for (text, expected) in cases {
            assert_eq!(unquoted(text).as_deref(), expected, "{text}");
        }
    }
}
