//! `jobstream token new`: makes a token, and its entry for the tokens file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use jobstream::access::{Grant, Grants};
use jobstream::error::ErrorKind;
use serde::{Deserialize, Serialize};

use crate::config::{self, tokens};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::Output;
use crate::private_file::{self, Access};
use crate::units;

/// The beginning of a token, by which servers and scanners of source code know it.
const PREFIX: &str = "jst_";
/// Random bytes of a token.
const RANDOM_BYTES: usize = 32;

const EXAMPLES: &str = "\
Prints the token on stdout, once: it cannot be shown again. Its entry goes to
stderr, or to the end of a tokens file, which a running server reads again at
SIGHUP. A name may have several tokens, so that one can replace another.

A grant is ACTION [own] [queue=PATTERN] [kind=PATTERN]. ACTION is submit, list,
read, control, work, admin, metrics or all; * in a pattern matches any
characters.

Examples:
  jobstream token new mail --grant 'submit queue=mail' --grant 'read own'
  jobstream token new workers --grant work --expires 30d --file tokens.toml \\
    > workers.token";

/// Make a token
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct New {
    /// Name of its owner, which the server shows and logs
    #[arg(value_parser = name)]
    name: String,
    /// What it allows; repeatable
    #[arg(long = "grant", value_name = "GRANT", value_parser = grant, required = true)]
    grants: Vec<Grant>,
    /// When it expires: a span from now, or a time [default: never]
    #[arg(long, value_name = "SPAN", value_parser = expiry)]
    expires: Option<SystemTime>,
    /// Tokens file to append the entry to
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A tokens file, as far as its entries are checked here.
#[derive(Debug, Deserialize)]
struct TokensFile {
    #[serde(default)]
    token: Vec<NamedToken>,
}

#[derive(Debug, Deserialize)]
struct NamedToken {
    #[serde(default)]
    name: String,
}

/// The entry of a token.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    sha256: String,
    grants: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<toml::value::Datetime>,
}

impl New {
    /// Runs the command.
    pub(super) fn run(self, output: &Output) -> Result<Exit> {
        let Self { name, grants, expires, file } = self;
        Grants::new(grants.clone()).map_err(|error| Error::usage(error.to_string()))?;
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random()?));
        let entry = Entry {
            name: name.clone(),
            sha256: super::sha256(&token),
            grants: grants.iter().map(ToString::to_string).collect(),
            expires: expires.map(datetime).transpose()?,
        };
        let text = toml::to_string(&entry).map_err(|error| Error::new(Exit::Other, error.to_string()))?;
        let text = format!("[[token]]\n{text}");
        match file {
            Some(file) => {
                let former = append(&file, &name, &text)?;
                output.line(&token)?;
                output.notice(&format!("added {name} to {}", file.display()));
                if former > 0 {
                    output.notice(&format!(
                        "{name} has {} tokens now: remove the former entry when it is unused",
                        former + 1
                    ));
                }
            }
            None => {
                output.line(&token)?;
                // Also if quiet: nothing else has the entry.
                text.lines().for_each(|line| output.report(line));
            }
        }
        Ok(Exit::Ok)
    }
}

fn random() -> Result<[u8; RANDOM_BYTES]> {
    let mut bytes = [0; RANDOM_BYTES];
    let failed = |error| Error::new(Exit::Other, format!("cannot get random bytes of the system: {error}"));
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(io::Error::from)
        .and_then(|filled| if filled == RANDOM_BYTES { Ok(()) } else { Err(io::Error::other("too few")) })
        .map_err(failed)?;
    Ok(bytes)
}

/// Appends an entry to the file, or creates it. Returns how many entries had the name before.
fn append(path: &Path, name: &str, entry: &str) -> Result<usize> {
    let shown = path.display().to_string();
    let failed = |error: io::Error| Error::new(Exit::Other, format!("cannot write {shown}: {error}"));
    let _lock = private_file::lock(private_file::directory_of(path)).map_err(failed)?;
    let former = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        former => former.map_err(|error| Error::usage(format!("cannot read {shown}: {error}")))?,
    };
    let tokens: TokensFile = config::parse(&former, &shown)?;
    let former_entries = tokens.token.iter().filter(|token| token.name == name).count();
    let separator = match former.as_str() {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let text = format!("{former}{separator}{entry}");
    // A file that ends within a string would hide the entry.
    let appended: TokensFile = config::parse(&text, &shown)?;
    if appended.token.len() != tokens.token.len() + 1 {
        return Err(Error::usage(format!("{shown} cannot be appended to: check its end")));
    }
    private_file::replace(path, &text, Access::Kept).map_err(failed)?;
    Ok(former_entries)
}

fn name(text: &str) -> Result<String, String> {
    tokens::check_name(text).map(|()| text.to_owned())
}

fn grant(text: &str) -> Result<Grant, String> {
    Grant::parse(text).map_err(|error| match error.kind() {
        // Without the field: the flag is named beside it.
        ErrorKind::InvalidField(violations) => violations[0].description.clone(),
        _ => error.to_string(),
    })
}

/// Parses a span from now, or a time.
fn expiry(text: &str) -> Result<SystemTime, String> {
    let from_now = |span: Duration| units::now().checked_add(span).ok_or_else(|| "is too long".to_owned());
    let time = match (units::duration(text), units::timestamp(text)) {
        (Ok(span), _) => from_now(span)?,
        (Err(_), Ok(time)) => SystemTime::try_from(time).map_err(|error| error.to_string())?,
        (Err(problem), Err(_)) => return Err(format!("{problem}, or a time: 2027-01-01T00:00:00Z")),
    };
    match time > units::now() {
        true => Ok(time),
        false => Err("is not in the future".to_owned()),
    }
}

/// The time for TOML, in whole seconds.
fn datetime(time: SystemTime) -> Result<toml::value::Datetime> {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.parse().map_err(|error| Error::usage(format!("--expires: {error}")))
}
