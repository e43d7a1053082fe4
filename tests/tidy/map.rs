//! ARCHITECTURE.md is short, and every path of its code map exists.

use std::path::Path;

use crate::assert_none;

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");
const CHARACTERS_MAX: usize = 10_000;
const LINE_CHARACTERS_MAX: usize = 120;
/// Spaces that a level of the code map is indented by.
const INDENT: usize = 2;

fn long_lines(page: &str) -> Vec<String> {
    let long = page.lines().enumerate().filter(|(_, line)| line.chars().count() > LINE_CHARACTERS_MAX);
    long.map(|(index, _)| format!("line {} is longer than {LINE_CHARACTERS_MAX}", index + 1)).collect()
}

/// The paths of the code map: of each line the first word, below the lines with less indent.
fn paths(map: &str) -> Vec<String> {
    let mut above: Vec<&str> = Vec::new();
    let mut paths = Vec::new();
    for line in map.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        above.truncate((line.len() - line.trim_start().len()) / INDENT);
        above.push(name);
        paths.push(above.join("/"));
    }
    paths
}

/// The block under this heading of a page.
fn block_under<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    page.split(heading).nth(1)?.split("```text\n").nth(1)?.split("```").next()
}

/// Paths that are neither a file nor a folder; a module may leave out its `.rs`.
fn missing(paths: Vec<String>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let missing = paths.into_iter().filter(|path| !exists(path) && !exists(&format!("{path}.rs")));
    missing.map(|path| format!("ARCHITECTURE.md: {path} is not there")).collect()
}

#[test]
fn the_architecture_page_is_short() {
    let characters = ARCHITECTURE.chars().count();
    assert!(characters <= CHARACTERS_MAX, "{characters} characters");
    assert_none(long_lines(ARCHITECTURE));
}

#[test]
fn every_path_of_the_code_map_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = paths(block_under(ARCHITECTURE, "\n## Code map\n").expect("a code map"));
    assert!(paths.len() > 30, "{paths:?}");
    assert_none(missing(paths, |path| root.join(path).exists()));
}

#[test]
fn a_path_that_is_gone_is_seen() {
    let page = "a\n## Map\n\n```text\nsrc     code\n  core  rules\n    table.rs  jobs\n  log\n```\n";
    let paths = paths(block_under(page, "\n## Map\n").expect("a map"));
    assert_eq!(paths, ["src", "src/core", "src/core/table.rs", "src/log"]);
    let there = ["src", "src/core.rs", "src/core/table.rs"];
    assert_eq!(missing(paths, |path| there.contains(&path)).len(), 1);
}

#[test]
fn a_long_line_is_seen() {
    assert_none(long_lines(&"a".repeat(LINE_CHARACTERS_MAX)));
    assert_eq!(long_lines(&"a".repeat(LINE_CHARACTERS_MAX + 1)).len(), 1);
}
