//! The address of the server, and which setting it came from.

use std::env::{self, VarError};
use std::fmt;
use std::path::Path;

use tonic::transport::Uri;

use crate::error::{Error, Result};

/// The variable that names the server.
const VARIABLE: &str = "JOBSTREAM_ADDRESS";

/// Where `jobstream dev` listens.
const DEFAULT: &str = "http://127.0.0.1:7070";

/// Where an address came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `--address`.
    Flag,
    /// `JOBSTREAM_ADDRESS`.
    Variable,
    /// Neither of them.
    Default,
}

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// With its scheme.
    pub(crate) uri: Uri,
    /// Where it came from.
    pub(crate) source: Source,
    /// Further flags that reach it, each with a space before it.
    flags: String,
}

impl Address {
    /// The flag, else the variable, else the default.
    ///
    /// # Errors
    ///
    /// If it is not `host:port`, `http://host:port` or `https://host:port`.
    pub(crate) fn resolve(flag: Option<&str>) -> Result<Self> {
        let variable = match env::var(VARIABLE) {
            Err(VarError::NotUnicode(value)) if flag.is_none() => {
                return Err(Error::usage(format!("{value:?} ({VARIABLE}) is not UTF-8")));
            }
            value => value.ok().filter(|value| !value.is_empty()),
        };
        Self::choose(flag, variable.as_deref())
    }

    fn choose(flag: Option<&str>, variable: Option<&str>) -> Result<Self> {
        let (text, source) = match (flag, variable) {
            (Some(flag), _) => (flag, Source::Flag),
            (None, Some(variable)) => (variable, Source::Variable),
            (None, None) => (DEFAULT, Source::Default),
        };
        let uri = parse(text).map_err(|problem| {
            Error::usage(format!("{text:?} ({source}) is not an address: {problem}"))
                .hint("write host:port, such as 127.0.0.1:7070")
        })?;
        Ok(Self { uri, source, flags: String::new() })
    }

    /// Whether connections to it are TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Adds a flag that suggested commands need to reach this server.
    pub(crate) fn add_flag(&mut self, name: &str, file: &Path) {
        self.flags += &format!(" {name} {}", file.display());
    }

    /// The flags that a suggested command needs to reach this server, each with a space before it; empty unless the address
    /// or the files of TLS came from flags.
    pub(crate) fn as_flag(&self) -> String {
        match self.source {
            Source::Flag => format!(" --address {}{}", self.url(), self.flags),
            Source::Variable | Source::Default => self.flags.clone(),
        }
    }

    /// Without where it came from.
    pub(crate) fn url(&self) -> String {
        self.uri.to_string().trim_end_matches('/').to_owned()
    }
}

fn parse(text: &str) -> Result<Uri, String> {
    let with_scheme = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let uri: Uri = with_scheme.parse().map_err(|error| format!("{error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err("only http and https are supported".to_owned()),
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("the host is missing".to_owned());
    }
    match uri.port_u16() {
        Some(port) if port != 0 => {}
        _ => return Err("the port is missing".to_owned()),
    }
    match uri.path_and_query().map_or("/", |path| path.as_str()) {
        "" | "/" => Ok(uri),
        path => Err(format!("it has a path, {path}")),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "from --address",
            Self::Variable => "from JOBSTREAM_ADDRESS",
            Self::Default => "the default address",
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.url(), self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_variable_over_the_default() {
        let chosen = |flag, variable| Address::choose(flag, variable).expect("an address").to_string();
        assert_eq!(chosen(Some("a:1"), Some("b:2")), "http://a:1 (from --address)");
        assert_eq!(chosen(None, Some("http://b:2/")), "http://b:2 (from JOBSTREAM_ADDRESS)");
        assert_eq!(chosen(None, None), "http://127.0.0.1:7070 (the default address)");
    }

    #[test]
    fn only_a_flag_is_repeated_in_the_command_to_come_back() {
        let again = |flag| Address::choose(flag, Some("b:2")).expect("an address").as_flag();
        assert_eq!(again(Some("[::1]:7070")), " --address http://[::1]:7070");
        assert_eq!(again(None), "");
    }

    #[test]
    fn flags_of_files_are_repeated_too() {
        let mut address = Address::choose(None, Some("https://b:2")).expect("an address");
        assert!(address.is_https());
        address.add_flag("--ca", Path::new("ca.crt"));
        assert_eq!(address.as_flag(), " --ca ca.crt");
    }

    #[test]
    fn an_invalid_address_is_reported_with_its_source() {
        for text in ["", "host", "host:0", "https://host", "ftp://host:1", "host:1/path", "a b:1", ":1"] {
            let error = Address::choose(Some(text), None).expect_err(text);
            assert!(error.message.contains("from --address"), "{error:?}");
        }
    }
}
