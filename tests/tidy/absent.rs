//! What is absent on purpose: I/O, time and chance in the pure rooms, the process and its environment in the library.

use crate::assert_none;
use crate::source::{File, code_of, is_word, rust_files};

/// Never in `core` and `job`, which must do the same again when asked the same.
const IMPURE: [&str; 9] =
    ["async", "tokio", "Instant", "SystemTime", "Clock", "std::fs", "std::net", "std::thread", "rand::rng"];
/// Never in the library: they belong to whoever owns the process.
const PROCESS: [&str; 5] =
    ["env::var", "env::vars", "env::args", "process::exit", "tracing::subscriber::set_global_default"];

fn breaches(file: &File) -> Vec<String> {
    let Some(inner) = file.path.strip_prefix("src/").filter(|inner| !inner.starts_with("bin/")) else {
        return Vec::new();
    };
    let room = inner.split(['/', '.']).next().unwrap_or_default();
    let impure: &[&str] = if matches!(room, "core" | "job") && !file.is_test() { &IMPURE } else { &[] };
    let lines = file.lines_before_tests();
    let mut found = Vec::new();
    for (index, line) in code_of(&file.text).lines().take(lines).enumerate() {
        let absent = PROCESS.iter().chain(impure).filter(|name| names(line, name));
        found.extend(absent.map(|name| format!("{}:{}: `{name}` in `{room}`", file.path, index + 1)));
    }
    found
}

/// Whether code has this path, not as a part of a longer name.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + path.len()..].chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[test]
fn what_is_absent_on_purpose_stays_absent() {
    assert_none(rust_files().iter().flat_map(breaches).collect());
}

#[test]
fn what_must_be_absent_is_seen() {
    for (path, text) in [
        ("src/core.rs", "use tokio::sync::Notify;"),
        ("src/core/table.rs", "    pub async fn get() {}"),
        ("src/job/retry.rs", "let now = std::time::Instant::now();"),
        ("src/job.rs", "let seed: u64 = rand::rng().random();"),
        ("src/engine.rs", "let path = std::env::var(\"PATH\");"),
        ("src/worker/local.rs", "std::process::exit(1)"),
    ] {
        assert_eq!(breaches(&File::sample(path, text)).len(), 1, "{path}: {text}");
    }
}

#[test]
fn what_may_be_there_is_no_breach() {
    for (path, text) in [
        ("src/engine.rs", "use tokio::time::Instant;\nasync fn f() {}"),
        ("src/core.rs", "//! No async, no tokio.\nstruct Instantly;"),
        ("src/core.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::clock::Clock;\n}"),
        ("src/core/tests/fixture.rs", "use crate::clock::Clock;"),
        ("src/bin/jobstream/main.rs", "std::process::exit(1)"),
    ] {
        assert_none(breaches(&File::sample(path, text)));
    }
}
