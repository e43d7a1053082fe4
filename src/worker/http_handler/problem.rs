//! Problem details, `application/problem+json` (RFC 9457): the message and the type of a failure.

use serde::Deserialize;

/// The type of a problem that has no other semantics than its status.
const NO_TYPE: &str = "about:blank";

/// The members that become a failure. Others stay in its details.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    problem_type: serde_json::Value,
    title: serde_json::Value,
    detail: serde_json::Value,
}

impl Problem {
    /// Parses a body; `None` if it is not a JSON object. A member that is not text is ignored, as the RFC demands.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// `title: detail`, or one of them.
    pub(super) fn message(&self) -> Option<String> {
        let parts: Vec<_> = [&self.title, &self.detail].into_iter().filter_map(text).collect();
        (!parts.is_empty()).then(|| parts.join(": "))
    }

    /// The URI of the type, if it says more than the status.
    pub(super) fn error_type(&self) -> Option<&str> {
        text(&self.problem_type).filter(|problem_type| *problem_type != NO_TYPE)
    }
}

fn text(member: &serde_json::Value) -> Option<&str> {
    member.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_and_detail_are_the_message() {
        for (body, message, error_type) in [
            (
                r#"{"type":"https://a.example/full","title":"Full","detail":"3 of 3"}"#,
                Some("Full: 3 of 3"),
                true,
            ),
            (r#"{"type":"about:blank","title":"Full"}"#, Some("Full"), false),
            (r#"{"detail":"3 of 3","title":7,"type":null}"#, Some("3 of 3"), false),
            ("{}", None, false),
        ] {
            let problem = Problem::parse(body.as_bytes()).expect(body);
            assert_eq!(problem.message().as_deref(), message, "{body}");
            assert_eq!(problem.error_type().is_some(), error_type, "{body}");
        }
        assert_eq!(Problem::parse(b"<html>"), None);
    }
}
