//! The dates and names of a certificate, which rustls checks but does not show. Nothing here verifies a certificate.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::job::Timestamp;
use crate::proto::render;

/// A certificate expires soon if less than this, and less than a quarter of its lifetime, is left. Tools renew certificates
/// earlier: certbot 30 days before the end of 90, cert-manager after two thirds of the lifetime.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const SOON_SHARE: u32 = 4;

/// Tags of DER elements.
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// The object id of the extension subjectAltName, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The dates of a certificate, and the hosts that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Its names of type DNS, such as `*.jobs.example`, and its IP addresses.
    pub hosts: Vec<String>,
}

/// The validity of a certificate at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    NotYet,
    Valid,
    ExpiresSoon,
    Expired,
}

impl CertificateInfo {
    /// Reads the first certificate of a text in PEM format. `None` if there is none.
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        Self::from_der(&CertificateDer::from_pem_slice(pem).ok()?)
    }

    /// Reads a certificate. `None` if it is malformed.
    pub(super) fn from_der(certificate: &CertificateDer<'_>) -> Option<Self> {
        let mut fields = Der(certificate.as_ref()).enter(SEQUENCE)?.enter(SEQUENCE)?;
        fields.skip_if(VERSION);
        fields.enter(INTEGER)?; // The serial number.
        fields.enter(SEQUENCE)?; // The algorithm of the signature.
        fields.enter(SEQUENCE)?; // The issuer.
        let mut validity = fields.enter(SEQUENCE)?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let hosts = fields.find(EXTENSIONS).map_or(Some(Vec::new()), hosts)?;
        Some(Self { not_before, not_after, hosts })
    }

    /// Whether a client that connects to this host, a name or an IP address, accepts the certificate.
    pub fn is_for(&self, host: &str) -> bool {
        let labels = host.split_once('.').map(|(_, parent)| parent);
        self.hosts.iter().any(|own| match own.strip_prefix("*.") {
            Some(parent) => labels.is_some_and(|labels| labels.eq_ignore_ascii_case(parent)),
            None => own.eq_ignore_ascii_case(host),
        })
    }

    /// The validity at this time.
    pub(super) fn validity(&self, now: Timestamp) -> Validity {
        let lifetime = self.not_after.since(self.not_before);
        match () {
            () if now < self.not_before => Validity::NotYet,
            () if now > self.not_after => Validity::Expired,
            () if self.not_after.since(now) < SOON.min(lifetime / SOON_SHARE) => Validity::ExpiresSoon,
            () => Validity::Valid,
        }
    }

    /// What is wrong with the certificate at this time, as the end of a sentence.
    pub(super) fn problem(&self, now: Timestamp) -> Option<String> {
        match self.validity(now) {
            Validity::NotYet => Some(format!("is not valid before {}", shown(self.not_before))),
            Validity::Expired => Some(format!("has expired at {}", shown(self.not_after))),
            Validity::Valid | Validity::ExpiresSoon => None,
        }
    }
}

/// The time as in RFC 3339.
pub(super) fn shown(time: Timestamp) -> String {
    render::timestamp(time).to_string()
}

/// The hosts of the extensions of a certificate.
fn hosts(mut extensions: Der<'_>) -> Option<Vec<String>> {
    let mut extensions = extensions.enter(SEQUENCE)?;
    let mut hosts = Vec::new();
    while !extensions.0.is_empty() {
        let mut extension = extensions.enter(SEQUENCE)?;
        if extension.enter(OBJECT_ID)?.0 == SUBJECT_ALT_NAME {
            let mut names = extension.find(OCTET_STRING)?.enter(SEQUENCE)?;
            while !names.0.is_empty() {
                hosts.extend(host(names.next()?));
            }
        }
    }
    Some(hosts)
}

