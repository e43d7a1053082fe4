//! The names of the verified client certificate, as services see them, and clients without one.

use std::convert::Infallible;
use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use jobstream::client::{Client, ClientIdentity};
use jobstream::server::{
    ClientAuth, ClientCertificate, ConnectionInfo, ListenerLimits, ServeOptions, ServerTls, Shutdown,
    TlsOptions, serve,
};
use rcgen::SanType;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

use super::reload::localhost;
use super::{Authority, Dev, HOSTS, host_of, start};
use crate::support::{Remote, Served, needs, until, wait_for};

const URI: &str = "spiffe://example.org/billing";

/// A service whose methods answer with the names of the caller's certificate as the message of a status.
#[derive(Clone)]
struct Names;

impl NamedService for Names {
    const NAME: &'static str = "jobstream.v1.AdminService";
}

impl Service<Request<Body>> for Names {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let connection = request.extensions().get::<ConnectionInfo>().expect("a connection");
        let names = shown(connection.client_certificate.as_deref());
        Box::pin(async { Ok(Status::unknown(names).into_http()) })
    }
}

fn shown(certificate: Option<&ClientCertificate>) -> String {
    certificate.map_or("none".to_owned(), |certificate| {
        format!("uris={} dns={}", certificate.uris.join(","), certificate.dns_names.join(","))
    })
}

/// A server in this process, with client certificates of the authority.
fn names_server(authority: &Authority, presence: ClientAuth, shutdown: &Shutdown) -> SocketAddr {
    names_server_with(authority, presence, shutdown, ListenerLimits::default())
}

fn names_server_with(
    authority: &Authority,
    presence: ClientAuth,
    shutdown: &Shutdown,
    limits: ListenerLimits,
) -> SocketAddr {
    let mut files = TlsOptions::new(authority.path("server.crt"), authority.path("server.key"));
    files.client_ca = Some(authority.path("ca.crt").into());
    files.client_certificate = presence;
    let mut options = ServeOptions::default();
    options.limits = limits;
    options.tls = Some(ServerTls::load(files).expect("valid files"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    tokio::spawn(serve(listener, Routes::new(Names), options, shutdown.clone()));
    address
}

async fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let handshake = TlsConnector::from(config.clone()).connect(localhost(), stream);
    wait_for("a handshake", handshake).await.expect("a handshake")
}

/// Makes `calls` calls on a new connection. Returns the last answer and how the handshake was done.
async fn names(config: &Arc<ClientConfig>, address: SocketAddr, calls: usize) -> (String, HandshakeKind) {
    let mut stream = connect(config, address).await;
    let request = format!(
        "POST /jobstream.v1.AdminService/GetServerInfo HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/grpc-web\r\n\
         content-length: 0\r\n\r\n"
    );
    let mut answer = String::new();
    for _ in 0..calls {
        stream.write_all(request.as_bytes()).await.expect("an open connection");
        answer.clear();
        while !answer.contains("\r\n\r\n") {
            let mut bytes = [0; 1_024];
            let read = wait_for("an answer", stream.read(&mut bytes)).await.expect("an open connection");
            assert_ne!(read, 0, "the server closed the connection after {answer:?}");
            answer += std::str::from_utf8(&bytes[..read]).expect("text");
        }
    }
    let message = answer.lines().find_map(|line| line.strip_prefix("grpc-message: "));
    let message = message.expect("a status").replace("%20", " ").replace("%2C", ",");
    (message, stream.get_ref().1.handshake_kind().expect("a finished handshake"))
}

#[tokio::test]
async fn services_see_the_names_of_the_client_certificate() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue_with("billing", &["billing.example", "*.billing.example", "10.0.0.1"], |params| {
        params.subject_alt_names.push(SanType::URI(URI.try_into().expect("a URI")));
    });
    authority.issue("nameless", &[]);
    let shutdown = Shutdown::default();
    let address = names_server(&authority, ClientAuth::Optional, &shutdown);
    let billing = authority.client_config(&["http/1.1"], Some("billing"));
    // Each connection is a full handshake: a resumed session would keep the identity of an expired certificate.
    for _ in 0..2 {
        let expected = format!("uris={URI} dns=billing.example,*.billing.example");
        assert_eq!(names(&billing, address, 2).await, (expected, HandshakeKind::Full));
    }
    let nameless = authority.client_config(&["http/1.1"], Some("nameless"));
    assert_eq!(names(&nameless, address, 1).await.0, "uris= dns=");
    let anonymous = authority.client_config(&["http/1.1"], None);
    assert_eq!(names(&anonymous, address, 1).await.0, "none");
    shutdown.now.cancel();
}

#[tokio::test]
async fn an_optional_client_certificate_is_checked_if_it_is_sent() {
    needs!("curl");
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue("alice", &["alice"]);
    let ca = authority.path("ca.crt");
    let dev = start(&authority, "server", &["--tls-client-ca", &ca, "--tls-client-auth", "optional"]).await;
    let other = Authority::new();
    other.issue("mallory", &["alice"]);
    other.issue_expired("expired", &["alice"]);
    authority.issue_expired("expired", &["alice"]);
    let with = |issuer: &Authority, name: &str| {
        let file = issuer.path(name);
        format!("--ca {ca} --client-cert {file}.crt --client-key {file}.key")
    };
    dev.sh(&format!("jobstream run demo.echo 1 --ca {ca}")).await;
    dev.sh(&format!("jobstream run demo.echo 1 {}", with(&authority, "alice"))).await;
    dev.sh(&format!("curl --no-progress-meter --fail --cacert {ca} {}/v1/server", dev.address)).await;
    for (issuer, name) in [(&other, "mallory"), (&authority, "expired")] {
        let stderr = dev.sh(&format!("! jobstream info {} 2>&1", with(issuer, name))).await;
        assert!(stderr.contains("refused the client certificate"), "{name}: {stderr}");
    }
}

