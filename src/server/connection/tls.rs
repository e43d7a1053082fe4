//! The TLS handshake of a connection, the names of its client certificate, and how its failures are logged.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, Error, InvalidMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use super::super::connection_thread::ThreadState;
use super::super::limits::ListenerLimits;
use super::super::tls::ServerTls;
use super::{Shared, plain_text, serve_http};
use crate::api::grpc::ClientCertificate;

/// Longest time, and most bytes, that are read from a peer after its handshake failed.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES_MAX: u64 = 64 << 10;

const PLAIN_TEXT: &str = "it sent plain text to the TLS port: its address must begin with https://";

/// Does the handshake within its timeout, then serves requests. It ends at once if the watchdog requests a GOAWAY during the
/// handshake.
pub(super) async fn serve(
    tls: ServerTls,
    thread: Arc<ThreadState>,
    stream: TcpStream,
    shared: Arc<Shared>,
    mut go_away_requested: oneshot::Receiver<()>,
) {
    let peer = shared.info.peer;
    let handshake = Box::pin(shake_hands(&tls, peer, stream, &thread.limits));
    let handshake = thread.handshakes.run(handshake);
    let accepted = tokio::select! {
        biased;
        accepted = timeout(thread.limits.tls_handshake_timeout, handshake) => accepted,
        _ = &mut go_away_requested => return,
    };
    match accepted {
        Ok(Some(Ok(stream))) => {
            if let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first)
                && let Some(certificate) = client_certificate(certificate)
            {
                // Nothing else sets it.
                let _ = shared.client_certificate.set(Arc::new(certificate));
            }
            serve_http(thread, stream, shared, go_away_requested).await;
        }
        Ok(Some(Err(stream))) => linger(stream).await,
        Ok(None) => {
            if let Some(suppressed) = tls.handshake_warning().pass() {
                tracing::warn!(%peer, suppressed, "closed a connection: its TLS handshake was the oldest one, and max_tls_handshakes are open");
            }
        }
        Err(_) => tracing::debug!(%peer, "closed a connection that sent no TLS handshake in time"),
    }
}

/// Returns the socket if the handshake failed, which is logged, or if the peer sent HTTP, which was answered.
async fn shake_hands(
    tls: &ServerTls,
    peer: SocketAddr,
    mut stream: TcpStream,
    limits: &ListenerLimits,
) -> Result<Box<TlsStream<TcpStream>>, TcpStream> {
    if plain_text::is_http(&stream).await {
        if let Some(suppressed) = tls.handshake_warning().pass() {
            tracing::warn!(%peer, suppressed, "closed a connection: {PLAIN_TEXT}");
        }
        plain_text::refuse(&mut stream, limits).await;
        return Err(stream);
    }
    let accepted = TlsAcceptor::from(tls.config()).accept(stream).into_fallible().await;
    accepted.map(Box::new).map_err(|(error, stream)| {
        log_failure(tls, peer, &error);
        stream
    })
}

/// The names of a certificate that rustls has verified; `None` if it cannot be parsed, which the verification excludes.
fn client_certificate(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let names = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect();
    Some(ClientCertificate {
        uris: names(&mut certificate.valid_uri_names()),
        dns_names: names(&mut certificate.valid_dns_names()),
    })
}

/// Sends the end of the stream and reads what the peer has sent, for a short time. Unread bytes would reset the connection, and
/// the peer would not see the alert with the reason.
async fn linger(mut stream: TcpStream) {
    // The peer may have closed the connection.
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES_MAX);
        let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

fn log_failure(tls: &ServerTls, peer: SocketAddr, error: &io::Error) {
    match problem(error) {
        Some(problem) => {
            if let Some(suppressed) = tls.handshake_warning().pass() {
                tracing::warn!(%peer, %error, suppressed, "closed a connection: {problem}");
            }
        }
        None => tracing::debug!(%peer, %error, "the connection failed during its TLS handshake"),
    }
}

/// What is wrong with the peer's handshake; `None` if the connection broke.
fn problem(error: &io::Error) -> Option<&'static str> {
    use AlertDescription::{BadCertificate, CertificateUnknown, UnknownCA};
    let problem = match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => PLAIN_TEXT,
        Error::NoApplicationProtocol => {
            "its client offers neither h2 nor http/1.1 by ALPN: it is no HTTP client"
        }
        Error::NoCertificatesPresented => "it sent no client certificate, and the server requires one",
        Error::InvalidCertificate(_) => "its client certificate was refused",
        Error::AlertReceived(UnknownCA | BadCertificate | CertificateUnknown) => {
            "its client does not trust the certificate of this server"
        }
        _ => "its TLS handshake failed",
    };
    Some(problem)
}
