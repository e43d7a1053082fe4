//! Reads the config file. Errors name the file, the line and a similar key.

use std::fmt::Display;
use std::fs;
use std::ops::Range;
use std::path::Path;

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::error::{Error, Result};

/// Largest edit distance, relative to the length of a key, of a suggested key.
const SIMILAR_ENOUGH: f64 = 0.7;
/// Most problems of a file that are reported.
const PROBLEMS_MAX: usize = 100;

/// The content of a file as far as it is valid, and every problem with its line.
#[derive(Debug)]
pub(crate) struct Checked<T> {
    /// The valid keys; `None` if the file cannot be read or is not TOML.
    pub(crate) value: Option<T>,
    /// The text of the file.
    pub(crate) text: String,
    /// What is wrong.
    pub(crate) problems: Vec<Error>,
}

/// A config file over its defaults.
///
/// # Errors
///
/// If it cannot be read, is not TOML, or holds an unknown key or an invalid value.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse(&read(path)?, &path.display().to_string())
}

/// Reads a config file and finds every problem.
pub(crate) fn check<T: DeserializeOwned>(path: &Path) -> Checked<T> {
    match read(path) {
        Ok(text) => {
            let (value, problems) = check_text(&text, &path.display().to_string());
            Checked { value, text, problems }
        }
        Err(error) => Checked { value: None, text: String::new(), problems: vec![error] },
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Error::usage(format!("cannot read {}: {error}", path.display())))
}

/// A config from its text. `name` is the file in errors.
///
/// # Errors
///
/// As [`load`].
pub(crate) fn parse<T: DeserializeOwned>(text: &str, name: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| problem(&error, text, name))
}

fn check_text<T: DeserializeOwned>(text: &str, name: &str) -> (Option<T>, Vec<Error>) {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return (None, errors.iter().take(PROBLEMS_MAX).map(|error| problem(error, text, name)).collect());
    }
    let (mut value, mut removed, mut found) = (None, Vec::new(), Vec::new());
    // The parser ends at the first problem. The key of each is removed, until no problem is left.
    while found.len() < PROBLEMS_MAX {
        let error = match T::deserialize(table.clone().into_deserializer()) {
            Ok(valid) => {
                value = Some(valid);
                break;
            }
            Err(error) => error,
        };
        let Some(start) = error.span().map(|span| span.start) else {
            found.push((0, problem(&error, text, name)));
            break;
        };
        // A required key with a wrong value was removed.
        let is_consequence = |removed: &(usize, String)| {
            removed.0 == start && error.message() == format!("missing field `{}`", removed.1)
        };
        if !removed.iter().any(is_consequence) {
            found.push((start, problem(&error, text, name)));
        }
        match remove(table.get_mut(), 0, start) {
            Some(key) => removed.push(key),
            None => break,
        }
    }
    found.sort_by_key(|(start, _)| *start);
    (value, found.into_iter().map(|(_, problem)| problem).collect())
}

/// Removes the innermost key or array item at this byte. Returns its name, and where its table begins.
fn remove(table: &mut DeTable<'_>, table_start: usize, at: usize) -> Option<(usize, String)> {
    if let Some(key) = table.iter_mut().find_map(|(_, value)| remove_in(value, at)) {
        return Some(key);
    }
    let is_at = |span: Range<usize>| span.contains(&at);
    let (key, _) = table.iter().find(|(key, value)| is_at(key.span()) || is_at(value.span()))?;
    let key = key.clone();
    table.remove(&key);
    Some((table_start, key.get_ref().to_string()))
}

fn remove_in(value: &mut Spanned<DeValue<'_>>, at: usize) -> Option<(usize, String)> {
    let start = value.span().start;
    match value.get_mut() {
        DeValue::Table(table) => remove(table, start, at),
        DeValue::Array(items) => {
            if let Some(key) = items.iter_mut().find_map(|item| remove_in(item, at)) {
                return Some(key);
            }
            let index = items.iter().position(|item| item.span().contains(&at))?;
            let mut kept = DeArray::new();
            let others = items.iter().enumerate().filter(|(other, _)| *other != index);
            others.for_each(|(_, item)| kept.push(item.clone()));
            *items = kept;
            Some((start, String::new()))
        }
        _ => None,
    }
}