/// The host of a name of subjectAltName; `None` for names of other types.
fn host((tag, name): (u8, &[u8])) -> Option<String> {
    match tag {
        DNS_NAME => std::str::from_utf8(name).ok().map(str::to_owned),
        IP_ADDRESS => {
            let v4 = <[u8; 4]>::try_from(name).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(name).map(IpAddr::from)).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// The rest of the elements of a DER encoding.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The tag and the content of the next element.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which must have this tag.
    fn enter(&mut self, tag: u8) -> Option<Der<'a>> {
        self.next().filter(|(actual, _)| *actual == tag).map(|(_, content)| Der(content))
    }

    /// The content of the next element with this tag.
    fn find(&mut self, tag: u8) -> Option<Der<'a>> {
        while let Some((actual, content)) = self.next() {
            if actual == tag {
                return Some(Der(content));
            }
        }
        None
    }

    fn skip_if(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            self.next();
        }
    }

    /// A time of the forms `YYMMDDhhmmssZ` and `YYYYMMDDhhmmssZ`.
    fn time(&mut self) -> Option<Timestamp> {
        let (tag, text) = self.next()?;
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
        let text = match tag {
            // RFC 5280: two digits are the years 1950 to 2049.
            UTC_TIME if text < "50" => format!("20{text}"),
            UTC_TIME => format!("19{text}"),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let part = |from: usize, to: usize| text.get(from..to);
        let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
        let (hours, minutes, seconds) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
        let time = format!("{year}-{month}-{day}T{hours}:{minutes}:{seconds}{}", text.get(14..)?);
        let time: prost_types::Timestamp = time.parse().ok()?;
        Some(Timestamp::from_micros(time.seconds.checked_mul(1_000_000)?))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(hosts: &[&str], from: i32, to: i32) -> CertificateDer<'static> {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("hosts");
        params.not_before = date_time_ymd(from, 1, 2);
        params.not_after = date_time_ymd(to, 3, 4);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().clone()
    }

    fn info(hosts: &[&str], from: i32, to: i32) -> CertificateInfo {
        CertificateInfo::from_der(&certificate(hosts, from, to)).expect("a certificate")
    }

    #[test]
    fn dates_before_and_after_2050_and_every_host_are_read() {
        let hosts = ["jobs.example", "10.0.0.1", "::1", "*.jobs.example"];
        let info = info(&hosts, 1999, 2075);
        assert_eq!(shown(info.not_before), "1999-01-02T00:00:00Z");
        assert_eq!(shown(info.not_after), "2075-03-04T00:00:00Z");
        assert_eq!(info.hosts, hosts);
        assert_eq!(self::info(&[], 2000, 2049).hosts, [""; 0]);
    }

    #[test]
    fn a_truncated_certificate_is_refused_or_has_fewer_hosts() {
        let der = certificate(&["jobs.example"], 2020, 2030);
        for length in 0..der.len() {
            let mut bytes = der[..length].to_vec();
            assert_eq!(CertificateInfo::from_der(&bytes.clone().into()), None, "{length} bytes");
            // A wrong byte must not end in a panic.
            bytes = der.to_vec();
            bytes[length] ^= 0xff;
            CertificateInfo::from_der(&bytes.into());
        }
    }

    #[test]
    fn a_wildcard_is_one_label() {
        let info = info(&["*.jobs.example", "10.0.0.1"], 2020, 2030);
        assert!(["a.jobs.example", "A.Jobs.Example", "10.0.0.1"].iter().all(|host| info.is_for(host)));
        let others = ["jobs.example", "a.b.jobs.example", "10.0.0.2", "", "1.10.0.0.1"];
        assert!(!others.iter().any(|host| info.is_for(host)));
    }

    #[test]
    fn a_certificate_expires_soon_after_three_quarters_of_a_short_lifetime() {
        let day = Duration::from_secs(24 * 60 * 60);
        let not_before = Timestamp::from_micros(0);
        let at = |lifetime: u32, now: u32| {
            let not_after = not_before.plus(day * lifetime);
            CertificateInfo { not_before, not_after, hosts: Vec::new() }.validity(not_before.plus(day * now))
        };
        assert_eq!((at(365, 350), at(365, 352)), (Validity::Valid, Validity::ExpiresSoon));
        assert_eq!((at(4, 2), at(4, 3), at(8, 7)), (Validity::Valid, Validity::Valid, Validity::ExpiresSoon));
        assert_eq!((at(4, 4), at(4, 5)), (Validity::ExpiresSoon, Validity::Expired));
        let early =
            CertificateInfo { not_before: Timestamp::MAX, not_after: Timestamp::MAX, hosts: Vec::new() };
        assert_eq!(early.validity(not_before), Validity::NotYet);
    }
}
