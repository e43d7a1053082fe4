//! TLS of the listener: its certificate, key and client CA from PEM files, and their reload.
//!
//! Module `connection` does the handshakes.

mod certificate;
mod monitor;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{Error, RootCertStore, ServerConfig};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::throttle::Throttle;
use crate::clock::Clock;
use crate::{pem, secret_file};
pub use certificate::CertificateInfo;
use monitor::Monitor;

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
    /// Certificates of authorities. If set, clients present a certificate that one of them issued. Default: none.
    pub client_ca: Option<PathBuf>,
    /// Whether each client must present a certificate. It has no effect without `client_ca`. Default: required.
    pub client_certificate: ClientAuth,
    /// How often a running server reads the files and applies changes. Default 10 s.
    pub poll_interval: Duration,
}

/// Whether a client must present a certificate in the TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// A client without a certificate is refused.
    #[default]
    Required,
    /// A client without a certificate is served, and
    /// [`ConnectionInfo::client_certificate`](super::ConnectionInfo::client_certificate) is `None`. One whose certificate is
    /// invalid is refused.
    Optional,
}

impl TlsOptions {
    /// The options with these two files, and every other option at its default.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (certificate.into(), key.into());
        Self {
            certificate,
            key,
            client_ca: None,
            client_certificate: ClientAuth::default(),
            poll_interval: Duration::from_secs(10),
        }
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

    /// What is wrong with the content of a file.
    fn about(path: &Path) -> impl Fn(String) -> Self {
        move |problem| Self::new(format!("{} {problem}", path.display()))
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
/// A running server polls the files. After a change it logs a warning if other users can use the key. Connections that are open
/// continue with the certificate that they began with.
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
    current: Mutex<Loaded>,
    /// Held during a reload, so that no older options replace newer ones.
    reloading: Mutex<()>,
    /// Notified when the files have been reloaded.
    reloaded: Notify,
    handshake_warning: Throttle,
}

/// The config for new connections, and the files that it was made from.
#[derive(Debug)]
struct Loaded {
    options: TlsOptions,
    files: Files,
    certificate: CertificateInfo,
    config: Arc<ServerConfig>,
}

impl Loaded {
    fn new(files: Files, options: TlsOptions) -> Result<Self, TlsError> {
        let config = Arc::new(files.config(&options)?);
        let malformed =
            || TlsError::new(format!("the certificate in {} is malformed", options.certificate.display()));
        let certificate = CertificateInfo::from_pem(&files.certificate).ok_or_else(malformed)?;
        Ok(Self { options, files, certificate, config })
    }
}

impl ServerTls {
    /// Loads the files. It blocks its thread while it reads them.
    ///
    /// A certificate that has expired is loaded as well, since the clock may be wrong and the files may be replaced at any
    /// time. A running server logs a warning with the dates.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or holds something else, or the key is not that of the certificate.
    pub fn load(options: TlsOptions) -> Result<Self, TlsError> {
        let files = Files::read(&options)?;
        let current = Mutex::new(Loaded::new(files, options)?);
        let (reloaded, handshake_warning) = (Notify::new(), Throttle::default());
        Ok(Self(Arc::new(Inner { current, reloading: Mutex::default(), reloaded, handshake_warning })))
    }

    /// Loads the files again for new connections. Returns whether they have changed. Sessions of earlier connections cannot
    /// be resumed after a change. It blocks its thread while it reads the files.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::load`], and if the new certificate is not valid now but the former one is. New connections get the
    /// former certificate then.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let _one_at_a_time = self.0.reloading.lock();
        let options = self.0.current.lock().options.clone();
        self.replace(options)
    }

    /// [`ServerTls::reload`] with other options.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::reload`]. The former options stay then.
    pub fn reload_with(&self, options: TlsOptions) -> Result<bool, TlsError> {
        let _one_at_a_time = self.0.reloading.lock();
        self.replace(options)
    }

