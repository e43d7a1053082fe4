//! Words that no name, comment, message or page uses, because the field has a standard term.

use crate::assert_none;
use crate::source::{File, all_files};

/// A word or phrase, and the terms to use instead.
const WORDS: [(&str, &str); 30] = [
    ("anew", "again, compaction"),
    ("chill", "evict"),
    ("cold", "evicted"),
    ("cool", "evict"),
    ("crowded", "full, over capacity"),
    ("desk", "name the component"),
    ("farewell", "guard, shutdown"),
    ("gave back", "returned, released"),
    ("give back", "return, release, reclaim"),
    ("given back", "returned, released, reclaimed"),
    ("gives back", "returns, releases, reclaims"),
    ("hardly", "rarely, or the figure"),
    ("hasten", "shorten"),
    ("hastened", "shortened"),
    ("liken", "compare"),
    ("nearness", "level"),
    ("overdraw", "exceed"),
    ("planted", "injected"),
    ("relive", "replay"),
    ("relived", "replayed"),
    ("room", "space, capacity"),
    ("rooms", "space, capacity"),
    ("tell", "notify, return"),
    ("tells", "notifies, returns"),
    ("told", "notified, returned"),
    ("torture", "fault injection, crash test"),
    ("waste", "garbage"),
    ("what came of", "outcome"),
    ("whoever", "name the caller"),
    ("whom", "name the caller"),
];
/// Files that name a former option.
const ALLOWED: [(&str, &str); 3] = [
    ("CHANGELOG.md", "waste"),
    ("src/bin/jobstream/config.rs", "waste"),
    ("src/bin/jobstream/config/check.rs", "waste"),
];

/// The words of a line in lower case, each between spaces; an identifier is split at `_` and before capitals.
fn words_of(line: &str) -> String {
    let mut words = String::from(" ");
    let mut was_lower = false;
    for c in line.chars() {
        if c.is_uppercase() && was_lower {
            words.push(' ');
        }
        was_lower = c.is_lowercase();
        if c.is_alphanumeric() {
            words.extend(c.to_lowercase());
        } else if !words.ends_with(' ') {
            words.push(' ');
        }
    }
    words.push(' ');
    words
}

fn breaches(file: &File) -> Vec<String> {
    let is_allowed = |word: &str| ALLOWED.contains(&(file.path.as_str(), word));
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let words = words_of(line);
        for (word, term) in WORDS {
            if words.contains(&format!(" {word} ")) && !is_allowed(word) {
                found.push(format!("{}:{}: `{word}`, use: {term}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn every_word_is_a_standard_term() {
    let is_checked = |file: &File| !["tests/tidy/", "tests/data/"].iter().any(|at| file.path.starts_with(at));
    assert_none(all_files().iter().filter(|file| is_checked(file)).flat_map(breaches).collect());
}

#[test]
fn a_word_is_seen_in_prose_and_in_each_form_of_a_name() {
    for text in
        ["// The worker is told.", "fn told()", "let is_told = 1;", "struct ToldWorker;", "const TOLD: u8"]
    {
        assert_eq!(breaches(&File::sample("src/a.rs", text)).len(), 1, "{text}");
    }
    assert_eq!(breaches(&File::sample("docs/a.md", "memory that is *given back*")).len(), 1);
}

#[test]
fn a_part_of_a_longer_word_is_no_breach() {
    assert_none(breaches(&File::sample("src/a.rs", "// The mushroom, the headroom, a scaffold, a bellow.")));
}
