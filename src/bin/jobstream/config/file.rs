//! Reads the config file. Errors name the file, the line and a similar key.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Largest edit distance, relative to the length of a key, of a suggested key.
const SIMILAR_ENOUGH: f64 = 0.7;

/// A config file over its defaults.
///
/// # Errors
///
/// If it cannot be read, is not TOML, or holds an unknown key or an invalid value.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path)
        .map_err(|error| Error::usage(format!("cannot read the config file {}: {error}", path.display())))?;
    parse(&text, &path.display().to_string())
}

fn parse<T: DeserializeOwned>(text: &str, name: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let message = error.message().trim();
        match unknown_field(message) {
            None => Error::usage(format!("{name}:{line}: {}", message.replace('\n', "; "))),
            Some((key, known)) => {
                let error = Error::usage(format!("{name}:{line}: unknown key {key:?}"));
                match nearest(key, &known) {
                    Some(meant) => error.hint(format!("did you mean {meant:?}?")),
                    None => error.hint(format!("known here: {}", known.join(", "))),
                }
            }
        }
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// The unknown key and the known ones, from serde's message: unknown field `a`, expected one of `b`, `c`.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let key = quoted.next()?;
    Some((key, quoted.collect()))
}

fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let similarity = |name: &str| strsim::jaro_winkler(key, name);
    let best = known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(best) >= SIMILAR_ENOUGH).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::super::ServerConfig;
    use super::*;

    fn error(text: &str) -> Error {
        parse::<ServerConfig>(text, "js.toml").expect_err(text)
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_key_that_was_meant() {
        let error = error("listen = '127.0.0.1:1'\n\n[limits]\npayload_byte_max = 1\n");
        assert_eq!(error.message, "js.toml:4: unknown key \"payload_byte_max\"");
        assert_eq!(error.hints, ["did you mean \"payload_bytes_max\"?"]);
    }

    #[test]
    fn keys_of_commands_are_checked_too() {
        let error = error("[commands.resize]\nprogram = 'x'\ntimelimit = '1s'\n");
        assert_eq!(error.message, "js.toml:3: unknown key \"timelimit\"");
        assert_eq!(error.hints, ["did you mean \"time_limit\"?"]);
    }

    #[test]
    fn a_key_like_no_other_gets_the_list() {
        let error = error("zzz = 1\n");
        assert!(error.hints[0].contains("drain_timeout, demo"), "{error:?}");
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_line() {
        for (text, expected) in [
            ("a = \n", "js.toml:1: "),
            ("slots = 1\ndrain_timeout = 'soon'\n", "js.toml:2: "),
            ("slots = 0\n", "nonzero"),
            ("[limits]\nretention_bytes_max = '1 parsec'\n", "js.toml:2: unknown unit \"parsec\""),
            ("[commands.'a b']\nprogram = 'x'\n", "js.toml:1: kind: \"a b\" has a character outside"),
            ("[commands.a]\nargs = ['x']\n", "missing field `program`"),
            ("[log]\nformat = 'xml'\n", "js.toml:2: unknown variant"),
        ] {
            let error = error(text);
            assert!(error.message.contains(expected), "{error:?}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load::<ServerConfig>(Path::new("/no/such/file.toml")).expect_err("no file");
        assert!(error.message.contains("/no/such/file.toml"), "{error:?}");
    }
}
