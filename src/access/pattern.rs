//! Patterns of queue and kind names.

use std::fmt;

use crate::error::{Error, Result};
use crate::job::quoted;

/// Most characters of a pattern.
pub const PATTERN_CHARS_MAX: usize = 128;

/// Matches any number of characters.
const ANY: u8 = b'*';

/// A pattern of names, in which `*` matches any number of characters: `billing/*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Default for Pattern {
    /// The pattern of all names.
    fn default() -> Self {
        Self("*".to_owned())
    }
}

impl Pattern {
    /// Parses a pattern of 1 to [`PATTERN_CHARS_MAX`] characters of names and `*`.
    ///
    /// # Errors
    ///
    /// `InvalidField` for `field`.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._:/-*".contains(c);
        if text.is_empty() || text.len() > PATTERN_CHARS_MAX || !text.chars().all(is_allowed) {
            let description = format!(
                "{} is not a pattern: write 1 to {PATTERN_CHARS_MAX} characters of A-Z a-z 0-9 . _ : / - and * for any \
                 characters",
                quoted(text)
            );
            return Err(Error::invalid(field, description));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it matches every name.
    pub fn is_any(&self) -> bool {
        self.0.bytes().all(|byte| byte == ANY)
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut next) = (0, 0);
        // The last `*` and the position in the name up to which it matches.
        let mut star = None;
        while next < name.len() {
            if pattern.get(at) == Some(&ANY) {
                star = Some((at, next));
                at += 1;
            } else if pattern.get(at) == Some(&name[next]) {
                at += 1;
                next += 1;
            } else if let Some((star_at, matched)) = star {
                star = Some((star_at, matched + 1));
                (at, next) = (star_at + 1, matched + 1);
            } else {
                return false;
            }
        }
        pattern[at..].iter().all(|byte| *byte == ANY)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse("queue", pattern).expect("a pattern").matches(name)
    }

    #[test]
    fn a_star_matches_any_characters_and_the_rest_is_literal() {
        for (pattern, name) in [
            ("*", "a"),
            ("a", "a"),
            ("a*", "a"),
            ("*b", "aab"),
            ("a*b*c", "a-b-b-c"),
            ("**", "x"),
            ("a*a", "aa"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("a*b", "abc"), ("a*a", "a"), ("billing/*", "billing"), ("A", "a")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_is_matched_in_quadratic_time() {
        let pattern = "*a".repeat(PATTERN_CHARS_MAX / 2 - 1) + "*b";
        assert!(!matches(&pattern, &"a".repeat(PATTERN_CHARS_MAX)));
    }

    #[test]
    fn other_characters_and_lengths_are_refused() {
        for text in ["", "a b", "ä", "[a]", &"a".repeat(PATTERN_CHARS_MAX + 1)] {
            assert!(Pattern::parse("queue", text).is_err(), "{text}");
        }
    }
}
