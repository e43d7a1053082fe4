//! A certificate authority, and the files that it issues in a temporary directory.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobstream::client::{ClientIdentity, ClientOptions};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::support::new_id;

/// An authority and a directory with its certificate, `ca.crt`. The directory is removed when it is dropped.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    directory: PathBuf,
}

impl Authority {
    pub(super) fn new() -> Self {
        Self::named("jobstream test CA")
    }

    /// Two authorities of the same name have different keys.
    pub(super) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", new_id()));
        std::fs::create_dir(&directory).expect("a new directory");
        std::fs::write(directory.join("ca.crt"), &pem).expect("a file");
        Self { issuer: Issuer::new(params, key), pem, directory }
    }

    /// The path of a file in the directory.
    pub(super) fn path(&self, file: &str) -> String {
        self.directory.join(file).display().to_string()
    }

    /// Writes `NAME.crt` and `NAME.key` for these hosts. Returns the certificate.
    pub(super) fn issue(&self, name: &str, hosts: &[&str]) -> String {
        self.write(name, params(hosts))
    }

    /// [`Authority::issue`] with changed parameters.
    pub(super) fn issue_with(&self, name: &str, hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let mut params = params(hosts);
        change(&mut params);
        self.write(name, params);
    }

    pub(super) fn issue_expired(&self, name: &str, hosts: &[&str]) {
        self.issue_with(name, hosts, |params| params.not_after = date_time_ymd(2020, 1, 1));
    }

    fn write(&self, name: &str, params: CertificateParams) -> String {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        std::fs::write(self.path(&format!("{name}.crt")), &certificate).expect("a file");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("a file");
        self.set_key_mode(name, 0o600);
        certificate
    }

    /// Changes the mode of `NAME.key`, which only its owner can read at first.
    pub(super) fn set_key_mode(&self, name: &str, mode: u32) {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path(&format!("{name}.key")), permissions).expect("a file");
    }

    /// The flags of a server with the files of this name.
    pub(super) fn flags(&self, name: &str) -> [String; 4] {
        let file = |ending| self.path(&format!("{name}.{ending}"));
        ["--tls-cert".to_owned(), file("crt"), "--tls-key".to_owned(), file("key")]
    }

    /// The options of a client that trusts this authority only.
    pub(super) fn client(&self) -> ClientOptions {
        let mut options = ClientOptions::default();
        options.tls.ca = Some(self.pem.clone().into_bytes());
        options
    }

    /// Handshakes with ALPN for these protocols, and with the certificate of this name.
    pub(super) fn client_config(&self, protocols: &[&str], name: Option<&str>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM")).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("TLS 1.2 and 1.3").with_root_certificates(roots);
        let mut config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let certificate = CertificateDer::from_pem_file(self.path(&format!("{name}.crt")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key")));
                let chain = vec![certificate.expect("a certificate")];
                builder.with_client_auth_cert(chain, key.expect("a key")).expect("a pair")
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// The identity of the files of this name.
    pub(super) fn identity(&self, name: &str) -> ClientIdentity {
        let read = |ending| std::fs::read(self.path(&format!("{name}.{ending}"))).expect("a file");
        ClientIdentity::new(read("crt"), read("key"))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // A remaining directory in the target directory is harmless.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn params(hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("valid names");
    params.distinguished_name.push(DnType::CommonName, "a test");
    params
}
