//! Warnings about the dates and names of the server's certificate, and what a reload does with an expired one.

use std::time::{Duration, UNIX_EPOCH};

use jobstream::clock::Clock;
use jobstream::server::{ServerTls, TlsOptions};
use rcgen::date_time_ymd;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::hostile::closed;
use super::{Authority, Dev, HOSTS, host_of, start};

/// Ends a server that accepts connections. Returns its warnings.
pub(super) async fn warnings(dev: Dev) -> Vec<String> {
    let mut stream = TcpStream::connect(host_of(&dev)).await.expect("a connection");
    stream.shutdown().await.expect("an open connection");
    closed(&mut stream).await;
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
    stderr.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
}

#[tokio::test]
async fn dates_and_names_that_clients_refuse_are_reported_at_the_start() {
    let authority = Authority::new();
    authority.issue_expired("expired", &HOSTS);
    authority.issue_with("early", &HOSTS, |params| params.not_before = date_time_ymd(2999, 1, 1));
    let now = Duration::from_micros(Clock::system().now().wall.as_micros() as u64);
    let in_ten_days = UNIX_EPOCH + now + Duration::from_secs(10 * 24 * 60 * 60);
    authority.issue_with("soon", &HOSTS, |params| params.not_after = in_ten_days.into());
    authority.issue("nameless", &[]);
    authority.issue("other", &["jobs.example", "10.0.0.1"]);
    authority.issue("server", &["*.example", "other.test"]);
    for (name, flags, parts) in [
        ("expired", [].as_slice(), ["it has expired", "2020-01-01T00:00:00Z"]),
        ("early", &[], ["it is not valid yet", "2999-01-01T00:00:00Z"]),
        ("soon", &[], ["expires in 9 days and 23 hours", "not_after="]),
        ("nameless", &[], ["it has no names", "subjectAltName"]),
        (
            "other",
            &["--allowed-host", "[fd00::1]:80"],
            ["jobs.example, 10.0.0.1", "127.0.0.1, localhost, fd00::1"],
        ),
    ] {
        let warnings = warnings(start(&authority, name, flags).await).await;
        let [warning] = &warnings[..] else { panic!("{name}: {warnings:?}") };
        assert!(parts.iter().all(|part| warning.contains(part)), "{name}: {warning}");
    }
    let flags = ["--allowed-host", "jobs.example:7070"];
    assert_eq!(warnings(start(&authority, "server", &flags).await).await, [""; 0]);
}

/// The end of the error of a reload.
fn refusal(tls: &ServerTls) -> String {
    let error = tls.reload().expect_err("the new certificate is not valid").to_string();
    error.split_once("server.crt ").expect("the file").1.to_owned()
}

#[test]
fn a_reload_keeps_a_certificate_that_is_valid_until_the_new_one_is() {
    let authority = Authority::new();
    authority.issue_expired("server", &HOSTS);
    let options = TlsOptions::new(authority.path("server.crt"), authority.path("server.key"));
    let tls = ServerTls::load(options).expect("valid files");
    assert_eq!(tls.certificate().hosts, HOSTS);
    authority.issue_expired("server", &["other"]);
    assert!(tls.reload().expect("an expired one replaces an expired one"));
    authority.issue("server", &["jobs.example"]);
    assert!(tls.reload().expect("a valid one replaces an expired one"));
    authority.issue_expired("server", &HOSTS);
    assert_eq!(refusal(&tls), "has expired at 2020-01-01T00:00:00Z");
    authority.issue_with("server", &HOSTS, |params| params.not_before = date_time_ymd(2999, 1, 1));
    assert_eq!(refusal(&tls), "is not valid before 2999-01-01T00:00:00Z");
    assert_eq!(tls.certificate().hosts, ["jobs.example"]);
    assert_eq!(tls.certificate().not_after.as_micros() / 1_000_000, 67_090_118_400);
}
