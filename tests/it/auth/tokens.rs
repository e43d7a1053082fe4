//! Static tokens: what is accepted, what is refused, and the reload of their file.

use std::fs;
use std::path::{Path, PathBuf};

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use rustix::process::Signal;
use sha2::{Digest, Sha256};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_types::StatusExt;

use crate::support::{Dev, needs, new_id, until};

/// A file of static tokens, removed when dropped.
pub(crate) struct Tokens {
    path: PathBuf,
    entries: String,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tokens-{}.toml", new_id()));
        Self { path, entries: String::new() }
    }

    /// Adds an entry and writes the file. Returns the text of the token.
    pub(crate) fn add(&mut self, name: &str, grants: &[&str], more: &str) -> String {
        let text = format!("jst_{}{}", new_id(), new_id());
        let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        self.entries +=
            &format!("[[token]]\nname = {name:?}\nsha256 = \"{digest}\"\ngrants = {grants:?}\n{more}\n");
        fs::write(&self.path, &self.entries).expect("the file can be written");
        text
    }

    pub(crate) fn path(&self) -> String {
        self.path.display().to_string()
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

#[tokio::test]
async fn only_valid_tokens_are_accepted() {
    needs!("curl");
    let mut tokens = Tokens::new();
    let valid = tokens.add("billing", &["all"], "expires = 2099-01-01T00:00:00Z");
    let expired = tokens.add("former", &["all"], "expires = 2020-01-01T00:00:00Z");
    let dev = Dev::start(&["--auth-tokens", &tokens.path()]).await;
    let status = async |header: &str| {
        let url = format!("{}/v1/jobs", dev.address);
        let curl = "curl --no-progress-meter -w '%{http_code} %header{www-authenticate}'";
        dev.sh(&format!("{curl} {header} --json '{{\"kind\": \"demo.count\"}}' {url}")).await
    };
    let accepted = status(&format!("-H 'authorization: Bearer {valid}'")).await;
    assert!(accepted.contains("201"), "{accepted}");
    let lower = status(&format!("-H 'Authorization: bearer {valid}'")).await;
    assert!(lower.contains("201"), "the scheme is not case-sensitive: {lower}");
    let half = format!("-H 'authorization: Bearer {}'", &valid[..valid.len() - 1]);
    let twice = format!("-H 'authorization: Bearer {valid}' -H 'authorization: Bearer {valid}'");
    for (header, reason) in [
        ("", "CREDENTIAL_REQUIRED"),
        ("-H 'authorization: Bearer '", "CREDENTIAL_INVALID"),
        ("-H 'authorization: Basic YTpi'", "CREDENTIAL_INVALID"),
        (half.as_str(), "CREDENTIAL_INVALID"),
        (twice.as_str(), "CREDENTIAL_INVALID"),
        (&format!("-H 'authorization: Bearer {expired}'"), "CREDENTIAL_EXPIRED"),
    ] {
        let refused = status(header).await;
        assert!(refused.contains(reason) && refused.contains("401 Bearer"), "{header}: {refused}");
    }
    let submit = async |token: Option<&str>| {
        let job = v1::JobSpec { kind: "demo.count".to_owned(), ..v1::JobSpec::default() };
        let mut request = Request::new(v1::SubmitRequest { job: Some(job), validate_only: false });
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a header");
            request.metadata_mut().insert("authorization", value);
        }
        JobServiceClient::new(dev.channel()).submit(request).await
    };
    submit(Some(&valid)).await.expect("a valid token");
    for (token, reason) in [(None, "CREDENTIAL_REQUIRED"), (Some(&*expired), "CREDENTIAL_EXPIRED")] {
        let status = submit(token).await.expect_err(reason);
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(status.get_error_details().error_info().expect("a reason").reason, reason);
    }
}

#[tokio::test]
async fn health_and_the_description_of_the_api_need_no_credential() {
    needs!("curl");
    let mut tokens = Tokens::new();
    tokens.add("billing", &["all"], "");
    let dev = Dev::start(&["--auth-tokens", &tokens.path()]).await;
    for path in ["/", "/openapi.json"] {
        let code = dev.sh(&format!("curl -s -o /dev/null -w '%{{http_code}}' {}{path}", dev.address)).await;
        assert_eq!(code, "200", "{path}");
    }
    let mut health = HealthClient::new(dev.channel());
    let status = health.check(HealthCheckRequest::default()).await.expect("no credential is needed");
    assert_eq!(status.into_inner().status(), ServingStatus::Serving);
    let mut reflection = ServerReflectionClient::new(dev.channel());
    let status =
        reflection.server_reflection_info(tokio_stream::empty()).await.expect_err("reflection needs one");
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn sighup_reads_the_tokens_again() {
    needs!("curl");
    let mut tokens = Tokens::new();
    let first = tokens.add("billing", &["all"], "");
    let dev = Dev::start(&["--auth-tokens", &tokens.path()]).await;
    let code = async |token: &str| {
        let header = format!("-H 'authorization: Bearer {token}'");
        dev.sh(&format!("curl -s -o /dev/null -w '%{{http_code}}' {header} {}/v1/server", dev.address)).await
    };
    let second = tokens.add("reports", &["all"], "");
    assert_eq!((code(&first).await.as_str(), code(&second).await.as_str()), ("200", "401"));
    dev.signal(Signal::HUP);
    until("the new token is accepted", async || code(&second).await == "200").await;
    assert_eq!(code(&first).await, "200");
    fs::write(&tokens.path, "[[token]]\nname = 'x'").expect("the file can be written");
    dev.signal(Signal::HUP);
    dev.signal(Signal::TERM);
    let (_, stderr) = dev.end().await;
    assert!(stderr.contains("SIGHUP: reloaded: added reports"), "{stderr}");
    assert!(stderr.contains("the former config and files stay in force"), "{stderr}");
    assert!(!stderr.contains(&first) && !stderr.contains(&second), "no token is logged");
}
