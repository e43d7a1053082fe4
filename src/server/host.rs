//! The host policy: which hosts requests may name, and which web pages may call the server.
//!
//! It protects against DNS rebinding. A web page whose name resolves to this machine's address can reach the port, but the
//! browser still sends the page's name as the host of the request. Module `service` sends the refusals.

mod name;
mod service;

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};

use crate::error::{Error, ErrorKind};

use super::throttle::Throttle;
use name::HostName;
pub(super) use service::HostService;

/// Allows all hosts or all origins.
const ANY: &str = "*";

/// Longest host or origin in an error message, in characters.
const SHOWN_CHARS_MAX: usize = 128;

/// The hosts and origins that one listener accepts.
#[derive(Debug)]
pub(super) struct HostPolicy {
    /// The first address of the listeners, as text.
    own: String,
    /// At least one.
    own_addresses: Vec<IpAddr>,
    allowed: Vec<HostName>,
    is_any_allowed: bool,
    /// Allowed origins of web pages, or [`ANY`].
    origins: Vec<String>,
    /// Limits the warnings of refusals.
    warning: Throttle,
}

impl HostPolicy {
    /// The policy of listeners that are bound to these addresses.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no address, or an allowed host is neither `*` nor of the form `host` or `host:port`.
    pub(super) fn new(
        listeners: &[SocketAddr],
        allowed_hosts: &[String],
        cors_origins: &[String],
    ) -> io::Result<Self> {
        let own =
            listeners.first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no listener"))?;
        let names = allowed_hosts.iter().filter(|host| *host != ANY);
        Ok(Self {
            own: own.to_string(),
            own_addresses: listeners.iter().map(|address| address.ip().to_canonical()).collect(),
            allowed: names.map(|host| allowed_host(host)).collect::<io::Result<_>>()?,
            is_any_allowed: allowed_hosts.iter().any(|host| host == ANY),
            origins: cors_origins.to_vec(),
            warning: Throttle::default(),
        })
    }

    /// Checks a request that arrived at this local address.
    ///
    /// # Errors
    ///
    /// `HostNotAllowed` or `OriginNotAllowed`; the message names the option that allows the request.
    fn check(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> Result<(), Error> {
        let authority = uri.authority().map(|authority| authority.as_str());
        if let Some(host) = authority {
            self.check_host(host, local)?;
        } else {
            // A request without a host is accepted: no browser sends one.
            for host in headers.get_all(HOST) {
                self.check_host(text_of(host), local)?;
            }
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let host = authority.or_else(|| headers.get(HOST).map(text_of));
        self.check_origin(text_of(origin), host)
    }

    fn check_host(&self, host: &str, local: IpAddr) -> Result<(), Error> {
        if self.is_any_allowed || host == self.own {
            return Ok(());
        }
        let name = HostName::parse(host);
        if name.is_some_and(|name| self.is_own(&name, local) || self.is_allowed(&name)) {
            return Ok(());
        }
        let host = shown(host);
        let message = format!(
            "421 misdirected request: host {host:?} is not allowed by this server: connect to its address {}, or start \
             the server with --allowed-host {host} (allowed_hosts in the config file) if clients use that name, \
             for example behind a proxy or in a container network",
            self.own
        );
        Err(Error::new(ErrorKind::HostNotAllowed { host }, message))
    }

    /// Whether the host is an address of the listener, or localhost on a loopback connection. The port is ignored: port
    /// forwarding changes it, and it protects nothing.
    fn is_own(&self, name: &HostName, local: IpAddr) -> bool {
        match name.address() {
            Some(address) => {
                self.own_addresses.iter().any(|own| own.is_unspecified() || *own == address)
                    || (address.is_loopback() && local.to_canonical().is_loopback())
            }
            None => name.is_localhost() && local.to_canonical().is_loopback(),
        }
    }

    fn is_allowed(&self, name: &HostName) -> bool {
        self.allowed.iter().any(|allowed| allowed.covers(name))
    }

    fn check_origin(&self, origin: &str, host: Option<&str>) -> Result<(), Error> {
        if self.origins.iter().any(|allowed| allowed == origin || allowed == ANY) {
            return Ok(());
        }
        if host.is_some_and(|host| name::is_same_origin(origin, host)) {
            return Ok(());
        }
        let (origin, host) = (shown(origin), shown(host.unwrap_or_default()));
        let message = format!(
            "403 forbidden: a page of origin {origin:?} may not call host {host:?}: start the server with \
             --cors-origin {origin} (cors_origins in the config file) if its pages may"
        );
        Err(Error::new(ErrorKind::OriginNotAllowed { origin }, message))
    }
}

fn allowed_host(text: &str) -> io::Result<HostName> {
    HostName::parse(text).filter(|_| !text.contains(ANY)).ok_or_else(|| {
        let message = format!(
            "allowed host is {text:?}: write host or host:port, without scheme and path, or * alone for every host"
        );
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

/// The header value as text. A value that is not text becomes an invalid host.
fn text_of(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("\u{fffd}")
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
