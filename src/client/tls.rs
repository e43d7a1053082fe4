//! TLS of the client: its options, and the errors of the handshake. Module `connector` makes the connections, `identity` has the
//! certificate of the client.

mod connector;
mod identity;

use std::error::Error as StdError;
use std::fs;
use std::io;
use std::path::Path;

use rustls::{CertificateError, InvalidMessage};

use super::error::{Error, ErrorKind, Result, reason};
pub(super) use connector::TlsConnect;
pub use identity::ClientIdentity;

/// Before the name of an alert in the text of rustls' error.
const ALERT: &str = "received fatal alert: ";
/// The alerts that refuse a client certificate.
const REFUSALS: [&str; 6] = [
    "AccessDenied",
    "BadCertificate",
    "CertificateExpired",
    "CertificateUnknown",
    "DecryptError",
    "UnknownCA",
];

/// TLS of a client, for addresses that begin with `https://`.
///
/// ```no_run
/// use jobstream::client::{Client, ClientOptions, ClientTls};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut options = ClientOptions::default();
/// options.tls.set_ca_file("ca.crt")?;
/// let client = Client::connect_with("https://jobs.example:7070", options).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientTls {
    /// Certificates of the authorities to trust, in PEM format. Default: those of the system.
    pub ca: Option<Vec<u8>>,
    /// The certificate of this client, for servers that require one. Default: none.
    pub identity: Option<ClientIdentity>,
}

impl ClientTls {
    /// Reads [`ClientTls::ca`] from a file. It blocks its thread.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the file cannot be read or has no certificate in PEM format. The message names it.
    pub fn set_ca_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let wrong = |why: String| {
            let message = format!("the CA certificate {} {why}", path.display());
            Error::new(ErrorKind::InvalidArgument, reason::INVALID_FIELD, message)
        };
        let pem = fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        connector::roots(&pem).map_err(wrong)?;
        self.ca = Some(pem);
        Ok(())
    }
}

/// The reason and the text of a failed handshake, if that is the cause of the error.
pub(crate) fn explain(error: &(dyn StdError + 'static)) -> Option<(&'static str, String)> {
    let mut next = Some(error);
    let mut text = String::new();
    while let Some(error) = next {
        let io_error = error.downcast_ref::<io::Error>();
        if io_error.is_some_and(is_handshake_end) {
            let text = "it closed the connection during the TLS handshake: does it serve TLS?";
            return Some((reason::NOT_TLS, text.to_owned()));
        }
        if let Some(error) = error.downcast_ref() {
            return Some(explained(error));
        }
        text = error.to_string();
        // The source of an I/O error is that of the error inside it.
        next = match io_error.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    // After the handshake, h2 passes on the text of an alert only.
    let (_, alert) = text.split_once(ALERT)?;
    explained_alert(alert)
}

/// Why a certificate of this program cannot be used.
pub(crate) fn unusable_certificate(error: &CertificateError) -> String {
    let other = match error {
        CertificateError::Other(other) => other.0.downcast_ref(),
        _ => None,
    };
    match other {
        Some(webpki::Error::UnsupportedCertVersion) => {
            "it is of X.509 version 1, as openssl makes it without extensions: issue it with subjectAltName"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// `localhost` of `DnsName("localhost")`, as rustls writes the names of a certificate.
fn bare_name(presented: &str) -> &str {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"')
}

/// Whether the connection ended during the handshake, by the text that tokio-rustls gives such an error.
fn is_handshake_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof && error.to_string().contains("handshake eof")
}

fn explained(error: &rustls::Error) -> (&'static str, String) {
    match error {
        rustls::Error::InvalidCertificate(error) => explained_certificate(error),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (reason::NOT_TLS, "it answers in plain text: use http://, or the address of its TLS".to_owned())
        }
        error => {
            let text = error.to_string();
            let alert = text.strip_prefix(ALERT).and_then(explained_alert);
            alert.unwrap_or_else(|| (reason::TLS_FAILED, format!("the TLS handshake failed: {text}")))
        }
    }
}

/// What an alert of the server means if it is about the client's certificate.
fn explained_alert(alert: &str) -> Option<(&'static str, String)> {
    match alert {
        "CertificateRequired" | "NoCertificate" => {
            Some((reason::CLIENT_CERTIFICATE, "it requires a client certificate".to_owned()))
        }
        alert if REFUSALS.contains(&alert) => {
            let why = match alert {
                "CertificateExpired" => "it has expired",
                "UnknownCA" => "it does not trust the authority (CA) that issued it",
                alert => alert,
            };
            Some((reason::CLIENT_CERTIFICATE, format!("it refused the client certificate: {why}")))
        }
        _ => None,
    }
}

fn explained_certificate(error: &CertificateError) -> (&'static str, String) {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    let text = match error {
        // Another authority of the same name gives a bad signature.
        UnknownIssuer | BadSignature => {
            let text = "its certificate is from an authority (CA) that this client does not trust";
            return (reason::UNKNOWN_CA, text.to_owned());
        }
        NotValidForNameContext { expected, presented } if presented.is_empty() => format!(
            "its certificate has no names, and is not for {}: issue it with subjectAltName",
            expected.to_str()
        ),
        NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare_name(name)).collect();
            let names = names.join(", ");
            format!(
                "its certificate is not for {}, but for {names}: use one of these names",
                expected.to_str()
            )
        }
        NotValidForName => "its certificate is for another name: use that name".to_owned(),
        Expired | ExpiredContext { .. } => {
            "its certificate has expired, or the clock of this machine is wrong: renew the certificate"
                .to_owned()
        }
        NotValidYet | NotValidYetContext { .. } => {
            "its certificate is not valid yet: check the clocks of both machines".to_owned()
        }
        error => format!("its certificate is invalid: {error}"),
    };
    (reason::INVALID_CERTIFICATE, text)
}
