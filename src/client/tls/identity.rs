//! The certificate of a client and its key, from memory or from files that may change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// The certificate of a client and its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientIdentity(Source);

#[derive(Clone, PartialEq, Eq)]
enum Source {
    Memory(Pair),
    Files { certificate: PathBuf, key: PathBuf },
}

/// A certificate and a key in PEM format.
#[derive(Clone, PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl ClientIdentity {
    /// An identity of a certificate, followed by the intermediate ones, and its private key, in PEM format.
    pub fn new(certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self(Source::Memory(Pair { certificate: certificate.into(), key: key.into() }))
    }

    /// The same from files, which are read for each connection: a client that runs for long uses renewed certificates. While
    /// the files cannot be read or do not fit together, it uses the former ones and logs a warning.
    pub fn from_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self(Source::Files { certificate: certificate.into(), key: key.into() })
    }

    fn pair(&self) -> Result<Pair, String> {
        match &self.0 {
            Source::Memory(pair) => Ok(pair.clone()),
            Source::Files { certificate, key } => {
                Ok(Pair { certificate: read("certificate", certificate)?, key: read("key", key)? })
            }
        }
    }
}

impl fmt::Debug for ClientIdentity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

impl Pair {
    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let chain = certificates(&self.certificate)
            .map_err(|why| format!("the client certificate is unusable: {why}"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| format!("the client key is not a private key in PEM format: {error}"))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                "the client key is not that of the client certificate".to_owned()
            }
            error => format!("the client certificate or the client key is unusable: {error}"),
        })
    }
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|error| format!("the client {what} {} cannot be read: {error}", path.display()))
}

/// The certificates of a text in PEM format, at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match parsed {
        Ok(certificates) if certificates.is_empty() => Err("it has no certificate in PEM format".to_owned()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("it is not in PEM format: {error}")),
    }
}

/// The identity of each handshake.
pub(super) struct IdentityResolver {
    identity: ClientIdentity,
    provider: Arc<CryptoProvider>,
    current: Mutex<(Pair, Arc<CertifiedKey>)>,
}

impl IdentityResolver {
    /// # Errors
    ///
    /// What is wrong with the certificate or the key.
    pub(super) fn new(identity: ClientIdentity, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let pair = identity.pair()?;
        let certified = Arc::new(pair.certified(&provider)?);
        Ok(Self { identity, provider, current: Mutex::new((pair, certified)) })
    }

    /// Reads the files again. Returns whether they have changed.
    fn refresh(&self) -> Result<bool, String> {
        let pair = self.identity.pair()?;
        if self.current.lock().0 == pair {
            return Ok(false);
        }
        let certified = Arc::new(pair.certified(&self.provider)?);
        *self.current.lock() = (pair, certified);
        Ok(true)
    }
}

impl fmt::Debug for IdentityResolver {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityResolver").finish_non_exhaustive()
    }
}

impl ResolvesClientCert for IdentityResolver {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        match self.refresh() {
            Ok(true) => tracing::info!("the client certificate has changed: new connections use it"),
            Ok(false) => {}
            Err(error) => tracing::warn!("{error}; the former client certificate is used"),
        }
        Some(self.current.lock().1.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs;

    use super::*;

    fn issue(directory: &Path) {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
        fs::write(directory.join("crt"), certificate.pem()).expect("a file");
        fs::write(directory.join("key"), key.serialize_pem()).expect("a file");
    }

    #[test]
    fn files_that_do_not_fit_keep_the_former_pair_until_they_do() {
        let directory = std::env::temp_dir().join(format!("jobstream-identity-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        issue(&directory);
        let identity = ClientIdentity::from_files(directory.join("crt"), directory.join("key"));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let resolver = IdentityResolver::new(identity, provider).expect("a pair");
        let chain = || resolver.resolve(&[], &[]).expect("a certificate").cert.clone();
        let first = chain();
        fs::write(directory.join("key"), KeyPair::generate().expect("a key").serialize_pem())
            .expect("a file");
        assert!(resolver.refresh().is_err());
        fs::remove_file(directory.join("key")).expect("a file");
        assert_eq!(chain(), first);
        issue(&directory);
        assert_ne!(chain(), first);
        assert_eq!(resolver.refresh(), Ok(false));
        fs::remove_dir_all(&directory).expect("a directory");
    }
}
