//! The files of `src/core` form a tree: none of them needs itself, directly or through others.
//!
//! A file needs another if it imports from it, or if it calls a method of `Core` that the other defines.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::layers::names_after;
use crate::source::{File, code_of, is_word, rust_files};

/// The file that stands above the others.
const ROOT: &str = "core";

/// The files, and those that each of them needs.
type Needs = BTreeMap<String, BTreeSet<String>>;

/// The name of a file's module, if it is one of `core` and no test.
fn module(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("src/core")?.strip_suffix(".rs")?;
    match inner.strip_prefix('/') {
        None => Some(ROOT),
        Some(name) => Some(name).filter(|name| *name != "tests" && !name.contains('/')),
    }
}

/// The word behind each of these prefixes, and what follows the word.
fn words_after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    rests_after(code, prefix).filter_map(|rest| {
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        (end > 0).then(|| rest.split_at(end))
    })
}

fn rests_after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let is_whole = |at: usize| !code[..at].ends_with(|c: char| is_word(c) || c == ':');
    code.match_indices(prefix).filter(move |(at, _)| is_whole(*at)).map(|(at, _)| &code[at + prefix.len()..])
}

/// The code of each `impl Core` block.
fn blocks_of_core(code: &str) -> impl Iterator<Item = &str> {
    code.split("\nimpl Core {\n").skip(1).map(|rest| rest.split("\n}\n").next().unwrap_or(rest))
}

fn needs(files: &[File]) -> Needs {
    let files = files.iter().filter_map(|file| Some((module(&file.path)?, product_code(&file.text))));
    let files: Vec<_> = files.collect();
    let mut defined = BTreeMap::new();
    for (name, code) in &files {
        for (method, _) in blocks_of_core(code).flat_map(|block| words_after(block, "fn ")) {
            defined.insert(method.to_owned(), (*name).to_owned());
        }
    }
    let mut needs = Needs::new();
    for (name, code) in &files {
        // What is no file of the folder is defined in the file above it, which needs all of them.
        let is_file = |found: &str| files.iter().any(|(known, _)| *known == found);
        let imports = rests_after(code, "super::").flat_map(names_after);
        let imports = imports.map(|found| if is_file(&found) { found } else { ROOT.to_owned() });
        let mut needed: BTreeSet<String> = match *name {
            ROOT => files.iter().map(|(name, _)| (*name).to_owned()).collect(),
            _ => imports.collect(),
        };
        let calls = blocks_of_core(code)
            .flat_map(|block| words_after(block, "self.").chain(words_after(block, "core.")))
            .filter(|(_, rest)| rest.starts_with('('));
        needed.extend(calls.filter_map(|(method, _)| defined.get(method).cloned()));
        needed.remove(*name);
        needs.insert((*name).to_owned(), needed);
    }
    needs
}

fn product_code(text: &str) -> String {
    let code = code_of(text);
    code.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// The files that need each other in a circle, and those that need one of these.
fn circles(mut needs: Needs) -> Vec<String> {
    loop {
        let leaves: Vec<_> =
            needs.iter().filter(|(_, needed)| needed.is_empty()).map(|(name, _)| name.clone()).collect();
        if leaves.is_empty() {
            break;
        }
        for leaf in leaves {
            needs.remove(&leaf);
            for needed in needs.values_mut() {
                needed.remove(&leaf);
            }
        }
    }
    let circle = |(name, needed)| format!("src/core/{name}.rs is in a circle through {needed:?}");
    needs.into_iter().map(circle).collect()
}

#[test]
fn files_of_core_form_a_tree() {
    let needs = needs(&rust_files());
    assert!(needs.len() > 20, "{needs:?}");
    assert!(needs["lifecycle"].contains("dispatch"), "calls of methods are seen");
    assert_none(circles(needs));
}

#[test]
fn a_circle_is_seen_through_imports_and_through_methods() {
    let sample = |name: &str, text: &str| File::sample(&format!("src/core/{name}.rs"), text);
    let table = || sample("table", "use super::entry::Entry;\n");
    assert_none(circles(needs(&[table(), sample("entry", "//! An entry.\n")])));
    for import in
        ["use super::table::{Key, Table};", "use super::{table};", "fn f(table: &super::table::Table) {}"]
    {
        assert_eq!(circles(needs(&[table(), sample("entry", import)])).len(), 2, "{import}");
    }
    let high = || sample("high", "\nimpl Core {\n    fn high(&self) {\n        self.low();\n    }\n}\n");
    let low = |call: &str| sample("low", &format!("\nimpl Core {{\n    fn low(&self) {{{call}}}\n}}\n"));
    assert_none(circles(needs(&[high(), low("")])));
    assert_eq!(circles(needs(&[high(), low("self.high();")])).len(), 2);
}

#[test]
fn an_import_from_the_file_above_is_a_circle() {
    let root = File::sample("src/core.rs", "mod table;\n");
    let table = File::sample("src/core/table.rs", "use super::Core;\n");
    assert_eq!(circles(needs(&[root, table])).len(), 2);
}