/// An error of the parser as one with file and line.
fn problem(error: &toml::de::Error, text: &str, name: &str) -> Error {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    let message = error.message().trim();
    match unknown_field(message) {
        None => Error::usage(format!("{name}:{line}: {}", in_words(&message.replace('\n', "; ")))),
        Some((key, known)) => {
            let error = Error::usage(format!("{name}:{line}: unknown key {key:?}"));
            match nearest(key, &known) {
                Some(meant) => error.hint(format!("did you mean {meant:?}?")),
                None => error.hint(format!("known here: {}", known.join(", "))),
            }
        }
    }
}

/// The message of the parser with the ranges of numbers in place of types of Rust.
fn in_words(message: &str) -> String {
    let from = |least: u8, most: &dyn Display| format!("expected a whole number from {least} to {most}");
    [
        ("expected a nonzero u32", from(1, &u32::MAX)),
        ("expected u32", from(0, &u32::MAX)),
        ("expected u8", from(0, &u8::MAX)),
        ("expected i32", "expected a whole number".to_owned()),
        ("expected a string", "expected text in quotes".to_owned()),
        ("expected a boolean", "expected true or false".to_owned()),
    ]
    .iter()
    .fold(message.to_owned(), |text, (type_of_rust, words)| text.replace(type_of_rust, words))
}

/// The line at this byte, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
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
            ("slots = 0\n", "integer `0`, expected a whole number from 1 to 4294967295"),
            ("slots = 'x'\n", "string \"x\", expected a whole number from 1 to 4294967295"),
            (
                "[auth.quota]\nwaiting_jobs = -5\n",
                "integer `-5`, expected a whole number from 0 to 4294967295",
            ),
            ("listen = 7070\n", "integer `7070`, expected text in quotes"),
            ("demo = 'yes'\n", "string \"yes\", expected true or false"),
            (
                "[limits]\nretention = '-1s'\n",
                "js.toml:2: \"-1s\": expected number at 0: write a number and a unit",
            ),
            (
                "[limits]\nretention_bytes_max = '1 parsec'\n",
                "js.toml:2: \"1 parsec\": unknown unit \"parsec\"",
            ),
            ("[commands.'a b']\nprogram = 'x'\n", "js.toml:1: kind: \"a b\" has a character outside"),
            ("[commands.a]\nargs = ['x']\n", "missing field `program`"),
            ("[log]\nformat = 'xml'\n", "js.toml:2: unknown variant"),
        ] {
            let error = error(text);
            assert!(error.message.contains(expected), "{error:?}");
        }
    }

    #[test]
    fn every_problem_is_found() {
        let messages = |text: &str| {
            let (value, problems) = check_text::<ServerConfig>(text, "js.toml");
            (value, problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>())
        };
        let (value, found) = messages(
            "slotz = 1\nlisten = 'x'\ndemo = true\n[limits]\nretention = 'soon'\n[commands.a]\nprogram = 1\n\
             [commands.b]\nargs = []\n[commands.c]\nprogram = 'x'\ntimelimit = '1s'\n",
        );
        let lines: Vec<_> = found.iter().map(|text| text.split(':').nth(1).expect("a line")).collect();
        assert_eq!(lines, ["1", "2", "5", "7", "8", "12"], "{found:#?}");
        let value = value.expect("what is valid");
        assert_eq!((value.demo, value.commands.len()), (true, 1));
        let (value, found) = messages("a = \nslots = 1\nb = ]\n");
        assert!(value.is_none() && found.len() >= 2, "{found:#?}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load::<ServerConfig>(Path::new("/no/such/file.toml")).expect_err("no file");
        assert!(error.message.contains("/no/such/file.toml"), "{error:?}");
    }
}
