//! The log format of a server or worker whose command line or config file is invalid, from what can still be read of them.

use std::env;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use toml::de::DeTable;

use super::LogFormat;

/// Commands with a log.
const COMMANDS: [&str; 3] = ["dev", "serve", "worker"];
/// The command whose config file has the format.
const COMMAND_WITH_FILE: &str = "serve";

/// The log format that this process was started with: that of the flag, else of the variable, else of the config file. A value
/// that is invalid or cannot be read is skipped.
pub(crate) fn early_log_format() -> LogFormat {
    let words: Vec<_> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let Some(command) = command(&words).filter(|command| COMMANDS.contains(command)) else {
        return LogFormat::Text;
    };
    let variable = |name| env::var(name).ok();
    let flag = |name| flag(&words, name).map(str::to_owned);
    let parse = |value: String| LogFormat::from_str(&value, false).ok();
    let of_file = || {
        let path = flag("--config").or_else(|| variable("JOBSTREAM_CONFIG"))?;
        in_file(Path::new(&path)).filter(|_| command == COMMAND_WITH_FILE)
    };
    flag("--log-format")
        .and_then(parse)
        .or_else(|| variable("JOBSTREAM_LOG_FORMAT").and_then(parse))
        .or_else(|| of_file().and_then(parse))
        .unwrap_or_default()
}

/// The first word that is neither a flag nor its value.
fn command(words: &[String]) -> Option<&str> {
    let mut words = words.iter().map(String::as_str);
    loop {
        match words.next()? {
            // The only global flag with a value.
            "--color" => _ = words.next(),
            flag if flag.starts_with('-') => {}
            command => return Some(command),
        }
    }
}

/// The value of a flag, as `--name value` or `--name=value`.
fn flag<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let mut words = words.iter().map(String::as_str).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        match word.strip_prefix(name) {
            Some("") => return words.next(),
            Some(rest) if rest.starts_with('=') => return rest.get(1..),
            _ => {}
        }
    }
    None
}

/// The format in a config file, whatever else it holds, valid or not.
fn in_file(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (file, _errors) = DeTable::parse_recoverable(&text);
    file.get_ref().get("log")?.get_ref().get("format")?.get_ref().as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_command_is_the_first_word_that_is_no_flag() {
        for (line, expected) in [
            ("serve --bad", Some("serve")),
            ("-q --color never serve", Some("serve")),
            ("--color=never submit serve", Some("submit")),
            ("--help", None),
        ] {
            assert_eq!(command(&words(line)), expected, "{line}");
        }
    }

    #[test]
    fn a_flag_has_its_value_after_a_space_or_an_equals_sign() {
        for (line, expected) in [
            ("serve --log-format json --bad", Some("json")),
            ("serve --log-format=json", Some("json")),
            ("serve --log-formats json", None),
            ("serve --log-format", None),
            ("serve -- --log-format json", None),
        ] {
            assert_eq!(flag(&words(line), "--log-format"), expected, "{line}");
        }
    }
}
