//! TLS between real clients and the binary: protocols, certificates, reload, hostile peers.

mod authority;
mod client_certificate;
#[cfg(feature = "dev-tls")]
mod dev;
mod flood;
mod hostile;
mod key_mode;
mod nonsense;
mod plain_text;
mod reload;
mod validity;

use jobstream::client::{Client, ClientIdentity, Error, ErrorKind, reason};
use jobstream::server::{ServerTls, TlsOptions};
use jobstream::worker::{JobContext, RemoteOptions, Worker, WorkerEnd};
use tokio::process::Command;

use crate::support::{Dev, Remote, needs, wait_for};
use authority::Authority;

const HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];

/// What errors say about a file with the other half of a pair.
const NO_CERTIFICATE: &str = "has no certificate in PEM format: expected -----BEGIN CERTIFICATE-----, \
                              found -----BEGIN PRIVATE KEY-----";
const NO_KEY: &str = "has no private key in PEM format: expected -----BEGIN PRIVATE KEY-----, \
                      found -----BEGIN CERTIFICATE-----";

/// Starts a server with the files of this name and further flags.
async fn start(authority: &Authority, name: &str, flags: &[&str]) -> Dev {
    let files = authority.flags(name);
    let flags: Vec<_> = files.iter().map(String::as_str).chain(flags.iter().copied()).collect();
    Dev::start(&flags).await
}

/// Returns the host and the port.
fn host_of(dev: &Dev) -> &str {
    dev.address.strip_prefix("https://").expect("a server with TLS")
}

#[tokio::test]
async fn every_protocol_is_served() {
    needs!("curl");
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let dev = start(&authority, "server", &[]).await;
    let (ca, url) = (authority.path("ca.crt"), dev.address.clone());
    for version in ["--http1.1", "--http2"] {
        let curl = format!("curl --no-progress-meter --fail {version} --cacert {ca}");
        let job = r#"{"kind": "demo.count", "payload": {"json": {"to": 2}}}"#;
        let stdout = dev.sh(&format!("{curl} --json '{job}' '{url}/v1/jobs?wait=30s'")).await;
        assert!(stdout.contains("JOB_STATE_SUCCEEDED"), "{stdout}");
        let events = "-H 'accept: text/event-stream'";
        let stdout = dev.sh(&format!("{curl} --json '{{\"job\": {job}}}' {events} {url}/v1/jobs:run")).await;
        assert!(stdout.contains("data: ") && stdout.contains("JOB_STATE_SUCCEEDED"), "{stdout}");
    }
    let curl = format!("curl --no-progress-meter --fail --cacert {ca}");
    let stdout = dev
        .sh(&format!(
            "id=$(jobstream submit demo.count '{{\"to\": 2}}' --ca {ca}); {curl} {url}/v1/jobs/$id/events"
        ))
        .await;
    assert!(stdout.contains("\nid: ") && stdout.contains("JOB_STATE_SUCCEEDED"), "{stdout}");
    let grpc_web = "-H 'content-type: application/grpc-web+proto' --data-binary @- --output -";
    let method = "jobstream.v1.AdminService/GetServerInfo";
    let stdout = dev.sh(&format!("printf '\\0\\0\\0\\0\\0' | {curl} {grpc_web} {url}/{method}")).await;
    assert!(stdout.contains("grpc-status:0"), "{stdout}");
    let worker = ["--exec", "upper=tr a-z A-Z", "--ca", &ca];
    let _worker = Remote::connected(&dev, &worker).await;
    let stdout =
        dev.sh(&format!("jobstream run upper --text hello --ca {ca}; jobstream jobs ls --ca {ca}")).await;
    assert!(stdout.starts_with("HELLO"), "{stdout}");
    if Command::new("grpcurl").arg("-version").output().await.is_ok() {
        let run = "jobstream.v1.JobService/Run";
        let request = r#"{"job": {"kind": "demo.count"}}"#;
        let host = host_of(&dev);
        let stdout = dev.sh(&format!("grpcurl -cacert {ca} -d '{request}' {host} {run}")).await;
        assert!(stdout.contains("JOB_STATE_SUCCEEDED"), "{stdout}");
    }
}

