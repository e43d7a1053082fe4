//! What no file may hold: notes to self, paths of a machine, silenced lints, letters beyond ASCII, drawers.

use crate::assert_none;
use crate::source::{File, all_files, code_of, rust_files};

/// Notes to self belong into an issue, probes nowhere.
const NOTES: [&str; 5] = ["TODO", "FIXME", "XXX", "HACK", "dbg!("];
/// Paths that exist on one machine only.
const MACHINE_PATHS: [&str; 4] = ["/root/", "/work/", "/Users/", "/home/"];
/// Examples of a home that are nobody's.
const SAMPLE_HOMES: [&str; 2] = ["/home/x", "/home/me"];
/// Where a lint may be silenced, and which: in generated code, in the one reader of wall time, in a test that must hold
/// a thread, in builds with a part of the features.
const ALLOWED_LINTS: [(&str, &str); 7] = [
    ("src/lib.rs", "dead_code, unused_imports"),
    ("src/proto.rs", "missing_docs"),
    ("src/engine/commit/codec.rs", "missing_docs"),
    ("src/clock.rs", "clippy::disallowed_methods"),
    ("src/bin/jobstream/units.rs", "clippy::disallowed_methods"),
    ("tests/it/auth/minted.rs", "clippy::disallowed_methods"),
    ("tests/it/listener/probe.rs", "clippy::disallowed_methods"),
];
/// Code with letters beyond ASCII in a string; tests may have them anywhere.
const BEYOND_ASCII: [&str; 3] = ["src/job/name.rs", "src/proto/parse/time.rs", "src/proto/status.rs"];
/// Names that say nothing of what a module holds.
const DRAWERS: [&str; 8] = ["mod", "util", "utils", "common", "helper", "helpers", "manager", "misc"];

/// Lines, counted from 1, that break a rule.
fn lines_with(file: &File, what: &str, broken: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| broken(line));
    lines.map(|(index, line)| format!("{}:{}: {what}: {}", file.path, index + 1, line.trim())).collect()
}

fn notes(file: &File) -> Vec<String> {
    lines_with(file, "note to self", |line| NOTES.iter().any(|note| has_word(line, note)))
}

/// Whether a line has this text, not as a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !is_letter(before) && (word.ends_with('(') || !is_letter(after))
    })
}

fn machine_paths(file: &File) -> Vec<String> {
    lines_with(file, "path of a machine", |line| {
        let line = SAMPLE_HOMES.iter().fold(line.to_owned(), |line, home| line.replace(home, ""));
        MACHINE_PATHS.iter().any(|path| {
            line.match_indices(path).any(|(at, _)| {
                // After a letter it is a part of another path, such as `cgi/work/`.
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}'))
            })
        })
    })
}

fn silenced_lints(file: &File) -> Vec<String> {
    let is_listed =
        |line: &str| ALLOWED_LINTS.iter().any(|(path, lint)| file.path == *path && line.contains(lint));
    lines_with(file, "silenced lint", |line| {
        let line = line.trim_start();
        let attribute = line.strip_prefix("#![").or_else(|| line.strip_prefix("#["));
        attribute.is_some_and(|attribute| attribute.contains("allow(")) && !is_listed(line)
    })
}

fn beyond_ascii(file: &File) -> Vec<String> {
    let is_listed = BEYOND_ASCII.contains(&file.path.as_str()) || file.is_test();
    let code_lines = if file.is_rust() { file.lines_before_tests() } else { usize::MAX };
    let strings_blanked = if file.is_rust() { code_of(&file.text) } else { file.text.clone() };
    let mut found = Vec::new();
    for (index, (line, code)) in file.text.lines().zip(strings_blanked.lines()).enumerate() {
        let checked = if is_listed || index >= code_lines { code } else { line };
        if !checked.is_ascii() {
            found.push(format!("{}:{}: not ASCII: {}", file.path, index + 1, line.trim()));
        }
    }
    found
}

fn is_drawer(file: &File) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    DRAWERS.iter().any(|drawer| name.strip_suffix(".rs") == Some(drawer))
}

fn lacks_opening(file: &File) -> bool {
    !file.text.starts_with("//! ")
}

fn has_version(changelog: &str, version: &str) -> bool {
    let heading = format!("## {version}");
    changelog.lines().any(|line| line == heading || line.starts_with(&format!("{heading} ")))
}

/// Every file but these rules, which quote what they forbid.
fn checked_files() -> Vec<File> {
    all_files().into_iter().filter(|file| !file.path.starts_with("tests/tidy/")).collect()
}

