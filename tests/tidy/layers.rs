//! Who may import whom: a module of the library imports only what stands to its left in [`ORDER`].

use crate::assert_none;
use crate::source::{File, code_of, is_word, rust_files};

/// The modules of the library, lowest first; those on one line may import each other.
const ORDER: [&[&str]; 12] = [
    &["error", "clock", "log_limit", "memory", "metrics", "pem", "secret_file", "signals", "job"],
    &["access"],
    &["wal"],
    &["core"],
    &["engine"],
    &["proto"],
    &["client"],
    &["worker"],
    &["api"],
    &["server"],
    &["testing"],
    &["fuzzing"],
];

fn level(module: &str) -> Option<usize> {
    ORDER.iter().position(|modules| modules.contains(&module))
}

fn breaches(file: &File) -> Vec<String> {
    let Some(inner) = file.path.strip_prefix("src/") else { return Vec::new() };
    if inner == "lib.rs" || inner.starts_with("bin/") {
        return Vec::new();
    }
    let module = inner.split(['/', '.']).next().unwrap_or_default();
    let Some(own) = level(module) else {
        return vec![format!("{}: `{module}` has no place in the order", file.path)];
    };
    let breach = |(line, name): (usize, String)| {
        let reason = match level(&name) {
            Some(other) if other <= own => return None,
            Some(_) => format!("`{module}` must not import `{name}`"),
            None => format!("`crate::{name}` is no module of the library"),
        };
        Some(format!("{}:{line}: {reason}", file.path))
    };
    let depth = inner.split('/').count();
    imports(&code_of(&file.text), depth).into_iter().filter_map(breach).collect()
}

/// The modules that code names, with their lines: after `crate::`, and after as many `super::` as lead to the root.
fn imports(code: &str, depth: usize) -> Vec<(usize, String)> {
    let to_root = "super::".repeat(depth);
    let mut found = Vec::new();
    for prefix in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            let longer = code[..at].ends_with("super::");
            if longer || before.is_some_and(|c| is_word(c) || c == '$') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            let names = names_after(&code[at + prefix.len()..]);
            // In a module inside the file, `super` is the file itself: only names of modules count.
            let names = names.into_iter().filter(|name| prefix == "crate::" || level(name).is_some());
            found.extend(names.map(|name| (line, name)));
        }
    }
    found
}

/// The first name of each path that follows: one, or those of a `{...}` group.
pub(crate) fn names_after(code: &str) -> Vec<String> {
    let Some(group) = code.trim_start().strip_prefix('{') else {
        return first_word(code).into_iter().collect();
    };
    let mut names = Vec::new();
    let (mut depth, mut item) = (0_usize, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.extend(first_word(&std::mem::take(&mut item))),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    names.extend(first_word(&item));
    names
}

fn first_word(code: &str) -> Option<String> {
    let word: String = code.trim_start().chars().take_while(|&c| is_word(c)).collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn modules_import_only_what_stands_to_their_left() {
    assert_none(rust_files().iter().flat_map(breaches).collect());
}

#[test]
fn an_import_from_the_right_is_seen_in_every_form() {
    for text in [
        "use crate::api::Deadline;",
        "pub use crate::api::Deadline;",
        "pub(crate) use crate::api;",
        "use crate::{job::JobId, api::{self, Deadline}};",
        "use crate::{\n    error::{Error, Result},\n    rpc,\n};",
        "fn f() -> crate::api::Deadline { todo }",
        "use super::super::api::Deadline;",
        "use crate::Server;",
        "pub(in crate::api) fn f() {}",
    ] {
        assert_eq!(breaches(&File::sample("src/engine/watch.rs", text)).len(), 1, "{text}");
    }
    assert_eq!(breaches(&File::sample("src/engine.rs", "use super::server::Server;")).len(), 1);
    assert_eq!(breaches(&File::sample("src/job/view.rs", "use crate::core::Core;")).len(), 1);
    assert_eq!(breaches(&File::sample("src/helpers.rs", "")).len(), 1);
}

#[test]
fn an_import_from_the_left_is_no_breach() {
    for text in [
        "use crate::{clock::Now, core::{Core, Effects}};",
        "use crate::engine::Watch;",
        "use super::delivery::State;\nuse super::session::server::Nested;",
        "//! See [`crate::api`].\nconst TEXT: &str = \"crate::api\";",
        "macro_rules! m { () => { $crate::api } }",
        "mod tests { use super::super::Engine; }",
    ] {
        assert_none(breaches(&File::sample("src/engine/watch.rs", text)));
    }
    assert_none(breaches(&File::sample("src/bin/jobstream/main.rs", "use crate::server::Args;")));
    assert_none(breaches(&File::sample("src/error.rs", "use crate::job::JobId;")));
}

#[test]
fn a_breach_names_its_line() {
    let file = File::sample("src/core/table.rs", "//! A table.\n\nuse crate::engine::Engine;\n");
    assert_eq!(breaches(&file), ["src/core/table.rs:3: `core` must not import `engine`"]);
}