/// Connects, and returns the reason and the message of the error.
async fn refusal(address: &str, trusted: &Authority) -> (String, String) {
    let connecting = wait_for("an error", Client::connect_with(address, trusted.client())).await;
    let error = connecting.expect_err("the certificate is not acceptable");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(!error.is_transient() && error.message().contains(address), "{error}");
    (error.reason().to_owned(), error.message().to_owned())
}

#[tokio::test]
async fn an_unusable_server_is_reported_in_words() {
    let authority = Authority::new();
    authority.issue("server", &["jobs.example"]);
    authority.issue_expired("expired", &HOSTS);
    let dev = start(&authority, "server", &[]).await;
    let (reason, message) = refusal(&dev.address, &Authority::new()).await;
    assert_eq!(reason, reason::UNKNOWN_CA);
    assert!(message.contains("does not trust"), "{message}");
    let (reason, message) = refusal(&dev.address, &authority).await;
    assert_eq!(reason, reason::INVALID_CERTIFICATE);
    assert!(message.contains("is not for 127.0.0.1, but for jobs.example: use"), "{message}");
    let expired = start(&authority, "expired", &[]).await;
    let (reason, message) = refusal(&expired.address, &authority).await;
    assert_eq!(reason, reason::INVALID_CERTIFICATE);
    assert!(message.contains("has expired"), "{message}");
    let plain = Dev::start(&[]).await;
    let (reason, message) = refusal(&format!("https://{}", plain.address), &authority).await;
    assert_eq!(reason, reason::NOT_TLS);
    assert!(message.contains("plain text"), "{message}");
}

#[tokio::test]
async fn a_worker_that_was_never_connected_ends_if_certificates_or_the_address_are_wrong() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue("elsewhere", &["jobs.example"]);
    let dev = start(&authority, "server", &[]).await;
    let elsewhere = start(&authority, "elsewhere", &[]).await;
    let plain = Dev::start(&[]).await;
    for (address, trusted, reason) in [
        (dev.address.clone(), &Authority::new(), reason::UNKNOWN_CA),
        (elsewhere.address.clone(), &authority, reason::INVALID_CERTIFICATE),
        (format!("https://{}", plain.address), &authority, reason::NOT_TLS),
        (format!("http://{}", host_of(&dev)), &authority, reason::TLS_REQUIRED),
    ] {
        let client = Client::lazy(&address, trusted.client()).expect("a client");
        let worker = Worker::new().handler("k", |_: JobContext, (): ()| async { Ok(()) });
        let running = worker.connect(&client, RemoteOptions::default()).expect("valid");
        let end = wait_for("its end", running.wait()).await;
        let WorkerEnd::Refused(status) = end else { panic!("{reason}: {end:?}") };
        assert_eq!(Error::from_status(&status, &address).reason(), reason);
    }
}

#[tokio::test]
async fn the_command_line_names_the_way_out() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue("alice", &["alice"]);
    let dev = start(&authority, "server", &[]).await;
    let other = Authority::named("another CA");
    let plain = format!("http://{}", host_of(&dev));
    let (certificate, key) = (authority.path("alice.crt"), authority.path("server.key"));
    for (arguments, parts) in [
        (
            format!("--address {} --ca {}", dev.address, other.path("ca.crt")),
            ["does not trust", "--ca FILE or JOBSTREAM_CA"],
        ),
        (format!("--address {plain}"), [plain.as_str(), &format!("use {}", dev.address)]),
        (format!("--address {plain} --ca ca.crt"), ["--ca needs TLS", "https://host:port"]),
        (
            format!("--address {} --ca no-such-file", dev.address),
            ["the CA certificate no-such-file cannot be read: No such file", ""],
        ),
        (
            format!("--address {} --ca {key}", dev.address),
            [&format!("the CA certificate {key} {NO_CERTIFICATE}"), ""],
        ),
        (
            format!("--address {} --client-cert {key} --client-key {key}", dev.address),
            [&format!("the client certificate {key} {NO_CERTIFICATE}"), ""],
        ),
        (
            format!("--address {} --client-cert {certificate} --client-key {certificate}", dev.address),
            [&format!("the client key {certificate} {NO_KEY}"), ""],
        ),
        (
            format!("--address {} --client-cert {certificate} --client-key {key}", dev.address),
            ["TLS to", &format!("the client key {key} is not that of the client certificate {certificate}")],
        ),
    ] {
        let stderr = dev.sh(&format!("! jobstream info {arguments} 2>&1")).await;
        assert!(parts.iter().all(|part| stderr.contains(part)), "{arguments}: {stderr}");
    }
}

