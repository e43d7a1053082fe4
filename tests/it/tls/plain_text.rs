//! HTTP without TLS to a port of TLS: it is refused with the way out.

use std::num::NonZeroUsize;
use std::time::Duration;

use jobstream::client::{Client, ErrorKind, reason};
use jobstream::proto::v1::GetServerInfoRequest;
use jobstream::proto::v1::admin_service_client::AdminServiceClient;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;
use tonic::Code;

use super::hostile::{closed, serve};
use super::{Authority, HOSTS, host_of, start};
use crate::support::{needs, refused, wait_for};

fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    authority
}

/// Sends the request, and returns what the server sent before it closed the connection.
async fn answer(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The server may close the connection before all is sent.
    let _ = stream.write_all(request).await;
    String::from_utf8(closed(&mut stream).await).expect("text")
}

#[tokio::test]
async fn a_request_of_http_1_is_refused_with_the_address() {
    let authority = authority();
    let dev = start(&authority, "server", &[]).await;
    let host = host_of(&dev);
    let large =
        [b"POST /v1/jobs HTTP/1.1\r\nhost: h:1\r\ncontent-length: 32768\r\n\r\n", &[b'x'; 1 << 15][..]];
    for (request, way_out) in [
        (format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes(), format!("use {}", dev.address)),
        (b"GET / HTTP/1.0\r\n\r\n".to_vec(), "use an address that begins with https://".to_owned()),
        (large.concat(), "use https://h:1".to_owned()),
    ] {
        let answer = answer(host, &request).await;
        assert!(answer.starts_with("HTTP/1.") && answer.contains(" 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains(&way_out) && answer.contains("TLS_REQUIRED"), "{answer}");
    }
    dev.signal(rustix::process::Signal::TERM);
    let (_, stderr) = dev.end().await;
    assert!(stderr.contains("plain text to the TLS port"), "{stderr}");
}

#[tokio::test]
async fn a_grpc_client_gets_a_status_and_this_client_does_not_retry_it() {
    let authority = authority();
    let dev = start(&authority, "server", &[]).await;
    let plain = format!("http://{}", host_of(&dev));
    let channel = tonic::transport::Endpoint::from_shared(plain.clone()).expect("an address").connect_lazy();
    let mut stub = AdminServiceClient::new(channel);
    // The second call needs a new connection.
    for _ in 0..2 {
        let called = wait_for("a status", stub.get_server_info(GetServerInfoRequest {})).await;
        let status = called.expect_err("it is refused");
        refused(&status, Code::FailedPrecondition, "TLS_REQUIRED");
        assert_eq!(status.message(), format!("this port serves TLS only: use {}", dev.address));
    }
    let client = Client::connect(&plain).await.expect("a connection");
    let error = client.job("demo.echo").submit::<()>().await.expect_err("it is refused");
    assert_eq!((error.kind(), error.reason()), (ErrorKind::Unreachable, reason::TLS_REQUIRED));
    let expected =
        format!("cannot use the server at {plain}: this port serves TLS only: use {}", dev.address);
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn tools_print_the_way_out() {
    needs!("curl");
    let authority = authority();
    let dev = start(&authority, "server", &[]).await;
    let host = host_of(&dev);
    for flags in ["--http1.1", "--http2-prior-knowledge", "--http2"] {
        let stdout = dev.sh(&format!("curl --no-progress-meter {flags} http://{host}/v1/server")).await;
        assert!(stdout.contains(&format!("use {}", dev.address)), "{flags}: {stdout}");
    }
    let stderr = dev.sh(&format!("! jobstream health --address http://{host} 2>&1")).await;
    assert!(
        stderr.contains(&format!("400 Bad Request: this port serves TLS only: use {}", dev.address)),
        "{stderr}"
    );
    if Command::new("grpcurl").arg("-version").output().await.is_ok() {
        let method = "jobstream.v1.AdminService/GetServerInfo";
        let output = dev.sh(&format!("! grpcurl -plaintext {host} {method} 2>&1")).await;
        assert!(output.contains(&format!("this port serves TLS only: use {}", dev.address)), "{output}");
    }
}

#[tokio::test]
async fn plain_text_has_the_time_and_the_slots_of_a_handshake() {
    let authority = authority();
    let server = serve(&authority, |options| {
        options.serve.connection_threads = NonZeroUsize::MIN;
        options.serve.limits.max_tls_handshakes = 1;
        options.serve.limits.tls_handshake_timeout = Duration::from_secs(3_600);
    });
    let address = server.address.to_string();
    let mut oldest = TcpStream::connect(&address).await.expect("a connection");
    oldest.write_all(b"POST / HTTP/1.1\r\n").await.expect("an open connection");
    // It needs the slot.
    assert!(answer(&address, b"GET / HTTP/1.1\r\n\r\n").await.contains("TLS_REQUIRED"));
    assert_eq!(closed(&mut oldest).await, b"");
    let client = Client::connect_with(&format!("https://{address}"), authority.client()).await;
    client.expect("a connection").server_info().await.expect("a call");
}
