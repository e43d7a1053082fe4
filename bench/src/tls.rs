//! The certificate of a server over TLS, and connections that trust it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jobstream::server::{ServerTls, TlsOptions};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Result;

const HOST: &str = "localhost";

/// Writes a certificate and its key, both ECDSA P-256, to a new directory. Returns how a client connects.
pub(super) fn issue(directory: &Path) -> Result<TlsConnector> {
    fs::create_dir(directory)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([HOST.to_owned()])?.self_signed(&key)?;
    fs::write(directory.join("server.crt"), certificate.pem())?;
    fs::write(directory.join("server.key"), key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config).into())
}

/// Loads the files of [`issue`].
pub(super) fn load(directory: &Path) -> Result<ServerTls> {
    Ok(ServerTls::load(TlsOptions::new(directory.join("server.crt"), directory.join("server.key")))?)
}

/// Does the handshake of a connection.
pub(super) async fn connect(connector: &TlsConnector, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
    Ok(connector.connect(ServerName::try_from(HOST)?, stream).await?)
}