#[test]
fn an_error_names_the_file_that_is_not_the_expected_one() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let file = |name: &str| authority.path(name);
    let (certificate, key) = (file("server.crt"), file("server.key"));
    let mut wrong_ca = TlsOptions::new(&certificate, &key);
    wrong_ca.client_ca = Some((&key).into());
    for (options, expected) in [
        (TlsOptions::new(&key, &key), format!("{key} {NO_CERTIFICATE}")),
        (TlsOptions::new(&certificate, &certificate), format!("{certificate} {NO_KEY}")),
        (wrong_ca, format!("{key} {NO_CERTIFICATE}")),
    ] {
        assert_eq!(ServerTls::load(options).expect_err("the wrong file").to_string(), expected);
    }
    let mut options = authority.client();
    let error = options.tls.set_ca_file(&key).expect_err("the wrong file");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.message(), format!("the CA certificate {key} {NO_CERTIFICATE}"));
    options.tls.set_ca_file(file("ca.crt")).expect("an authority");
    options.tls.identity = Some(ClientIdentity::from_files(&certificate, &certificate));
    let error = Client::lazy("https://localhost:1", options).expect_err("the wrong file");
    assert!(error.message().contains(&format!("the client key {certificate} {NO_KEY}")), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_required_and_checked() {
    needs!("curl");
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue("alice", &["alice"]);
    let dev = start(&authority, "server", &["--tls-client-ca", &authority.path("ca.crt")]).await;
    let flags = |name: &str, issuer: &Authority| {
        let (ca, file) = (authority.path("ca.crt"), issuer.path(name));
        format!("--ca {ca} --client-cert {file}.crt --client-key {file}.key")
    };
    dev.sh(&format!("jobstream run demo.echo 1 {}", flags("alice", &authority))).await;
    let curl = format!("curl --no-progress-meter --cacert {}", authority.path("ca.crt"));
    let alice = authority.path("alice");
    let url = format!("{}/v1/server", dev.address);
    dev.sh(&format!("{curl} --fail --cert {alice}.crt --key {alice}.key {url}; ! {curl} {url} 2>&1")).await;

    let without = dev.sh(&format!("! jobstream info --ca {} 2>&1", authority.path("ca.crt"))).await;
    assert!(
        without.contains("requires a client certificate") && without.contains("--client-cert"),
        "{without}"
    );
    let other = Authority::new();
    other.issue("mallory", &["alice"]);
    let foreign = dev.sh(&format!("! jobstream info {} 2>&1", flags("mallory", &other))).await;
    assert!(foreign.contains("refused the client certificate"), "{foreign}");

    let mut options = authority.client();
    options.tls.identity = Some(authority.identity("alice"));
    let client = Client::connect_with(&dev.address, options).await.expect("a connection");
    let number: i64 = client.job("demo.echo").json(&7).expect("JSON").run().await.expect("a result");
    assert_eq!(number, 7);
}

#[tokio::test]
async fn files_that_do_not_fit_are_refused_at_the_start() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue("other", &HOSTS);
    let file = |name: &str| authority.path(name);
    for (cert, key, message) in [
        ("server.crt", "other.key", "other.key is not that of the certificate"),
        ("server.key", "server.key", "server.key has no certificate"),
        ("server.crt", "server.crt", "server.crt has no private key"),
        ("missing.crt", "server.key", "cannot read"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
        command.args(["dev", "--listen", "127.0.0.1:0", "--tls-cert", &file(cert), "--tls-key", &file(key)]);
        let output = wait_for("it ends", command.output()).await.expect("it runs");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
    }
}