#[test]
fn nothing_is_left_to_do() {
    assert_none(checked_files().iter().flat_map(notes).collect());
}

#[test]
fn no_file_knows_a_machine() {
    assert_none(checked_files().iter().flat_map(machine_paths).collect());
}

#[test]
fn lints_are_silenced_only_where_listed() {
    assert_none(checked_files().iter().filter(|file| file.is_rust()).flat_map(silenced_lints).collect());
}

#[test]
fn source_is_ascii() {
    let is_source = |file: &File| {
        file.is_rust()
            || [".proto", ".toml", ".yaml", ".py", ".sh", "/run"]
                .iter()
                .any(|extension| file.path.ends_with(extension))
    };
    let files =
        all_files().into_iter().filter(|file| is_source(file) && !file.path.starts_with("tests/python/"));
    assert_none(files.flat_map(|file| beyond_ascii(&file)).collect());
}

#[test]
fn every_file_says_what_it_holds() {
    let files = rust_files().into_iter().filter(lacks_opening);
    assert_none(files.map(|file| format!("{}: does not open with `//! `", file.path)).collect());
}

#[test]
fn modules_are_named_for_what_they_hold() {
    let files = rust_files().into_iter().filter(is_drawer);
    assert_none(files.map(|file| format!("{}: says nothing of what it holds", file.path)).collect());
}

#[test]
fn changelog_tells_of_this_version() {
    let changelog = include_str!("../../CHANGELOG.md");
    let version = env!("CARGO_PKG_VERSION");
    assert!(has_version(changelog, version), "CHANGELOG.md has no heading `## {version}`");
}

#[test]
fn a_note_to_self_is_seen() {
    for text in ["// TODO: later", "let a = dbg!(b);", "# FIXME", "a XXX b"] {
        assert_eq!(notes(&File::sample("src/a.rs", text)).len(), 1, "{text}");
    }
    assert_none(notes(&File::sample("src/a.rs", "const TODOS: u8 = 0; // XXXL")));
}

#[test]
fn a_path_of_a_machine_is_seen() {
    for text in ["/root/.cache", "cd /work/wt", "\"/home/ann/x\"", "path=/Users/ann"] {
        assert_eq!(machine_paths(&File::sample("a.md", text)).len(), 1, "{text}");
    }
    assert_none(machine_paths(&File::sample("a.md", "HOME=/home/x\n$HOME/work/a\nat/work/b\n")));
}

#[test]
fn a_silenced_lint_is_seen() {
    for text in ["#[allow(dead_code)]", "#![allow(unused)]", "    #[cfg_attr(test, allow(unused))]"] {
        assert_eq!(silenced_lints(&File::sample("src/a.rs", text)).len(), 1, "{text}");
    }
    let listed = "#[allow(clippy::disallowed_methods, reason = \"the clock\")]";
    assert_none(silenced_lints(&File::sample("src/clock.rs", listed)));
    assert_eq!(silenced_lints(&File::sample("src/clock.rs", "#[allow(dead_code)]")).len(), 1);
}

#[test]
fn letters_beyond_ascii_are_seen() {
    let text =
        "const A: &str = \"\u{e9}\";\n\n#[cfg(test)]\nmod tests {\n    const B: &str = \"\u{e9}\";\n}\n";
    assert_eq!(beyond_ascii(&File::sample("src/a.rs", text)).len(), 1);
    assert_none(beyond_ascii(&File::sample("src/job/name.rs", text)));
    assert_none(beyond_ascii(&File::sample("tests/it/a.rs", text)));
    assert_eq!(beyond_ascii(&File::sample("tests/it/a.rs", "let \u{e9} = 1;")).len(), 1);
    assert_eq!(beyond_ascii(&File::sample("proto/a.proto", "// \u{2026}")).len(), 1);
}

#[test]
fn a_file_without_an_opening_or_with_a_drawers_name_is_seen() {
    assert!(lacks_opening(&File::sample("src/a.rs", "use std::fmt;\n")));
    assert!(!lacks_opening(&File::sample("src/a.rs", "//! Says it.\n")));
    assert!(
        is_drawer(&File::sample("src/job/mod.rs", "")) && is_drawer(&File::sample("tests/it/utils.rs", ""))
    );
    assert!(!is_drawer(&File::sample("src/model.rs", "")));
}

#[test]
fn a_changelog_without_the_version_is_seen() {
    assert!(has_version("# Changes\n\n## 0.1.0 (not released)\n", "0.1.0"));
    assert!(!has_version("# Changes\n\n## 0.1.01\n", "0.1.0"));
    assert!(!has_version("mentions 0.1.0\n", "0.1.0"));
}
