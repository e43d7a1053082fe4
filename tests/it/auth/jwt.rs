//! JSON Web Tokens: an issuer with a key server over TLS, and the binary that verifies its tokens.

#[path = "../../../src/server/identity/jwt/tests/issuer.rs"]
#[expect(dead_code, reason = "the unit tests use more of it")]
mod issuer;
#[path = "../../../src/server/identity/jwt/tests/jwks_server.rs"]
#[expect(dead_code, reason = "the unit tests use more of it")]
mod jwks_server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use jobstream::clock::Clock;
use jobstream::proto::v1;
use jobstream::proto::v1::admin_service_client::AdminServiceClient;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::support::{Dev, Served, needs, new_id, until};
use issuer::{Signer, claims, document};
use jwks_server::JwksServer;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "jobstream";

/// The current wall time and this many seconds.
fn seconds_from_start(seconds: i64) -> i64 {
    Clock::system().now().wall.as_micros() / 1_000_000 + seconds
}

/// A file that is removed at the end.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("jwt-{}", new_id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A remaining file in the target directory is harmless.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Starts a server that accepts tokens of the issuer with these keys, and further flags.
async fn start(jwks: &str, flags: &[&str]) -> Dev {
    let jwt = ["--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-jwks", jwks];
    Dev::start(&[&jwt, flags].concat()).await
}

/// Submits a job over HTTP. Returns the response, with its status at the end.
async fn submit(dev: &Dev, token: &str) -> String {
    let url = format!("{}/v1/jobs", dev.address);
    let curl = "curl --no-progress-meter -w '%{http_code} %header{www-authenticate}'";
    let job = r#"{"kind": "demo.count"}"#;
    dev.sh(&format!("{curl} -H 'authorization: Bearer {token}' --json '{job}' {url}")).await
}

