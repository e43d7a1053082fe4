//! Checks of rules that neither the compiler nor a linter knows: layers, absences, sizes, words, the comments of the API,
//! the pages and the code map.
//!
//! Each module has one group of rules: a test that the repository follows them, and tests that a breach is detected.

mod absent;
mod commit;
mod core_tree;
mod features;
mod language;
mod layers;
mod map;
mod pages;
mod proto;
mod sizes;
mod source;
mod words;

/// Fails with every breach that was found, one a line.
#[track_caller]
fn assert_none(breaches: Vec<String>) {
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}
