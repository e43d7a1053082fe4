//! Guards of the house rules that no compiler or linter knows: layers, absences, sizes, words, the API's comments, pages.
//!
//! Each module holds one group of rules, a test that the repository keeps them and tests that a breach is seen.

mod absent;
mod layers;
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
