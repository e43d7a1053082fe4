//! Peers that send no TLS, or misuse it, are disconnected. A client beside them is served.

use std::process::Stdio;
use std::time::Duration;

use jobstream::client::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::interval;

use super::hostile::{closed, serve};
use super::{Authority, HOSTS};
use crate::support::wait_for;

/// The first bytes of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Content types of records.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// Most bytes of a record.
const RECORD_BYTES: usize = 16 << 10;

/// The bytes in records of this type.
fn records(content_type: u8, bytes: &[u8]) -> Vec<u8> {
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).expect("a short record").to_be_bytes();
        [&[content_type, 3, 1], &length[..], part].concat()
    };
    bytes.chunks(RECORD_BYTES).flat_map(record).collect()
}

/// A ClientHello of this length, whose content is zeros.
fn hello(length: usize) -> Vec<u8> {
    let head = (1 << 24 | u32::try_from(length).expect("a length")).to_be_bytes();
    records(HANDSHAKE, &[&head[..], &vec![0; length]].concat())
}

#[tokio::test]
async fn nonsense_is_disconnected_and_others_are_served() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let server = serve(&authority, |options| {
        // Some peers may wait for more bytes.
        options.serve.limits.tls_handshake_timeout = Duration::from_millis(200);
    });
    let address = format!("https://{}", server.address);
    let client = Client::connect_with(&address, authority.client()).await.expect("a connection");
    for (what, bytes) in [
        ("noise", vec![0x55; 4_096]),
        ("a hello of 64 KiB", hello((1 << 16) - 1)),
        ("a longer hello", hello(1 << 20)),
        ("data before a handshake", records(DATA, &[0; 100])),
        ("an alert", records(ALERT, &[2, 40])),
        ("empty records", [HANDSHAKE, 3, 1, 0, 0].repeat(1_000)),
        ("a record of the largest length", vec![HANDSHAKE, 3, 1, 0xff, 0xff, 1]),
        ("a request of HTTP/1.1 without an end", [&b"GET / HTTP/1.1\r\nx: "[..], &[b'a'; 1 << 20]].concat()),
        ("half a method", b"GE".to_vec()),
        ("a preface of HTTP/2 and nothing else", PREFACE.to_vec()),
        ("a preface of HTTP/2 and no frames of it", [PREFACE, &[0xff; 4_096]].concat()),
        ("a hello of SSL 2.0", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec()),
        ("a finished message", records(HANDSHAKE, &[20, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    ] {
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        // The server may close the connection before all is sent.
        let _ = stream.write_all(&bytes).await;
        closed(&mut stream).await;
        wait_for(what, client.server_info()).await.expect("a call beside it");
    }
}

#[tokio::test]
async fn a_hello_that_never_ends_is_disconnected() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let server = serve(&authority, |options| {
        options.serve.limits.tls_handshake_timeout = Duration::from_millis(200);
        // Only the timeout of the handshake can end the connection in time.
        options.serve.limits.preface_timeout = Duration::from_secs(3_600);
    });
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    let trickle = async {
        let mut ticks = interval(Duration::from_millis(10));
        for byte in hello((1 << 16) - 1) {
            ticks.tick().await;
            if stream.write_all(&[byte]).await.is_err() {
                return true;
            }
        }
        false
    };
    assert!(wait_for("the server closes", trickle).await, "the server has read the whole hello");
}

#[tokio::test]
async fn a_renegotiation_has_no_effect() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let server = serve(&authority, |options| {
        options.serve.limits.tls_handshake_timeout = Duration::from_secs(2);
        options.serve.limits.preface_timeout = Duration::from_millis(100);
    });
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-tls1_2", "-alpn", "http/1.1", "-connect", &server.address.to_string()]);
    openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = openssl.spawn().expect("openssl runs");
    let mut input = child.stdin.take().expect("a pipe");
    // A line with R alone requests it.
    input.write_all(b"R\n").await.expect("openssl reads");
    let output = wait_for("the server closes", child.wait_with_output()).await.expect("openssl ends");
    let text = String::from_utf8_lossy(&output.stderr);
    let (_, after) = text.split_once("RENEGOTIATING").expect("the line was a request");
    assert!(!after.contains("depth=0"), "there was a second handshake: {text}");
}
