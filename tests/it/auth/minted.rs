//! Minted tokens as a browser uses them, and streams whose credential expires.

use std::time::Duration;

use jobstream::access::Grants;
use jobstream::job::Timestamp;
use jobstream::proto::v1;
use jobstream::proto::v1::access_service_client::AccessServiceClient;
use jobstream::server::{Identity, IdentityOptions, StaticToken};
use sha2::{Digest, Sha256};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::support::{Http, TestServer, job, wait_for};

const OWNER: &str = "jst_owner-0123456789-0123456789-0123456789";
const SHORT: &str = "jst_short-0123456789-0123456789-0123456789";

fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    request
}

#[allow(clippy::disallowed_methods, reason = "the server's clock is that of the system")]
fn now() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp::from_micros(since_1970.as_micros() as i64)
}

/// A server with a token for ever, and one that expires after this time.
async fn start(short: Duration) -> TestServer {
    let now = now();
    let mut options = IdentityOptions::default();
    options.tokens.push(StaticToken::new("owner", OWNER, Grants::all()).expect("a token"));
    let digest = Sha256::digest(SHORT).into();
    let short = StaticToken::with_digest("short", digest, Grants::all(), Some(now.plus(short)));
    options.tokens.push(short.expect("a token"));
    let identity = Identity::new(options).expect("callers");
    TestServer::with(|setup| setup.server.serve.identity = Some(identity)).await
}

async fn submit(server: &TestServer, kind: &str, token: &str) -> String {
    let request = v1::SubmitRequest { job: Some(job(kind)), validate_only: false };
    server.jobs().submit(by(token, request)).await.expect("accepted").into_inner().job_id
}

async fn mint(server: &TestServer, id: &str, seconds: i64) -> String {
    let lifetime = Some(prost_types::Duration { seconds, nanos: 0 });
    let request = by(OWNER, v1::MintTokenRequest { job_id: id.to_owned(), lifetime });
    AccessServiceClient::new(server.channel()).mint_token(request).await.expect("a token").into_inner().token
}

#[tokio::test]
async fn an_event_source_reads_its_job_by_a_token_in_the_address() {
    let server = start(Duration::from_secs(60)).await;
    let http = Http::new(server.address, false);
    let id = submit(&server, "demo.echo", OWNER).await;
    let token = mint(&server, &id, 60).await;
    for path in ["events", "result?wait=10s", "result/payload"] {
        let separator = if path.contains('?') { '&' } else { '?' };
        let address = format!("/v1/jobs/{id}/{path}{separator}access_token={token}");
        let answer = http.get(&address).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let mut caching = answer.headers.get_all("cache-control").iter();
        assert!(caching.any(|value| value == "private"), "{path}: {answer:?}");
    }
    let other = submit(&server, "demo.echo", OWNER).await;
    for (address, status) in [
        (format!("/v1/jobs/{other}/events?access_token={token}"), 404),
        (format!("/v1/jobs/{id}?access_token={token}"), 401),
        (format!("/v1/jobs?access_token={token}"), 401),
        (format!("/v1/jobs/{id}/events?access_token={OWNER}"), 401),
        (format!("/v1/jobs/{id}/events?access_token={token}x"), 401),
    ] {
        let answer = http.get(&address).await;
        assert_eq!(answer.status, status, "{address}: {answer:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(&token), "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_without_identity_ignores_a_token_in_the_address() {
    let server = TestServer::start().await;
    let id = server.submit(job("demo.echo")).await;
    let request = v1::MintTokenRequest { job_id: id.clone(), lifetime: None };
    let minted = AccessServiceClient::new(server.channel()).mint_token(request).await.expect("a token");
    let address = format!("/v1/jobs/{id}/events?access_token={}", minted.into_inner().token);
    assert_eq!(Http::new(server.address, false).get(&address).await.status, 200);
}

#[tokio::test]
async fn a_token_does_not_outlive_the_credential_that_minted_it() {
    let server = start(Duration::from_secs(60)).await;
    let id = submit(&server, "demo.echo", SHORT).await;
    let lifetime = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
    let request = by(SHORT, v1::MintTokenRequest { job_id: id, lifetime });
    let minted = AccessServiceClient::new(server.channel()).mint_token(request).await.expect("a token");
    let end = minted.into_inner().expire_time.expect("an end").seconds;
    let now = now().as_micros() / 1_000_000;
    assert!((now..=now + 60).contains(&end), "{end} {now}");
}

#[tokio::test]
async fn a_stream_ends_when_its_credential_expires() {
    let server = start(Duration::from_millis(1500)).await;
    // The job waits at the gate of the test.
    let id = submit(&server, "test.gate", OWNER).await;
    let request = v1::WatchResultRequest { job_id: id, ..v1::WatchResultRequest::default() };
    let mut events = server.jobs().watch_result(by(SHORT, request)).await.expect("a stream").into_inner();
    let status = loop {
        match wait_for("the next message", events.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if the job had"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(status.get_error_details().error_info().expect("a reason").reason, "CREDENTIAL_EXPIRED");
}
