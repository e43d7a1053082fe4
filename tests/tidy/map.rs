//! ARCHITECTURE.md is short, and every path of its code map exists, as does every path that a page names.

use std::path::Path;

use crate::assert_none;
use crate::source::{File, all_files};

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");
const CHARACTERS_MAX: usize = 10_000;
const LINE_CHARACTERS_MAX: usize = 120;
/// Spaces that a level of the code map is indented by.
const INDENT: usize = 2;

/// Folders that a path in a page starts with.
const ROOTS: [&str; 9] =
    ["src/", "tests/", "docs/", "clients/", "proto/", "examples/", "bench/", "fuzz/", ".ci/"];

/// Whether a page names paths from the root: the pages of a client name its own.
fn is_page(file: &File) -> bool {
    let is_root = !file.path.contains('/') || file.path == "clients/README.md";
    file.path.ends_with(".md") && (is_root || file.path.starts_with("docs/"))
}

/// The paths in a page's running text: the first words in backticks that start with a folder of the repository.
fn paths_named(page: &str) -> Vec<String> {
    let spans = page.split("\n```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2));
    let words = spans.filter_map(|span| span.split_whitespace().next());
    let paths = words.filter(|word| ROOTS.iter().any(|root| word.starts_with(root)));
    paths.map(|path| path.trim_end_matches('/').to_owned()).collect()
}

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
fn missing(page: &str, paths: Vec<String>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let missing = paths.into_iter().filter(|path| !exists(path) && !exists(&format!("{path}.rs")));
    missing.map(|path| format!("{page}: {path} is not there")).collect()
}

fn exists(path: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}

#[test]
fn the_architecture_page_is_short() {
    let characters = ARCHITECTURE.chars().count();
    assert!(characters <= CHARACTERS_MAX, "{characters} characters");
    assert_none(long_lines(ARCHITECTURE));
}

#[test]
fn every_path_of_the_code_map_exists() {
    let paths = paths(block_under(ARCHITECTURE, "\n## Code map\n").expect("a code map"));
    assert!(paths.len() > 30, "{paths:?}");
    assert_none(missing("ARCHITECTURE.md", paths, exists));
}

#[test]
fn every_path_that_a_page_names_exists() {
    let pages: Vec<_> = all_files().into_iter().filter(is_page).collect();
    assert!(
        pages.iter().map(|page| paths_named(&page.text).len()).sum::<usize>() > 20,
        "hardly any path is found"
    );
    assert_none(pages.iter().flat_map(|page| missing(&page.path, paths_named(&page.text), exists)).collect());
}

#[test]
fn a_path_that_is_gone_is_seen() {
    let page = "a\n## Map\n\n```text\nsrc     code\n  core  rules\n    table.rs  jobs\n  log\n```\n";
    let paths = paths(block_under(page, "\n## Map\n").expect("a map"));
    assert_eq!(paths, ["src", "src/core", "src/core/table.rs", "src/log"]);
    let there = ["src", "src/core.rs", "src/core/table.rs"];
    assert_eq!(missing("a.md", paths, |path| there.contains(&path)).len(), 1);
}

#[test]
fn a_path_in_running_text_is_found() {
    let page = "see `src/core`, `cargo test`, `tests/python/run -k watch`\n```sh\nls `src/a`\n```\n`docs/`";
    assert_eq!(paths_named(page), ["src/core", "tests/python/run", "docs"]);
}

#[test]
fn a_long_line_is_seen() {
    assert_none(long_lines(&"a".repeat(LINE_CHARACTERS_MAX)));
    assert_eq!(long_lines(&"a".repeat(LINE_CHARACTERS_MAX + 1)).len(), 1);
}
