//! TLS of the client: the authorities it trusts, its own certificate, and the errors of the handshake.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, InvalidMessage};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::ClientOptions;
use super::error::reason;

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
/// options.tls.ca = Some(std::fs::read("ca.crt")?);
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

/// The certificate of a client and its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl ClientIdentity {
    /// An identity of a certificate, followed by the intermediate ones, and its private key, in PEM format.
    pub fn new(certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }
}

impl fmt::Debug for ClientIdentity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

/// The endpoint with TLS.
///
/// # Errors
///
/// What is wrong with the certificates or the key.
pub(super) fn with_tls(endpoint: Endpoint, uri: &Uri, options: &ClientOptions) -> Result<Endpoint, String> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let config = ClientTlsConfig::new().domain_name(host).timeout(options.connect_timeout);
    let config = match &options.tls.ca {
        Some(pem) => {
            check_certificates(pem).map_err(|why| format!("the CA certificate is unusable: {why}"))?;
            config.ca_certificate(Certificate::from_pem(pem))
        }
        None => config.with_native_roots(),
    };
    let config = match &options.tls.identity {
        Some(ClientIdentity { certificate, key }) => {
            check_certificates(certificate)
                .map_err(|why| format!("the client certificate is unusable: {why}"))?;
            PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| format!("the client key is not a private key in PEM format: {error}"))?;
            config.identity(Identity::from_pem(certificate, key))
        }
        None => config,
    };
    endpoint.tls_config(config).map_err(|error| {
        let cause = super::status::innermost(&error);
        format!("the CA certificate, the client certificate or the client key is unusable: {cause}")
    })
}

fn check_certificates(pem: &[u8]) -> Result<(), String> {
    let parsed = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match parsed {
        Ok(certificates) if certificates.is_empty() => Err("it has no certificate in PEM format".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it is not in PEM format: {error}")),
    }
}

/// The reason and the text of a failed handshake, if that is the cause of the error.
pub(super) fn explain(error: &(dyn StdError + 'static)) -> Option<(&'static str, String)> {
    let mut next = Some(error);
    let mut text = String::new();
    while let Some(error) = next {
        let inner = match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::UnexpectedEof && is_handshake_end(error) => {
                let text = "it closed the connection during the TLS handshake: does it serve TLS?";
                return Some((reason::NOT_TLS, text.to_owned()));
            }
            Some(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
            None => error.downcast_ref(),
        };
        if let Some(error) = inner {
            return Some(explained(error));
        }
        text = error.to_string();
        next = error.source();
    }
    // After the handshake, h2 passes on the text of an alert only.
    let (_, alert) = text.split_once(ALERT)?;
    explained_alert(alert)
}

/// Whether the connection ended during the handshake, by the text that tokio-rustls gives such an error.
fn is_handshake_end(error: &io::Error) -> bool {
    error.to_string().contains("handshake eof")
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
            Some((reason::CLIENT_CERTIFICATE, format!("it refused the client certificate: {alert}")))
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
        NotValidForNameContext { expected, presented } => {
            let names = presented.join(", ");
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
