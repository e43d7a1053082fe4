//! Warnings about keys that other users can read, of servers and of clients.

use std::os::unix::fs::symlink;

use rustix::process::Signal;
use tokio::process::Command;

use super::validity::warnings;
use super::{Authority, HOSTS, start};
use crate::support::{Served, wait_for};

/// The warning about a key of mode 0644.
fn warning(key: &str) -> String {
    format!("the TLS key {key} has mode 644, other users can use it: run chmod 600 {key}")
}

#[tokio::test]
async fn a_server_warns_of_a_key_that_others_can_read_and_uses_it() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    assert_eq!(warnings(start(&authority, "server", &[]).await).await, [""; 0]);
    authority.set_key_mode("server", 0o644);
    // As certbot and Kubernetes do.
    for ending in ["crt", "key"] {
        let file = |name: &str| authority.path(&format!("{name}.{ending}"));
        symlink(file("server"), file("live")).expect("a link");
    }
    let warnings = warnings(start(&authority, "live", &[]).await).await;
    let expected = warning(&authority.path("live.key"));
    assert!(matches!(&warnings[..], [line] if line.ends_with(&expected)), "{warnings:?}");
}

#[tokio::test]
async fn a_reload_warns_of_a_key_that_others_can_read() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let (cert, key) = (authority.path("server.crt"), authority.path("server.key"));
    let config = format!("listen = '127.0.0.1:0'\n[tls]\ncert = {cert:?}\nkey = {key:?}\n");
    let mut server = Served::start(&config).await;
    authority.set_key_mode("server", 0o644);
    server.process.signal(Signal::HUP);
    let line = server.process.wait_for_line("TLS key").await;
    assert!(line.contains(" WARN ") && line.ends_with(&warning(&key)), "{line}");
    server.process.wait_for_line("SIGHUP: nothing has changed").await;
}

#[tokio::test]
async fn a_server_warns_of_a_key_that_others_can_read_when_it_replaces_another_one() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue("renewed", &HOSTS);
    authority.set_key_mode("renewed", 0o644);
    let (cert, key) = (authority.path("server.crt"), authority.path("server.key"));
    let config =
        format!("listen = '127.0.0.1:0'\n[tls]\npoll_interval = '20ms'\ncert = {cert:?}\nkey = {key:?}\n");
    let mut server = Served::start(&config).await;
    for ending in ["crt", "key"] {
        let file = |name: &str| authority.path(&format!("{name}.{ending}"));
        std::fs::copy(file("renewed"), file("server")).expect("a copy with its mode");
    }
    server.process.wait_for_line("reloaded the TLS files").await;
    let line = server.process.wait_for_line("TLS key").await;
    assert!(line.contains(" WARN ") && line.ends_with(&warning(&key)), "{line}");
}

#[tokio::test]
async fn a_check_of_the_config_warns_of_a_key_that_others_can_read() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.set_key_mode("server", 0o644);
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.args(["config", "check"]).args(authority.flags("server"));
    let output = wait_for("it ends", command.output()).await.expect("it runs");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(stderr, format!("warning: {}\n", warning(&authority.path("server.key"))));
}

#[tokio::test]
async fn a_command_warns_of_a_client_key_that_others_can_read_unless_quiet() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority.issue("alice", &["alice"]);
    authority.set_key_mode("alice", 0o644);
    let dev = start(&authority, "server", &["--tls-client-ca", &authority.path("ca.crt")]).await;
    let (ca, certificate, key) =
        (authority.path("ca.crt"), authority.path("alice.crt"), authority.path("alice.key"));
    let run = format!("jobstream run demo.echo 1 --ca {ca} --client-cert {certificate} --client-key {key}");
    let stderr = dev.sh(&format!("{run} 2>&1 >/dev/null")).await;
    assert!(stderr.lines().any(|line| line == format!("warning: {}", warning(&key))), "{stderr}");
    assert_eq!(dev.sh(&format!("{run} --quiet 2>&1 >/dev/null")).await, "");
}