    fn replace(&self, options: TlsOptions) -> Result<bool, TlsError> {
        let files = Files::read(&options)?;
        let is_current = |current: &Loaded| current.files == files && current.options == options;
        if is_current(&self.0.current.lock()) {
            return Ok(false);
        }
        let loaded = Loaded::new(files, options)?;
        let now = Clock::system().now().wall;
        let mut current = self.0.current.lock();
        if let Some(problem) = loaded.certificate.problem(now)
            && current.certificate.problem(now).is_none()
        {
            let path = loaded.options.certificate.display();
            return Err(TlsError::new(format!("the certificate in {path} {problem}")));
        }
        *current = loaded;
        self.0.reloaded.notify_one();
        Ok(true)
    }

    /// The certificate of the server that new connections get.
    pub fn certificate(&self) -> CertificateInfo {
        self.0.current.lock().certificate.clone()
    }

    /// The config for the next connection.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.0.current.lock().config.clone()
    }

    /// Limits the warnings of failed handshakes.
    pub(super) fn handshake_warning(&self) -> &Throttle {
        &self.0.handshake_warning
    }

    /// Starts a task that polls the files, and logs what is wrong with the certificate, until the handle is dropped. Clients
    /// reach the server by its addresses and the allowed hosts.
    pub(super) fn watch_files(
        self,
        listeners: &[SocketAddr],
        allowed_hosts: &[String],
    ) -> AbortOnDropHandle<()> {
        let mut monitor = Monitor::new(listeners, allowed_hosts);
        self.check(&mut monitor);
        AbortOnDropHandle::new(tokio::spawn(self.poll_files(monitor)))
    }

    fn check(&self, monitor: &mut Monitor) {
        monitor.check(&self.certificate(), Clock::system().now().wall, Instant::now());
    }

    async fn poll_files(self, mut monitor: Monitor) {
        let mut last_error = None;
        loop {
            self.check(&mut monitor);
            let poll_interval = self.0.current.lock().options.poll_interval;
            tokio::select! {
                () = sleep(poll_interval) => {}
                // By SIGHUP or by the embedder.
                () = self.0.reloaded.notified() => continue,
            }
            let tls = self.clone();
            let Ok(reloaded) = tokio::task::spawn_blocking(move || tls.reload()).await else { return };
            let error = reloaded.as_ref().err().map(ToString::to_string);
            match reloaded {
                Ok(true) => {
                    tracing::info!("reloaded the TLS files, which have changed: new connections use them");
                    let key = self.0.current.lock().options.key.clone();
                    if let Some(warning) = secret_file::warning("TLS key", &key) {
                        tracing::warn!("{warning}");
                    }
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
        let chain = pem::certificates(&self.certificate).map_err(TlsError::about(&options.certificate))?;
        let key = pem::private_key(&self.key).map_err(TlsError::about(&options.key))?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(format!("TLS cannot be used: {error}")))?;
        let builder = match (&self.client_ca, &options.client_ca) {
            (Some(authorities), Some(path)) => {
                let verifier = client_verifier(authorities, path, options.client_certificate, provider)?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(options, &error))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        if self.client_ca.is_some() {
            // A resumed session has the client certificate of an earlier handshake, which may have expired since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

fn client_verifier(
    authorities: &[u8],
    path: &Path,
    presence: ClientAuth,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let unusable = |error: &dyn fmt::Display| {
        TlsError::new(format!("{} holds a certificate that is no authority: {error}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for authority in pem::certificates(authorities).map_err(TlsError::about(path))? {
        roots.add(authority).map_err(|error| unusable(&error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = match presence {
        ClientAuth::Required => verifier,
        ClientAuth::Optional => verifier.allow_unauthenticated(),
    };
    verifier.build().map_err(|error| unusable(&error))
}

fn unusable(options: &TlsOptions, error: &Error) -> TlsError {
    let (certificate, key) = (options.certificate.display(), options.key.display());
    TlsError::new(match error {
        Error::InconsistentKeys(_) => {
            format!("the key in {key} is not that of the certificate in {certificate}")
        }
        Error::InvalidCertificate(error) => {
            let why = crate::client::tls::unusable_certificate(error);
            format!("the certificate in {certificate} is invalid: {why}")
        }
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
