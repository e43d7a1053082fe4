//! Errors of the command line, with a hint for commands and flags that have another name here.

use std::env;
use std::io::{self, IsTerminal};

use clap::ColorChoice;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::config::{self, LogFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::style::Style;
use crate::stderr;

/// Commands by the names that people try.
const COMMANDS: [(&str, &str); 30] = [
    ("cancel", "jobstream jobs cancel ID"),
    ("kill", "jobstream jobs cancel ID"),
    ("retry", "jobstream jobs retry ID"),
    ("list", "jobstream jobs ls"),
    ("ls", "jobstream jobs ls"),
    ("ps", "jobstream jobs ls"),
    ("status", "jobstream jobs get ID"),
    ("get", "jobstream jobs get ID"),
    ("show", "jobstream jobs get ID"),
    ("describe", "jobstream jobs get ID"),
    ("inspect", "jobstream jobs get ID"),
    ("job", "jobstream jobs get ID"),
    ("rm", "jobstream jobs rm ID"),
    ("delete", "jobstream jobs rm ID"),
    ("logs", "jobstream watch ID"),
    ("tail", "jobstream watch ID"),
    ("follow", "jobstream watch ID"),
    ("wait", "jobstream result ID --wait"),
    ("enqueue", "jobstream submit KIND PAYLOAD"),
    ("push", "jobstream submit KIND PAYLOAD"),
    ("pause", "jobstream queues pause QUEUE"),
    ("resume", "jobstream queues resume QUEUE"),
    ("purge", "jobstream queues purge QUEUE"),
    ("queue", "jobstream queues ls"),
    ("drain", "jobstream workers drain WORKER"),
    ("server", "jobstream serve"),
    ("contexts", "jobstream context ls"),
    ("login", "jobstream context add NAME --address ADDRESS --token-stdin"),
    ("tokens", "jobstream token new NAME --grant GRANT"),
    ("version", "jobstream --version"),
];

/// Verbs of `jobs`, `queues`, `workers` and `context` by the names that people try.
const VERBS: [(&str, &str, &str); 13] = [
    ("jobs", "list", "ls"),
    ("jobs", "show", "get"),
    ("jobs", "status", "get"),
    ("jobs", "delete", "rm"),
    ("jobs", "remove", "rm"),
    ("jobs", "stop", "cancel"),
    ("queues", "list", "ls"),
    ("workers", "list", "ls"),
    ("context", "list", "ls"),
    ("context", "create", "add"),
    ("context", "remove", "rm"),
    ("context", "delete", "rm"),
    ("context", "current", "show"),
];

/// Prints why the command line was refused, or the help or version that it requested.
pub(crate) fn report(refused: &clap::Error) -> Exit {
    let words: Vec<_> = env::args_os().skip(1).filter_map(|word| word.into_string().ok()).collect();
    let first = words.first().map(String::as_str).unwrap_or_default();
    let format = config::early_log_format();
    stderr::set_format(format);
    let is_json = format == LogFormat::Json && refused.use_stderr();
    if let Some(error) = with_hint(refused, first).or_else(|| is_json.then(|| as_error(refused))) {
        error.print(Style::new(ColorChoice::Auto, io::stderr().is_terminal()));
        stderr::flush(stderr::END_FLUSH_MAX);
        return error.exit;
    }
    // Nothing can be done if the stream is closed.
    let _ = refused.print();
    if refused.use_stderr() { Exit::Usage } else { Exit::Ok }
}

/// The error of clap without its layout, for a log of JSON lines.
fn as_error(refused: &clap::Error) -> Error {
    let text = refused.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = lines.next().unwrap_or_default();
    let error = Error::usage(message.strip_prefix("error: ").unwrap_or(message));
    lines.fold(error, |error, line| match line.strip_prefix("tip: ") {
        Some(tip) => error.hint(tip),
        None => error.detail(line),
    })
}

/// The error with the command that does what was meant; `None` if it is not known.
fn with_hint(refused: &clap::Error, first: &str) -> Option<Error> {
    let text = |kind| match refused.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match refused.kind() {
        ErrorKind::InvalidSubcommand => unknown_command(text(ContextKind::InvalidSubcommand)?, first),
        ErrorKind::UnknownArgument if first == "serve" && text(ContextKind::InvalidArg)? == "--exec" => {
            let error = Error::usage("`jobstream serve` has no flag --exec");
            Some(
                error
                    .hint("name the program in the config file as [commands.KIND]: `jobstream serve --help`")
                    .hint("or run it with `jobstream dev --exec` or `jobstream worker --exec`"),
            )
        }
        _ => None,
    }
}

fn unknown_command(name: &str, first: &str) -> Option<Error> {
    if let "jobs" | "queues" | "workers" | "context" = first {
        let (_, _, verb) = VERBS.iter().find(|(noun, verb, _)| (*noun, *verb) == (first, name))?;
        let error = Error::usage(format!("there is no command `jobstream {first} {name}`"));
        return Some(error.hint(format!("use `jobstream {first} {verb}`")));
    }
    let (_, command) = COMMANDS.iter().find(|(known, _)| *known == name)?;
    let error =
        Error::usage(format!("there is no command `jobstream {name}`")).hint(format!("use `{command}`"));
    Some(match name {
        "logs" => error.hint("`jobstream log` is for the write-ahead log of a stopped server"),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::Cli;

    fn exists(words: &[&str]) -> bool {
        let cli = Cli::command();
        words.iter().try_fold(&cli, |parent, word| parent.find_subcommand(word)).is_some()
    }

    #[test]
    fn every_hint_names_a_command_that_exists() {
        for (name, command) in COMMANDS {
            assert!(!exists(&[name]), "{name}");
            let words = command.split(' ').skip(1).filter(|word| !word.starts_with('-'));
            let words: Vec<_> =
                words.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
            assert!(exists(&words), "{command}");
        }
        for (noun, name, verb) in VERBS {
            assert!(!exists(&[noun, name]) && exists(&[noun, verb]), "{noun} {name}");
        }
    }

    #[test]
    fn a_verb_of_another_tool_is_hinted_at() {
        let refused = Cli::try_parse_from(["jobstream", "jobs", "list"]).expect_err("no such verb");
        let error = with_hint(&refused, "jobs").expect("a hint");
        assert_eq!(error.hints, ["use `jobstream jobs ls`"]);
    }
}