#[tokio::test]
async fn a_client_uses_renewed_files_for_its_next_connection() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue("client", &["first"]);
    let (shutdown, mut limits) = (Shutdown::default(), ListenerLimits::default());
    // A connection has to live for the first two.
    limits.tls_handshake_timeout = Duration::from_millis(500);
    limits.preface_timeout = Duration::from_millis(100);
    limits.connection_age = Duration::from_millis(100);
    limits.connection_age_grace = Duration::from_millis(100);
    let address = names_server_with(&authority, ClientAuth::Required, &shutdown, limits);
    let mut options = authority.client();
    let (certificate, key) = (authority.path("client.crt"), authority.path("client.key"));
    options.tls.identity = Some(ClientIdentity::from_files(certificate, key));
    let client = Client::connect_with(&format!("https://{address}"), options).await.expect("a connection");
    let names = async || client.server_info().await.expect_err("the service answers so").message().to_owned();
    assert!(names().await.contains("dns=first"), "{}", names().await);
    authority.issue("client", &["second"]);
    until("a connection with the renewed certificate", async || names().await.contains("dns=second")).await;
    shutdown.now.cancel();
}

#[tokio::test]
async fn a_worker_uses_renewed_files_without_a_restart() {
    let (authority, next) = (Authority::new(), Authority::named("the next CA"));
    authority.issue("server", &HOSTS);
    authority.issue("worker", &["worker"]);
    let server = |listen: String, client_ca: String| {
        let files = authority.flags("server");
        async move {
            let flags = files.iter().map(String::as_str).chain(["--tls-client-ca", &client_ca]);
            Dev::start_at(&listen, &flags.collect::<Vec<_>>()).await
        }
    };
    let dev = server("127.0.0.1:0".to_owned(), authority.path("ca.crt")).await;
    let listen = host_of(&dev).to_owned();
    let file = |name: &str| authority.path(name);
    let files = [file("ca.crt"), file("worker.crt"), file("worker.key"), file("token")];
    let write_token = |token: &str, mode| {
        std::fs::write(&files[3], token).expect("a file");
        std::fs::set_permissions(&files[3], Permissions::from_mode(mode)).expect("it is ours");
    };
    write_token("first", 0o600);
    let flags = [
        "--exec",
        "upper=tr a-z A-Z",
        "--ca",
        &files[0],
        "--client-cert",
        &files[1],
        "--client-key",
        &files[2],
        "--token-file",
        &files[3],
    ];
    let mut worker = Remote::connected(&dev, &flags).await;
    write_token("second", 0o644);
    dev.kill().await;
    let warning = async |worker: &mut Remote, file: &str| {
        let line = worker.wait_for_line(file).await;
        assert!(line.contains(" WARN ") && line.contains("has mode 644"), "{line}");
    };
    warning(&mut worker, "token file").await;
    next.issue("worker", &["worker"]);
    next.set_key_mode("worker", 0o644);
    for (name, path) in [("worker.crt", &files[1]), ("worker.key", &files[2])] {
        std::fs::copy(next.path(name), path).expect("a copy with its mode");
    }
    // This server accepts the new certificate only.
    let _dev = server(listen, next.path("ca.crt")).await;
    warning(&mut worker, "TLS key").await;
    worker.wait_for_line("connected to").await;
}

#[tokio::test]
async fn a_reload_without_the_principal_of_a_certificate_removes_its_access() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue("alice", &["alice"]);
    authority.issue("bob", &["bob"]);
    let [cert, key, ca] = ["server.crt", "server.key", "ca.crt"].map(|file| authority.path(file));
    let principal =
        |name: &str| format!("[auth.certificates.{name}]\nsubject_names = ['{name}']\ngrants = ['all']\n");
    let tls = format!("listen = '127.0.0.1:0'\n[tls]\ncert = {cert:?}\nkey = {key:?}\nclient_ca = {ca:?}\n");
    let both = tls.clone() + &principal("alice") + &principal("bob");
    let mut server = Served::start(&both).await;
    let mut options = authority.client();
    options.tls.identity =
        Some(ClientIdentity::from_files(authority.path("alice.crt"), authority.path("alice.key")));
    let client = Client::lazy(&format!("https://{}", server.address), options).expect("an address");
    assert_eq!(client.who_am_i().await.expect("a principal").principal, "alice");

    let reloaded = server.reload(&(tls + &principal("bob"))).await;
    assert!(reloaded.ends_with("removed alice"), "{reloaded}");

    let refused = client.who_am_i().await.expect_err("a removed principal");
    assert_eq!(refused.reason(), "CREDENTIAL_REQUIRED");
    assert!(refused.message().contains("auth.certificates.NAME.subject_names"), "{refused}");
}
