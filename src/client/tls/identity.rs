//! The certificate of a client and its key, from memory or from files that may change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;

use crate::{pem, secret_file};

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
    /// the files cannot be read or do not fit together, it uses the former ones and logs a warning. After
    /// a change it also logs one if other users can use the key.
    pub fn from_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self(Source::Files { certificate: certificate.into(), key: key.into() })
    }

    fn pair(&self) -> Result<Pair, String> {
        match &self.0 {
            Source::Memory(pair) => Ok(pair.clone()),
            Source::Files { certificate, key } => {
                let [of_certificate, of_key] = self.names();
                Ok(Pair { certificate: read(&of_certificate, certificate)?, key: read(&of_key, key)? })
            }
        }
    }

    /// The certificate and the key, as errors name them.
    fn names(&self) -> [String; 2] {
        match &self.0 {
            Source::Memory(_) => ["the client certificate".to_owned(), "the client key".to_owned()],
            Source::Files { certificate, key } => [
                format!("the client certificate {}", certificate.display()),
                format!("the client key {}", key.display()),
            ],
        }
    }

    fn certified(&self, pair: &Pair, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let [of_certificate, of_key] = self.names();
        let chain = pem::certificates(&pair.certificate).map_err(|why| format!("{of_certificate} {why}"))?;
        let key = pem::private_key(&pair.key).map_err(|why| format!("{of_key} {why}"))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => format!("{of_key} is not that of {of_certificate}"),
            rustls::Error::InvalidCertificate(error) => {
                format!("{of_certificate} is unusable: {}", super::unusable_certificate(&error))
            }
            error => format!("{of_certificate} or {of_key} is unusable: {error}"),
        })
    }

    /// The warning about a file of the key that other users can use.
    fn warning(&self) -> Option<String> {
        match &self.0 {
            Source::Memory(_) => None,
            Source::Files { key, .. } => secret_file::warning("TLS key", key),
        }
    }
}

impl fmt::Debug for ClientIdentity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

/// Reads a file. `name` is that in the error.
fn read(name: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{name} cannot be read: {error}"))
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
        let certified = Arc::new(identity.certified(&pair, &provider)?);
        Ok(Self { identity, provider, current: Mutex::new((pair, certified)) })
    }

    /// Reads the files again. Returns whether they have changed.
    fn refresh(&self) -> Result<bool, String> {
        let pair = self.identity.pair()?;
        if self.current.lock().0 == pair {
            return Ok(false);
        }
        let certified = Arc::new(self.identity.certified(&pair, &self.provider)?);
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
            Ok(true) => {
                tracing::info!("the client certificate has changed: new connections use it");
                if let Some(warning) = self.identity.warning() {
                    tracing::warn!("{warning}");
                }
            }
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

    /// Of `openssl req` and `openssl x509 -req` without extensions, and its key.
    const VERSION_1: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBJjCBzgIUbN/8JbRZu+v4KWnn/Fsc0mPms+wwCgYIKoZIzj0EAwIwFzEVMBMG\n\
        A1UEAwwMam9ic3RyZWFtIENBMCAXDTI2MTEzMDIwMjQ1NFoYDzIxMjYxMTA2MjAy\n\
        NDU0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMB\n\
        BwNCAASO9RiSvV2JgZxsUHqd5T4jcy8SzB+q0Rf6kD9m3O9WPPLW+FGx4c6r4R9o\n\
        NEzUAnlAsQ9t2vUVmoV1XdOwiZi6MAoGCCqGSM49BAMCA0cAMEQCICUgmY1dNK7b\n\
        QWqZySbYetwjrEwEsolAGKgND0pvy69lAiBArm3NbVl9293QPrwfs/Um+yGIfuRC\n\
        t0k1JjswIL0UGw==\n\
        -----END CERTIFICATE-----";
    const VERSION_1_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFVb8qcHkAvLYukCb\n\
        kDpyJQ7COLT5mzjnh4lP0kds91ShRANCAASO9RiSvV2JgZxsUHqd5T4jcy8SzB+q\n\
        0Rf6kD9m3O9WPPLW+FGx4c6r4R9oNEzUAnlAsQ9t2vUVmoV1XdOwiZi6\n\
        -----END PRIVATE KEY-----";

    fn issue(directory: &Path) {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
        fs::write(directory.join("crt"), certificate.pem()).expect("a file");
        fs::write(directory.join("key"), key.serialize_pem()).expect("a file");
    }

    #[test]
    fn a_certificate_without_extensions_is_refused_with_the_way_out() {
        let identity = ClientIdentity::new(VERSION_1, VERSION_1_KEY);
        let error = IdentityResolver::new(identity, Arc::new(aws_lc_rs::default_provider())).err();
        let error = error.expect("a certificate of version 1");
        assert!(error.contains("X.509 version 1") && error.ends_with("with subjectAltName"), "{error}");
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
