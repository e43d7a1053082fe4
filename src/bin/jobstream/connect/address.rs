//! The address of the server, and which setting it came from.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use tonic::transport::Uri;

use crate::error::{Error, Result};

/// Where `jobstream dev` listens.
const DEFAULT: &str = "http://127.0.0.1:7070";

/// Where an address came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `--address`.
    Flag,
    /// `JOBSTREAM_ADDRESS`.
    Variable,
    /// The context of this name. `by_flag` if `--context` names it.
    Context { name: String, by_flag: bool },
    /// None of them.
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
    /// The address that a flag, a variable or a context holds.
    ///
    /// # Errors
    ///
    /// If it is not `host:port`, `http://host:port` or `https://host:port`.
    pub(crate) fn new(text: &str, source: Source) -> Result<Self> {
        let uri = parse(text).map_err(|problem| {
            Error::usage(format!("{text:?} ({source}) is not an address: {problem}"))
                .hint("write host:port, such as 127.0.0.1:7070")
        })?;
        Ok(Self { uri, source, flags: String::new() })
    }

    /// The address without any setting.
    ///
    /// # Errors
    ///
    /// Never: it is valid.
    pub(super) fn default() -> Result<Self> {
        Self::new(DEFAULT, Source::Default)
    }

    /// Whether connections to it are TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Whether `jobstream dev` on this machine can be the server.
    pub(crate) fn is_of_dev(&self) -> bool {
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        is_loopback && !self.is_https()
    }

    /// Adds a flag with a file that suggested commands need to reach this server.
    pub(super) fn add_file(&mut self, name: &str, file: &Path) {
        self.flags += &format!(" {name} {}", file.display());
    }

    /// Adds a flag without a value.
    pub(super) fn add_flag(&mut self, name: &str) {
        self.flags += &format!(" {name}");
    }

    /// The flags that a suggested command needs to reach this server, each with a space before it; empty unless the address,
    /// the context or files came from flags.
    pub(crate) fn as_flag(&self) -> String {
        match &self.source {
            Source::Context { name, by_flag: true } => format!(" --context {name}{}", self.flags),
            Source::Flag => format!(" --address {}{}", self.url(), self.flags),
            Source::Variable | Source::Context { .. } | Source::Default => self.flags.clone(),
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
        _ if has_port(&uri) => return Err("the port is not a number from 1 to 65535".to_owned()),
        _ => return Err("the port is missing".to_owned()),
    }
    match uri.path_and_query().map_or("/", |path| path.as_str()) {
        "" | "/" => Ok(uri),
        path => Err(format!("it has a path, {path}")),
    }
}

/// Whether there is text after the colon of the port, such as a number above 65535.
fn has_port(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    after_host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("from --address"),
            Self::Variable => f.write_str("from JOBSTREAM_ADDRESS"),
            Self::Context { name, .. } => write!(f, "from the context {name}"),
            Self::Default => f.write_str("the default address"),
        }
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

    fn address(text: &str, source: Source) -> Address {
        Address::new(text, source).expect("an address")
    }

    fn context(by_flag: bool) -> Source {
        Source::Context { name: "prod".to_owned(), by_flag }
    }

    #[test]
    fn it_is_shown_with_its_source() {
        assert_eq!(address("a:1", Source::Flag).to_string(), "http://a:1 (from --address)");
        assert_eq!(
            address("http://b:2/", Source::Variable).to_string(),
            "http://b:2 (from JOBSTREAM_ADDRESS)"
        );
        assert_eq!(address("https://c:3", context(false)).to_string(), "https://c:3 (from the context prod)");
        let default = Address::default().expect("an address").to_string();
        assert_eq!(default, "http://127.0.0.1:7070 (the default address)");
    }

    #[test]
    fn only_a_flag_is_repeated_in_the_command_to_come_back() {
        assert_eq!(address("[::1]:7070", Source::Flag).as_flag(), " --address http://[::1]:7070");
        assert_eq!(address("https://c:3", context(true)).as_flag(), " --context prod");
        for source in [Source::Variable, context(false), Source::Default] {
            assert_eq!(address("b:2", source).as_flag(), "");
        }
    }

    #[test]
    fn only_a_plain_address_of_this_machine_can_be_a_dev_server() {
        for text in ["localhost:1", "127.0.0.1:7070", "[::1]:1"] {
            assert!(address(text, Source::Flag).is_of_dev(), "{text}");
        }
        for text in ["https://localhost:1", "jobs.lan:7070", "10.0.0.1:1"] {
            assert!(!address(text, Source::Flag).is_of_dev(), "{text}");
        }
    }

    #[test]
    fn flags_of_files_are_repeated_too() {
        let mut address = address("https://b:2", Source::Variable);
        assert!(address.is_https());
        address.add_file("--ca", Path::new("ca.crt"));
        address.add_flag("--insecure-token");
        assert_eq!(address.as_flag(), " --ca ca.crt --insecure-token");
    }

    #[test]
    fn a_port_out_of_range_is_not_called_missing() {
        for text in ["host:70000", "https://host:70000", "[::1]:70000", "host:0"] {
            let message = Address::new(text, Source::Flag).expect_err(text).message;
            assert!(message.ends_with("the port is not a number from 1 to 65535"), "{message}");
        }
        for text in ["host", "https://host", "[::1]", "host:"] {
            let message = Address::new(text, Source::Flag).expect_err(text).message;
            assert!(message.ends_with("the port is missing"), "{message}");
        }
    }

    #[test]
    fn an_invalid_address_is_reported_with_its_source() {
        for text in ["", "host", "host:0", "https://host", "ftp://host:1", "host:1/path", "a b:1", ":1"] {
            let error = Address::new(text, Source::Flag).expect_err(text);
            assert!(error.message.contains("from --address"), "{error:?}");
        }
    }
}
