//! What the features of the library bring with them.

use std::collections::BTreeSet;
use std::process::Command;

/// Most crates that a program with the client alone builds, this one included.
const CLIENT_CRATES_MAX: usize = 90;

/// Crates that only servers or the command line need.
const NOT_FOR_CLIENTS: [&str; 14] = [
    "axum",
    "clap",
    "clap_complete",
    "comfy-table",
    "crc32c",
    "indicatif",
    "mimalloc",
    "rustix",
    "toml",
    "tonic-health",
    "tonic-reflection",
    "tonic-web",
    "tower-http",
    "tracing-subscriber",
];

/// The crates that a build with these features needs, as `name version`.
fn crates(features: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--edges=normal", "--prefix=none", "--package=jobstream"]);
    cargo.args(["--no-default-features", "--features", features]);
    let tree = cargo.output().expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let lines = String::from_utf8(tree.stdout).expect("names are text");
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    lines.lines().filter(|line| !line.is_empty()).map(name).collect()
}

/// The crates whose names are among these.
fn named<'a>(crates: &BTreeSet<String>, names: &[&'a str]) -> Vec<&'a str> {
    let has = |name: &&str| crates.iter().any(|found| found.split(' ').next() == Some(*name));
    names.iter().copied().filter(has).collect()
}

#[test]
fn a_client_builds_few_crates_and_none_of_a_server() {
    let crates = crates("client");
    assert!(crates.len() <= CLIENT_CRATES_MAX, "{} crates: {crates:#?}", crates.len());
    assert_eq!(named(&crates, &NOT_FOR_CLIENTS), [""; 0]);
}

#[test]
fn crates_of_servers_and_of_the_command_line_are_seen() {
    let crates = crates("cli,mimalloc");
    assert!(crates.len() > CLIENT_CRATES_MAX);
    assert_eq!(named(&crates, &NOT_FOR_CLIENTS), NOT_FOR_CLIENTS);
}

/// A worker needs no server, and a server no command line.
#[test]
fn each_part_brings_only_what_it_uses() {
    let server = ["crc32c", "tonic-health", "tonic-reflection", "tonic-web", "tower-http"];
    assert_eq!(named(&crates("worker"), &server), [""; 0]);
    assert_eq!(named(&crates("server"), &["clap", "indicatif", "mimalloc", "toml"]), [""; 0]);
}

/// Two providers of cryptography in one tree make some of their users panic, and others need a C library of the system.
#[test]
fn tls_brings_one_provider_of_cryptography() {
    let crates = crates("cli,dev-tls,mimalloc,tls");
    assert_eq!(named(&crates, &["aws-lc-rs", "native-tls", "openssl", "openssl-sys", "ring"]), ["aws-lc-rs"]);
    assert_eq!(named(&self::crates("client,tls"), &NOT_FOR_CLIENTS), [""; 0]);
    assert_eq!(named(&self::crates("cli"), &["aws-lc-rs", "rustls"]), [""; 0]);
    assert_eq!(named(&self::crates("cli,tls"), &["rcgen"]), [""; 0]);
}
