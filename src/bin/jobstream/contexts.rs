//! The contexts: servers by name, with what their calls need. They are stored in `contexts.toml` of the user's
//! configuration directory.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::private_file::{self, Access};

/// Longest name of a context, in characters.
const NAME_LENGTH_MAX: usize = 64;

/// A token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A server and what its calls need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// `https://host:port`.
    pub(crate) address: String,
    /// The files are absolute paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
    /// A token may be sent in plain text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) insecure_token: bool,
}

/// The content of the file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that calls use unless they name a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file. Without a file, or without a home directory, there are no contexts.
    ///
    /// # Errors
    ///
    /// If it is unreadable, invalid, or holds a token that other users can read.
    pub(crate) fn load() -> Result<Self> {
        match path() {
            Some(path) => Self::load_from(&path),
            None => Ok(Self::default()),
        }
    }

    fn load_from(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::usage(format!("cannot read the contexts in {shown}: {error}"))),
        };
        let contexts: Self = config::parse(&text, &shown.to_string())?;
        let holds_token = contexts.contexts.values().any(|context| context.token.is_some());
        // A file that is gone meanwhile is not open to others.
        if holds_token && private_file::is_open_to_others(path).unwrap_or(false) {
            let error = Error::usage(format!("other users can read the tokens in {shown}"));
            return Err(error.hint(format!("run `chmod 600 {shown}`")));
        }
        Ok(contexts)
    }

    /// The context of this name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn named(&self, name: &str) -> Result<&Context> {
        self.contexts.get(name).ok_or_else(|| {
            let error = Error::new(Exit::NotFound, format!("there is no context {name:?}"));
            let names: Vec<_> = self.contexts.keys().map(String::as_str).collect();
            match names.is_empty() {
                true => error.hint("`jobstream context add NAME --address ADDRESS` adds one"),
                false => error.hint(format!("there are: {}", names.join(", "))),
            }
        })
    }
}

/// Changes the contexts: reads the file, and replaces it if the change succeeds. No other process changes it meanwhile.
///
/// # Errors
///
/// The error of the change; if there is no home directory, or the file cannot be read or written.
pub(crate) fn change<T>(change: impl FnOnce(&mut Contexts) -> Result<T>) -> Result<T> {
    let path = path()
        .ok_or_else(|| Error::usage("there is no directory for contexts: set HOME or XDG_CONFIG_HOME"))?;
    let failed =
        |error| Error::new(Exit::Other, format!("cannot write the contexts to {}: {error}", path.display()));
    let directory = private_file::directory_of(&path);
    private_file::create_directory(directory).map_err(failed)?;
    let _lock = private_file::lock(directory).map_err(failed)?;
    let mut contexts = Contexts::load_from(&path)?;
    let changed = change(&mut contexts)?;
    let text = toml::to_string(&contexts).map_err(|error| failed(io::Error::other(error)))?;
    private_file::replace(&path, &text, Access::Private).map_err(failed)?;
    Ok(changed)
}

/// Parses the name of a context.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match text {
        "" => Err("is empty".to_owned()),
        _ if text.len() > NAME_LENGTH_MAX => Err(format!("is longer than {NAME_LENGTH_MAX} characters")),
        _ if !text.chars().all(is_valid) => Err("use letters, digits and . _ -".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// `$XDG_CONFIG_HOME/jobstream/contexts.toml`, or in `~/.config`.
fn path() -> Option<PathBuf> {
    let directory = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")))?;
    Some(config.join("jobstream").join("contexts.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_stored_and_not_shown() {
        let context = Context {
            address: "https://h:1".to_owned(),
            token: Some(Secret("jst_a".to_owned())),
            ..Context::default()
        };
        let contexts =
            Contexts { current: Some("a".to_owned()), contexts: [("a".to_owned(), context)].into() };
        assert!(!format!("{contexts:?}").contains("jst_a"));
        let text = toml::to_string(&contexts).expect("TOML");
        assert_eq!(text, "current = \"a\"\n\n[contexts.a]\naddress = \"https://h:1\"\ntoken = \"jst_a\"\n");
        assert_eq!(config::parse::<Contexts>(&text, "contexts.toml").expect("valid"), contexts);
    }

    #[test]
    fn a_name_is_short_and_plain() {
        assert_eq!(name("prod-1.eu").as_deref(), Ok("prod-1.eu"));
        for wrong in ["", "a b", "a/b", &"a".repeat(65)] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
