//! Parses the host of a request: a name or an address, with an optional port.

use std::net::{IpAddr, Ipv6Addr};

/// A host in lower case, without a final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostName {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl HostName {
    /// Parses `host`, `host:port`, `[address]` or `[address]:port`; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (Host::Address(IpAddr::V6(address.parse::<Ipv6Addr>().ok()?).to_canonical()), port)
            }
            None => {
                let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (host_of(host)?, port)
            }
        };
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        Some(Self { host, port })
    }

    /// The address; `None` for a name.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        }
    }

    pub(super) fn is_localhost(&self) -> bool {
        matches!(&self.host, Host::Name(name) if name == "localhost" || name.ends_with(".localhost"))
    }

    /// Whether this allowed host matches `other`. Without a port it matches every port.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.host == other.host && self.port.is_none_or(|port| other.port == Some(port))
    }
}

fn host_of(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Host::Address(address));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_name.then(|| Host::Name(name.to_ascii_lowercase()))
}

/// Whether a web page of this origin was served by this host.
pub(super) fn is_same_origin(origin: &str, host: &str) -> bool {
    let default_port = match origin.split_once("://") {
        Some(("http", _)) => 80,
        Some(("https", _)) => 443,
        _ => return false,
    };
    let of_page = origin.split_once("://").and_then(|(_, host)| HostName::parse(host));
    let (Some(of_page), Some(of_request)) = (of_page, HostName::parse(host)) else { return false };
    of_page.host == of_request.host
        && of_page.port.unwrap_or(default_port) == of_request.port.unwrap_or(default_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_have_a_port_a_final_dot_and_capitals() {
        let name = HostName::parse("jobs.example").expect("a name");
        for same in ["jobs.example", "JOBS.Example.", "jobs.example:7070"] {
            assert!(name.covers(&HostName::parse(same).expect("a name")), "{same}");
        }
        let with_port = HostName::parse("jobs.example:7070").expect("a name");
        assert!(!with_port.covers(&name));
        assert_eq!(HostName::parse("[::1]:7070").and_then(|name| name.address()), "::1".parse().ok());
        assert_eq!(
            HostName::parse("[::ffff:127.0.0.1]").and_then(|name| name.address()),
            "127.0.0.1".parse().ok()
        );
    }

    #[test]
    fn malformed_hosts_are_refused() {
        for wrong in [
            "",
            ":7070",
            "a:b",
            "a:99999",
            "http://a",
            "a/b",
            "a b",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "u@a",
            "*",
        ] {
            assert_eq!(HostName::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_origin_without_a_port_has_the_port_of_its_scheme() {
        for (origin, host, is_same) in [
            ("http://127.0.0.1:7070", "127.0.0.1:7070", true),
            ("https://jobs.example", "jobs.example", true),
            ("https://jobs.example", "JOBS.example:443", true),
            ("http://jobs.example:80", "jobs.example", true),
            ("http://jobs.example", "jobs.example:7070", false),
            ("http://localhost:3000", "localhost:7070", false),
            ("http://evil.example", "jobs.example", false),
            ("null", "null", false),
            ("file://", "localhost", false),
        ] {
            assert_eq!(is_same_origin(origin, host), is_same, "{origin} {host}");
        }
    }
}