/// Submits a job over gRPC. Returns the code and the reason of a refusal.
async fn submit_grpc(dev: &Dev, token: &str) -> Result<(), (Code, String)> {
    let job = v1::JobSpec { kind: "demo.count".to_owned(), ..v1::JobSpec::default() };
    let mut request = Request::new(v1::SubmitRequest { job: Some(job), validate_only: false });
    let value = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", value);
    let submitted = JobServiceClient::new(dev.channel()).submit(request).await;
    submitted.map(|_| ()).map_err(|status| {
        (status.code(), status.get_error_details().error_info().expect("a reason").reason.clone())
    })
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

#[tokio::test]
async fn tokens_of_a_key_server_are_verified_and_its_rotation_is_followed() {
    needs!("curl");
    let keys = JwksServer::with_tls().await;
    let (former, next) = (Signer::rsa("2026-01"), Signer::p256("2026-02"));
    keys.publish(&document(&[&former]));
    let ca = keys.ca().display().to_string();
    let flags = ["--jwt-ca", &ca, "--jwt-grant", "all", "--jwt-refresh-interval", "1s"];
    let dev = start(&keys.url(), &flags).await;
    // The first one may wait for the keys.
    let token = former.sign(&claims());
    let accepted = submit(&dev, &token).await;
    assert!(accepted.contains("201"), "{accepted}");
    submit_grpc(&dev, &token).await.expect("a valid token");
    let expired = former.sign(&with(claims(), "exp", seconds_from_start(-11)));
    let foreign = former.sign(&with(claims(), "aud", "other"));
    let forged = Signer::rsa("2026-01").sign(&claims());
    for (token, reason) in [
        (&expired, "CREDENTIAL_EXPIRED"),
        (&foreign, "CREDENTIAL_INVALID"),
        (&forged, "CREDENTIAL_INVALID"),
        (&"a.b.c".to_owned(), "CREDENTIAL_INVALID"),
        (&"a.b".to_owned(), "CREDENTIAL_INVALID"),
    ] {
        let refused = submit(&dev, token).await;
        assert!(refused.contains(reason) && refused.contains("401 Bearer"), "{refused}");
        assert_eq!(submit_grpc(&dev, token).await, Err((Code::Unauthenticated, reason.to_owned())));
    }
    keys.publish(&document(&[&former, &next]));
    // No call with the new key fails, over both protocols.
    let new_token = next.sign(&claims());
    let (grpc, http) = tokio::join!(submit_grpc(&dev, &new_token), submit(&dev, &new_token));
    grpc.expect("a token of the new key");
    assert!(http.contains("201"), "{http}");
    submit_grpc(&dev, &token).await.expect("a token of the former key");
    keys.publish(&document(&[&next]));
    while submit_grpc(&dev, &token).await.is_ok() {}
    assert!(submit(&dev, &token).await.contains("none of the issuer's"));
    submit_grpc(&dev, &new_token).await.expect("a token of the new key");
}

#[tokio::test]
async fn a_server_without_keys_starts_and_refuses_tokens() {
    needs!("curl");
    let keys = JwksServer::with_tls().await;
    // Its authority is not the one of the option.
    let ca = JwksServer::with_tls().await;
    let dev = start(&keys.url(), &["--jwt-ca", &ca.ca().display().to_string(), "--jwt-grant", "all"]).await;
    let refused = submit(&dev, &Signer::ed25519("a").sign(&claims())).await;
    assert!(refused.contains("the keys of the issuer are not loaded yet"), "{refused}");
    let anonymous = dev.sh(&format!("curl -s {}/v1/jobs", dev.address)).await;
    assert!(anonymous.contains("CREDENTIAL_REQUIRED"), "{anonymous}");
    dev.signal(rustix::process::Signal::TERM);
    let (_, stderr) = dev.end().await;
    assert!(stderr.contains("cannot load the keys of JWTs from https://127.0.0.1:"), "{stderr}");
    assert!(stderr.contains("that this client does not trust: name its CA with jwt.ca"), "{stderr}");
}

#[tokio::test]
async fn wrong_options_are_named_at_start() {
    let (keys, text) = (File::new(&json!({"keys": []}).to_string()), File::new("text"));
    let (keys, text) = (keys.text(), text.text());
    let all = ["--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE];
    let jwks = |value: &'static str| [&all[..], &["--jwt-grant", "all", "--jwt-jwks", value]].concat();
    let text = [&all[..], &["--jwt-grant", "all", "--jwt-jwks", &text]].concat();
    let grant = [&all[..], &["--jwt-jwks", &keys, "--jwt-grant", "everything"]].concat();
    for (flags, expected) in [
        (vec!["--jwt-issuer", ISSUER], "without auth.jwt.audience: JSON Web Tokens need --jwt-audience"),
        (vec!["--jwt-grant", "all"], "without auth.jwt.issuer: JSON Web Tokens need --jwt-issuer"),
        (all.to_vec(), "without auth.jwt.jwks: JSON Web Tokens need --jwt-jwks"),
        ([&all[..], &["--jwt-jwks", &keys]].concat(), "--jwt-grant, or the claim"),
        (jwks("http://id.example/keys"), "auth.jwt.jwks: \"http://id.example/keys\" is not encrypted"),
        (jwks("/does/not/exist"), "auth.jwt.jwks: cannot read /does/not/exist: No such file"),
        (text, "auth.jwt.jwks: this is not a JSON Web Key Set"),
        (grant, "auth.jwt.grants: grant: \"everything\" has no action"),
    ] {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_jobstream"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(&flags)
            .output();
        let output = crate::support::wait_for("it ends", output).await.expect("the binary starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(expected), "{flags:?}: {stderr}");
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {stderr}");
    }
}

/// Calls with a token until the flag is set, and counts the calls. One that fails is a panic.
async fn call_until(ended: Arc<AtomicBool>, count: Arc<AtomicU32>, channel: Channel, token: String) {
    while !ended.load(Relaxed) {
        let mut request = Request::new(v1::GetServerInfoRequest {});
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        let mut admin = AdminServiceClient::new(channel.clone());
        admin.get_server_info(request).await.expect("a call with a valid token");
        count.fetch_add(1, Relaxed);
    }
}

async fn is_accepted(server: &Served, token: &str) -> bool {
    let mut request = Request::new(v1::GetServerInfoRequest {});
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    AdminServiceClient::new(server.channel()).get_server_info(request).await.is_ok()
}

#[tokio::test]
async fn a_reload_uses_other_keys_and_rules_and_no_call_with_a_valid_token_fails() {
    let (kept, removed, next) = (Signer::p256("kept"), Signer::ed25519("removed"), Signer::rsa("next"));
    let keys = File::new(&document(&[&kept, &removed]));
    let config = |audience: &str, jwks: &str| {
        format!(
            "listen = '127.0.0.1:0'\n[auth.jwt]\nissuer = '{ISSUER}'\naudience = '{audience}'\njwks = '{jwks}'\n\
             grants = ['all']"
        )
    };
    let mut server = Served::start(&config(AUDIENCE, &keys.text())).await;
    // It is valid before and after each of the changes.
    let both = kept.sign(&with(claims(), "aud", json!([AUDIENCE, "other"])));
    let (ended, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        callers.spawn(call_until(ended.clone(), count.clone(), server.channel(), both.clone()));
    }
    let of_removed = removed.sign(&claims());
    assert!(is_accepted(&server, &of_removed).await);
    std::fs::write(&keys.0, document(&[&kept, &next])).expect("a file");
    let changed = server.reload_files().await;
    assert!(changed.ends_with("reloaded: changed the keys of JSON Web Tokens"), "{changed}");
    assert!(!is_accepted(&server, &of_removed).await);
    assert!(is_accepted(&server, &next.sign(&claims())).await);

    std::fs::write(&keys.0, "text").expect("a file");
    let refused = server.reload(&config("other", &keys.text())).await;
    assert!(refused.contains("auth.jwt.jwks: this is not a JSON Web Key Set"), "{refused}");
    assert!(is_accepted(&server, &next.sign(&claims())).await, "the former audience and keys are in force");

    let url = JwksServer::new().await;
    url.publish(&document(&[&kept]));
    let other = config("other", &url.url());
    let changed = server.reload(&other).await;
    let expected = "reloaded: auth.jwt.audience, auth.jwt.jwks, changed JSON Web Tokens";
    assert!(changed.ends_with(expected), "{changed}");
    assert!(!is_accepted(&server, &kept.sign(&claims())).await, "the former audience");
    url.publish(&document(&[&kept, &next]));
    // A URL is loaded again soon after.
    server.reload_files().await;
    let of_next = next.sign(&with(claims(), "aud", "other"));
    until("the key of the URL", async || is_accepted(&server, &of_next).await).await;

    let before = count.load(Relaxed);
    until("further calls", async || count.load(Relaxed) > before + 8).await;
    ended.store(true, Relaxed);
    while let Some(caller) = crate::support::wait_for("the calls end", callers.join_next()).await {
        caller.expect("no call fails");
    }
}
