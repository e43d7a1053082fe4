//! The commands and flags that pages name in text exist.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::source::{code_spans, pages};

/// Pages that name flags of other programs.
const OTHER_PROGRAMS: [&str; 3] = ["CONTRIBUTING.md", "ARCHITECTURE.md", "docs/performance.md"];

/// The flags of every command, such as `jobs ls`. Those of the empty command are global.
type Commands = BTreeMap<String, BTreeSet<String>>;

fn help(words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    let output = command.args(words).arg("--help").output().expect("it runs");
    String::from_utf8(output.stdout).expect("text")
}

fn read(words: &[&str], commands: &mut Commands) {
    let help = help(words);
    let words_of_flags = help.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).map(str::to_owned);
    commands.insert(words.join(" "), words_of_flags.filter(|word| word.starts_with("--")).collect());
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in listed.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap_or_default();
        if line.starts_with("  ") && !line.starts_with("   ") && name != "help" {
            read(&[words, &[name]].concat(), commands);
        }
    }
}

/// Returns the error of a code span with an unknown command or flag.
fn breach(span: &str, commands: &Commands) -> Option<String> {
    let mut words = span.split_whitespace().peekable();
    let is_command = words.next_if_eq(&"jobstream").is_some();
    let mut command = String::new();
    while let Some(word) = words.next_if(|word| commands.contains_key(format!("{command} {word}").trim())) {
        command = format!("{command} {word}").trim().to_owned();
    }
    if is_command && command.is_empty() && words.peek().is_some_and(|word| !word.starts_with('-')) {
        return Some(format!("no such command: `{span}`"));
    }
    let flags =
        words.filter(|word| word.starts_with("--")).map(|word| word.split('=').next().unwrap_or(word));
    let missing = flags.into_iter().find(|flag| match is_command {
        true => !commands[&command].contains(*flag),
        false => !commands.values().any(|flags| flags.contains(*flag)),
    });
    missing.map(|flag| format!("no such flag {flag}: `{span}`"))
}

fn is_of_the_binary(span: &str) -> bool {
    span.starts_with("jobstream ") || span.starts_with("--")
}

#[test]
fn every_command_and_flag_in_a_page_exists() {
    let mut commands = Commands::new();
    read(&[], &mut commands);
    let mut seen = 0;
    for (path, text) in pages() {
        if OTHER_PROGRAMS.contains(&path.as_str()) {
            continue;
        }
        for span in code_spans(&text).into_iter().filter(|span| is_of_the_binary(span)) {
            seen += 1;
            assert_eq!(breach(span, &commands), None, "{path}");
        }
    }
    assert!(seen > 40, "only {seen} commands and flags are found");
}

#[test]
fn an_unknown_command_or_flag_is_detected() {
    let mut commands = Commands::new();
    read(&[], &mut commands);
    for span in
        ["jobstream workers drain NAME", "jobstream serve --data DIR", "--data DIR", "jobstream --version"]
    {
        assert_eq!(breach(span, &commands), None);
    }
    for span in ["jobstream gone", "jobstream jobs ls --data DIR", "--gone 5", "jobstream serve --dat=DIR"] {
        assert!(breach(span, &commands).is_some(), "{span}");
    }
}
