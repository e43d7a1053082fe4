//! TLS of the listener: its certificate, key and client CA from PEM files, and their reload.
//!
//! Module `connection` does the handshakes.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{Error, RootCertStore, ServerConfig};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::throttle::Throttle;

/// Largest file of certificates or of a key, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The protocols that a client may choose by ALPN, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files of a server's TLS, in PEM format.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// The certificate of the server, followed by the intermediate ones.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// Certificates of authorities. If set, each client must present a certificate that one of them issued. Default: none.
    pub client_ca: Option<PathBuf>,
    /// How often a running server reads the files and applies changes. Default 10 s.
    pub poll_interval: Duration,
}

impl TlsOptions {
    /// The options with these two files, and every other option at its default.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (certificate.into(), key.into());
        Self { certificate, key, client_ca: None, poll_interval: Duration::from_secs(10) }
    }
}

/// Why the files of a server's TLS cannot be used. The message names the file.
#[derive(Debug)]
pub struct TlsError {
    message: String,
    source: Option<io::Error>,
}

impl TlsError {
    fn new(message: String) -> Self {
        Self { message, source: None }
    }

    fn unreadable(path: &Path, error: io::Error) -> Self {
        Self { message: format!("cannot read {}: {error}", path.display()), source: Some(error) }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

/// The TLS of a server: TLS 1.2 and 1.3, with ALPN for HTTP/2 and HTTP/1.1. Cheap to clone; clones share the files.
///
/// A running server polls the files. Connections that are open continue with the certificate that they began with.
///
/// ```no_run
/// use jobstream::server::{ServerOptions, ServerTls, TlsOptions};
///
/// # fn example() -> Result<(), jobstream::server::TlsError> {
/// let mut options = ServerOptions::default();
/// options.serve.tls = Some(ServerTls::load(TlsOptions::new("server.crt", "server.key"))?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: TlsOptions,
    current: Mutex<Loaded>,
    handshake_warning: Throttle,
}

/// The config for new connections, and the files that it was made from.
#[derive(Debug)]
struct Loaded {
    files: Files,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Loads the files. It blocks its thread while it reads them.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or holds something else, or the key is not that of the certificate.
    pub fn load(options: TlsOptions) -> Result<Self, TlsError> {
        let files = Files::read(&options)?;
        let config = Arc::new(files.config(&options)?);
        let current = Mutex::new(Loaded { files, config });
        Ok(Self(Arc::new(Inner { options, current, handshake_warning: Throttle::default() })))
    }

    /// Loads the files again for new connections. Returns whether they have changed. Sessions of earlier connections cannot
    /// be resumed after a change. It blocks its thread while it reads the files.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::load`]. New connections get the former certificate then.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.0.options)?;
        if self.0.current.lock().files == files {
            return Ok(false);
        }
        let config = Arc::new(files.config(&self.0.options)?);
        *self.0.current.lock() = Loaded { files, config };
        Ok(true)
    }

    /// The config for the next connection.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.0.current.lock().config.clone()
    }

    /// Limits the warnings of failed handshakes.
    pub(super) fn handshake_warning(&self) -> &Throttle {
        &self.0.handshake_warning
    }

    /// Starts a task that polls the files until the handle is dropped.
    pub(super) fn watch_files(self) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(self.poll_files()))
    }

    async fn poll_files(self) {
        let mut ticks = interval(self.0.options.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_error = None;
        loop {
            ticks.tick().await;
            let tls = self.clone();
            let Ok(reloaded) = tokio::task::spawn_blocking(move || tls.reload()).await else { return };
            let error = reloaded.as_ref().err().map(ToString::to_string);
            match reloaded {
                Ok(true) => {
                    tracing::info!("reloaded the TLS files, which have changed: new connections use them")
                }
                Ok(false) => {}
                Err(_) if error == last_error => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot reload the TLS files: new connections use the former ones");
                }
            }
            last_error = error;
        }
    }
}

/// The contents of the files.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl fmt::Debug for Files {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Files {
    fn read(options: &TlsOptions) -> Result<Self, TlsError> {
        let client_ca = options.client_ca.as_deref().map(read).transpose()?;
        Ok(Self { certificate: read(&options.certificate)?, key: read(&options.key)?, client_ca })
    }

    fn config(&self, options: &TlsOptions) -> Result<ServerConfig, TlsError> {
        // An explicit provider: the process may have no default one, or another.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate, &options.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            TlsError::new(format!(
                "{} has no private key in PEM format that can be used: {error}; an encrypted key must be decrypted first",
                options.key.display()
            ))
        })?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(format!("TLS cannot be used: {error}")))?;
        let builder = match (&self.client_ca, &options.client_ca) {
            (Some(authorities), Some(path)) => {
                builder.with_client_cert_verifier(client_verifier(authorities, path, provider)?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(options, &error))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

fn client_verifier(
    authorities: &[u8],
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let unusable = |error: &dyn fmt::Display| {
        TlsError::new(format!("{} holds a certificate that is no authority: {error}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(authorities, path)? {
        roots.add(authority).map_err(|error| unusable(&error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| unusable(&error))
}

/// The certificates of a file, at least one.
fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(TlsError::new(format!("{} has no certificate in PEM format", path.display()))),
        Err(error) => Err(TlsError::new(format!("{} is not in PEM format: {error}", path.display()))),
    }
}

fn unusable(options: &TlsOptions, error: &Error) -> TlsError {
    let (certificate, key) = (options.certificate.display(), options.key.display());
    TlsError::new(match error {
        Error::InconsistentKeys(_) => {
            format!("the key in {key} is not that of the certificate in {certificate}")
        }
        Error::InvalidCertificate(error) => format!("the certificate in {certificate} is invalid: {error}"),
        error => format!("the certificate in {certificate} and the key in {key} cannot be used: {error}"),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = || {
        let mut content = Vec::new();
        File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read().map_err(|error| TlsError::unreadable(path, error))?;
    match content.len() as u64 {
        0..=FILE_BYTES_MAX => Ok(content),
        _ => Err(TlsError::new(format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display()))),
    }
}
