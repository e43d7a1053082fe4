//! SIGHUP of a server with endpoints: their tables, secrets and certificate authorities are read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use serde_json::json;
use tokio::task::JoinSet;

use super::binary::{file, upper};
use super::tls::{authority, endpoint};
use crate::support::{Http, Served, until, wait_for};

const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
const BOTH: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\na raw secret of 24 bytes\n";

/// Runs a job. Returns the answer as text.
async fn run(http: &Http, kind: &str) -> String {
    let job = json!({"kind": kind, "payload": {"text": "hello"}}).to_string();
    let answer = http.post("/v1/jobs?wait=25s", &job).await;
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test]
async fn secrets_and_headers_change_and_no_job_fails() {
    let endpoint = upper().await;
    let secrets = file("secrets", FIRST);
    let config = |team: &str| {
        format!(
            "listen = '127.0.0.1:0'\n[http.upper]\nurl = '{}'\nsecret_file = '{secrets}'\nheaders = {{ x-team = '{team}' }}",
            endpoint.url("/")
        )
    };
    let mut server = Served::start(&config("former")).await;
    let http = Http::new(server.address, false);
    let (ended, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let (ended, count, http) = (ended.clone(), count.clone(), Http::new(server.address, true));
        callers.spawn(async move {
            while !ended.load(Relaxed) {
                let answer = run(&http, "upper").await;
                assert!(answer.contains("HELLO"), "{answer}");
                count.fetch_add(1, Relaxed);
            }
        });
    }
    assert!(run(&http, "upper").await.contains("HELLO former 1"));
    std::fs::write(&secrets, BOTH).expect("a file");
    let changed = server.reload(&config("current")).await;
    let expected = "reloaded: http.upper.headers.x-team, changed the secrets of kind upper";
    assert!(changed.ends_with(expected), "{changed}");
    assert!(run(&http, "upper").await.contains("HELLO current 2"));
    std::fs::write(&secrets, "hunter2").expect("a file");
    let refused = server.reload(&config("next")).await;
    assert!(refused.contains("the endpoint of kind upper") && refused.contains("at least 24"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    assert!(run(&http, "upper").await.contains("HELLO current 2"));
    let before = count.load(Relaxed);
    until("further jobs", async || count.load(Relaxed) > before + 8).await;
    ended.store(true, Relaxed);
    while let Some(caller) = wait_for("the jobs end", callers.join_next()).await {
        caller.expect("no job fails");
    }
}

#[tokio::test]
async fn authorities_of_an_endpoint_change() {
    let authority = authority();
    let endpoint = endpoint(&authority, &["h2"]).await;
    let ca = file("ca.pem", &super::tls::authority().pem());
    let table = format!("[http.tls]\nurl = '{}'\nca_file = '{ca}'", endpoint.url("/"));
    let mut server = Served::start(&format!("listen = '127.0.0.1:0'\n{table}")).await;
    let http = Http::new(server.address, false);
    let refused = run(&http, "tls").await;
    assert!(refused.contains("http.tls"), "{refused}");
    std::fs::write(&ca, authority.pem()).expect("a file");
    let changed = server.reload_files().await;
    assert!(changed.ends_with("reloaded: changed the certificate authorities of kind tls"), "{changed}");
    let accepted = run(&http, "tls").await;
    assert!(accepted.contains("HTTP/2"), "{accepted}");
}
