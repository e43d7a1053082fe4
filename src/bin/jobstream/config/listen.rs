//! The listen address: a host and a port. A name is resolved when the server starts.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::exit::Exit;

/// `host:port`, where the host is a name or an IP address, an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ListenAddress {
    host: String,
    port: u16,
}

impl ListenAddress {
    /// The host, if it is a name and not an IP address.
    pub(crate) fn name(&self) -> Option<&str> {
        // Only an IPv6 address has a colon. It may have a zone, which does not parse.
        let is_address = self.host.contains(':') || self.host.parse::<IpAddr>().is_ok();
        (!is_address).then_some(self.host.as_str())
    }

    /// The host for a certificate: without the zone of an IPv6 address. `None` if it stands for every address.
    pub(crate) fn certifiable_host(&self) -> Option<&str> {
        let host = self.host.split('%').next()?;
        let is_every = host.parse().is_ok_and(|address: IpAddr| address.is_unspecified());
        (!is_every).then_some(host)
    }

    /// Listens on every address of the host, for `localhost` on 127.0.0.1 and on `[::1]`. Port 0 selects one free port for
    /// all of them. An address that this machine does not have is skipped if another one can be used. Errors name the flag.
    ///
    /// # Errors
    ///
    /// If the name has no address, or a port cannot be bound.
    pub(crate) fn bind(&self, flag: &str) -> Result<Vec<TcpListener>> {
        let addresses = self.resolve(flag)?;
        let mut listeners: Vec<TcpListener> = Vec::new();
        let mut skipped = None;
        for mut address in addresses {
            if let (0, Some(Ok(first))) = (self.port, listeners.first().map(TcpListener::local_addr)) {
                address.set_port(first.port());
            }
            match TcpListener::bind(address) {
                Ok(listener) => listeners.push(listener),
                Err(error) if is_missing(&error) => skipped = Some((address, error)),
                Err(error) => return Err(self.failed(flag, address, &error)),
            }
        }
        match skipped {
            Some((address, error)) if listeners.is_empty() => Err(self.failed(flag, address, &error)),
            _ => Ok(listeners),
        }
    }

    /// The addresses of the host, IPv4 first. Errors name the flag.
    ///
    /// # Errors
    ///
    /// If the name has no address.
    pub(crate) fn resolve(&self, flag: &str) -> Result<BTreeSet<SocketAddr>> {
        let no_address = |why: &str| {
            Error::new(
                Exit::Other,
                format!("cannot listen on {self}: the name {} has no address: {why}", self.host),
            )
            .hint(format!("choose a name or an address of this machine with {flag}, such as localhost:7070"))
        };
        let resolved = (self.host.as_str(), self.port).to_socket_addrs();
        let addresses: BTreeSet<_> = resolved.map_err(|error| no_address(&error.to_string()))?.collect();
        match addresses.is_empty() {
            true => Err(no_address("the resolver found none")),
            false => Ok(addresses),
        }
    }

    fn failed(&self, flag: &str, address: SocketAddr, error: &io::Error) -> Error {
        let resolved = self.name().map(|_| format!(" ({address})")).unwrap_or_default();
        Error::new(Exit::Other, format!("cannot listen on {self}{resolved}: {error}"))
            .hint(format!("choose another address with {flag}, or port 0 for a free one"))
    }
}

/// Whether this machine does not have the address, for example because IPv6 is disabled.
fn is_missing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno == Some(Errno::ADDRNOTAVAIL) || errno == Some(Errno::AFNOSUPPORT)
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 7070 }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not host:port: write 127.0.0.1:7070, [::1]:7070 or localhost:7070");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let is_name = |host: &str| {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|host| host.contains(':')).ok_or_else(wrong)?,
            None if is_name(host) => host,
            None => return Err(wrong()),
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ListenAddress> for String {
    fn from(address: ListenAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses() {
        for text in ["localhost:7070", "127.0.0.1:0", "[::1]:7070", "jobs-1.example_net:65535"] {
            assert_eq!(text.parse::<ListenAddress>().expect(text).to_string(), text);
        }
        for wrong in
            ["", "7070", ":7070", "localhost", "localhost:x", "localhost:70000", "::1:7070", "[::1]", "a b:1"]
        {
            let error = wrong.parse::<ListenAddress>().expect_err(wrong);
            assert!(error.contains("write 127.0.0.1:7070, [::1]:7070 or localhost:7070"), "{error}");
        }
    }

    #[test]
    fn only_a_name_has_a_name() {
        let name = |text: &str| text.parse::<ListenAddress>().expect(text).name().map(str::to_owned);
        assert_eq!(name("jobs:1"), Some("jobs".to_owned()));
        assert_eq!((name("127.0.0.1:1"), name("[::1]:1"), name("[fe80::1%1]:1")), (None, None, None));
    }

    #[test]
    fn a_failed_bind_names_the_flag_of_the_address() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("an address").to_string();
        let error = address.parse::<ListenAddress>().expect("an address").bind("--metrics-listen");
        let error = error.expect_err("the port is in use");
        assert_eq!(error.hints, ["choose another address with --metrics-listen, or port 0 for a free one"]);
    }

    #[test]
    fn addresses_of_localhost_share_one_free_port() {
        let listeners = "localhost:0"
            .parse::<ListenAddress>()
            .expect("an address")
            .bind("--listen")
            .expect("a free port");
        let addresses: Vec<_> = listeners.iter().map(|one| one.local_addr().expect("an address")).collect();
        assert!(addresses[0].ip().is_loopback() && addresses[0].port() != 0, "{addresses:?}");
        assert!(addresses.iter().all(|address| address.port() == addresses[0].port()), "{addresses:?}");
    }
}
