//! Warnings about the certificate of a running server: its dates, and names by which no client reaches the server.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::certificate::{CertificateInfo, Validity, shown};
use crate::job::Timestamp;

/// Time between two warnings about the dates of a certificate.
const REMINDER_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Logs what is wrong with the certificate: when it changes, when its validity changes, and once a day.
#[derive(Debug)]
pub(super) struct Monitor {
    /// The hosts by which clients reach the server. Empty if they are unknown.
    hosts: Vec<String>,
    reported: Option<(CertificateInfo, Validity, Instant)>,
}

impl Monitor {
    /// The monitor of a server with these addresses and allowed hosts.
    pub(super) fn new(listeners: &[SocketAddr], allowed_hosts: &[String]) -> Self {
        Self { hosts: hosts(listeners, allowed_hosts), reported: None }
    }

    /// Logs what has to be logged at this time.
    pub(super) fn check(&mut self, certificate: &CertificateInfo, wall: Timestamp, now: Instant) {
        let validity = certificate.validity(wall);
        let is_new = match &self.reported {
            Some((known, last, at)) if known == certificate => {
                if *last == validity && now < *at + REMINDER_INTERVAL {
                    return;
                }
                false
            }
            _ => true,
        };
        warn_of_dates(certificate, validity, wall);
        if is_new {
            warn_of_hosts(certificate, &self.hosts);
        }
        self.reported = Some((certificate.clone(), validity, now));
    }
}

fn warn_of_dates(certificate: &CertificateInfo, validity: Validity, now: Timestamp) {
    let (not_before, not_after) = (shown(certificate.not_before), shown(certificate.not_after));
    match validity {
        Validity::Valid => {}
        Validity::NotYet => tracing::warn!(
            not_before,
            not_after,
            "clients refuse the certificate of the server: it is not valid yet; check the clock of this machine"
        ),
        Validity::ExpiresSoon => {
            let left = certificate.not_after.since(now).as_secs();
            let left = format!("{} days and {} hours", left / 86_400, left % 86_400 / 3_600);
            tracing::warn!(
                not_before,
                not_after,
                "the certificate of the server expires in {left}: renew it"
            );
        }
        Validity::Expired => tracing::warn!(
            not_before,
            not_after,
            "clients refuse the certificate of the server: it has expired; replace its files, a restart is not needed"
        ),
    }
}

fn warn_of_hosts(certificate: &CertificateInfo, hosts: &[String]) {
    let names = certificate.hosts.join(", ");
    if certificate.hosts.is_empty() {
        tracing::warn!(
            "clients refuse the certificate of the server: it has no names; issue it with subjectAltName"
        );
    } else if !hosts.is_empty() && !hosts.iter().any(|host| certificate.is_for(host)) {
        let hosts = hosts.join(", ");
        tracing::warn!(
            names,
            hosts,
            "clients refuse the certificate of the server if they connect to one of these hosts: it has other names; \
             allow one of its names with --allowed-host, or issue it for one of the hosts"
        );
    }
}

/// The hosts by which clients reach a server with these addresses and allowed hosts, each once. Empty if every host may be one.
fn hosts(listeners: &[SocketAddr], allowed_hosts: &[String]) -> Vec<String> {
    let addresses = || listeners.iter().map(|address| address.ip().to_canonical());
    let is_any = allowed_hosts.iter().any(|host| host == "*");
    if is_any || (allowed_hosts.is_empty() && addresses().any(|address| address.is_unspecified())) {
        return Vec::new();
    }
    let mut hosts: Vec<_> =
        addresses().filter(|address| !address.is_unspecified()).map(|address| address.to_string()).collect();
    if addresses().any(|address| address.is_loopback()) {
        hosts.push("localhost".to_owned());
    }
    hosts.extend(allowed_hosts.iter().map(|host| without_port(host).to_owned()));
    let mut seen = HashSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

/// `host` of `host`, `host:port` and `[address]:port`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts_of(listeners: &[&str], allowed: &[&str]) -> String {
        let listeners: Vec<_> = listeners.iter().map(|one| one.parse().expect("an address")).collect();
        let allowed: Vec<_> = allowed.iter().map(|one| (*one).to_owned()).collect();
        hosts(&listeners, &allowed).join(" ")
    }

    #[test]
    fn the_hosts_are_the_addresses_and_the_allowed_ones() {
        assert_eq!(hosts_of(&["127.0.0.1:1", "[::1]:1"], &["localhost"]), "127.0.0.1 ::1 localhost");
        assert_eq!(hosts_of(&["10.0.0.1:1"], &["jobs:1", "[fd00::1]:7070"]), "10.0.0.1 jobs fd00::1");
        assert_eq!(hosts_of(&["0.0.0.0:1"], &["jobs.example"]), "jobs.example");
        assert_eq!(hosts_of(&["0.0.0.0:1"], &[]), "");
        assert_eq!(hosts_of(&["10.0.0.1:1"], &["jobs", "*"]), "");
    }

    #[test]
    fn a_certificate_that_expires_is_reported_once_a_day_and_when_it_has_expired() {
        let hour = Duration::from_secs(60 * 60);
        let (wall, start) = (Timestamp::from_micros(0), Instant::now());
        let certificate =
            CertificateInfo { not_before: wall, not_after: wall.plus(hour * 24 * 100), hosts: Vec::new() };
        let mut monitor = Monitor::new(&[], &[]);
        let mut reported_at = |hours: u32| {
            monitor.check(&certificate, wall.plus(hour * hours), start + hour * hours);
            (monitor.reported.as_ref().expect("a report").2 - start).as_secs() / 3_600
        };
        assert_eq!([0, 1, 23, 24, 47, 48].map(&mut reported_at), [0, 0, 0, 24, 24, 48]);
        let soon = 24 * 90 + 1;
        assert_eq!([soon, soon + 1].map(&mut reported_at), [u64::from(soon); 2]);
        let expired = 24 * 100 + 1;
        assert_eq!([expired, expired + 1].map(&mut reported_at), [u64::from(expired); 2]);
    }
}
