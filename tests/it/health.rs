//! Probes: `/livez`, `/readyz` and `jobstream health`.

use http::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::json;

use crate::auth::Tokens;
use crate::support::{Dev, Http, TestServer, job, until};

#[tokio::test]
async fn a_running_server_is_live_and_ready() {
    let server = TestServer::start().await;
    for http2 in [false, true] {
        let http = Http::new(server.address, http2);
        for (path, status) in [("/livez", "live"), ("/readyz", "ready")] {
            let answer = http.get(path).await;
            assert_eq!(answer.status, StatusCode::OK);
            let checks = json!({"engine": "ok", "accepting": "ok"});
            assert_eq!(answer.json(), json!({"status": status, "checks": checks}));
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("cache-control"), "no-store");
            let head = http.send(Method::HEAD, path, &[], "").await;
            assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
            assert_eq!(head.header("content-length"), answer.body.len().to_string());
            let post = http.post(path, "{}").await;
            assert_eq!(
                (post.status, post.header("allow")),
                (StatusCode::METHOD_NOT_ALLOWED, "OPTIONS, GET, HEAD")
            );
        }
    }
}

#[tokio::test]
async fn a_draining_server_is_live_and_not_ready() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    server.shutdown.graceful.cancel();
    until("it drains", async || http.get("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE).await;
    let checks = json!({"engine": "ok", "accepting": "draining"});
    assert_eq!(http.get("/readyz").await.json(), json!({"status": "not ready", "checks": checks}));
    assert_eq!(http.get("/livez").await.json(), json!({"status": "live", "checks": checks}));
}

#[tokio::test]
async fn probes_need_no_credential_and_leave_no_line_in_the_log() {
    let mut tokens = Tokens::new();
    tokens.add("billing", &["all"], "");
    let dev = Dev::start(&["--log-format", "json", "--auth-tokens", &tokens.path()]).await;
    let http = Http::new(dev.address.parse().expect("an address"), false);
    for path in ["/livez", "/readyz"] {
        assert_eq!(http.get(path).await.status, StatusCode::OK);
    }
    assert_eq!(http.get("/v1/jobs").await.status, StatusCode::UNAUTHORIZED);
    let output = dev.sh("jobstream health && jobstream health --live -o json && jobstream health -q").await;
    assert!(output.starts_with("status\tready\n"), "{output}");
    assert!(output.contains("\"status\": \"live\""), "{output}");
    let services = "for name in Job Worker Admin Access; do \
                    jobstream health --service jobstream.v1.${name}Service; done; jobstream health --service ''";
    assert_eq!(dev.sh(services).await, "status\tSERVING\n".repeat(5));
    dev.signal(Signal::TERM);
    let (_, stderr) = dev.end().await;
    for word in ["livez", "readyz", "Health"] {
        assert!(!stderr.contains(word), "{stderr}");
    }
}

#[tokio::test]
async fn the_health_of_a_server_that_is_no_good_is_1() {
    let dev = Dev::start(&[]).await;
    let code = async |command: &str| {
        let output = dev.sh(&format!("{command} 2>&1 || echo \"code $?\"")).await;
        (output.lines().last().unwrap_or_default().to_owned(), output)
    };
    for (command, expected) in [
        ("jobstream health --service no.Service", "such as jobstream.v1.JobService"),
        ("jobstream health --address 127.0.0.1:1", "127.0.0.1:1"),
        ("jobstream health --live --rpc-timeout 300ms --address 192.0.2.1:1", "192.0.2.1"),
    ] {
        let (last, output) = code(command).await;
        assert_eq!(last, "code 1", "{output}");
        assert!(output.contains(expected), "{output}");
    }
    let (last, output) = code("jobstream health --live --ready").await;
    assert_eq!(last, "code 2", "{output}");
}

#[tokio::test]
async fn the_health_of_a_draining_server_is_printed_with_its_checks() {
    let dev = Dev::start(&["--exec", "slow=sleep 5", "--drain-timeout", "5s"]).await;
    dev.sh("jobstream submit slow >/dev/null").await;
    until("it runs", async || dev.sh("jobstream jobs ls").await.contains("RUNNING")).await;
    dev.signal(Signal::TERM);
    until("it drains", async || dev.sh("jobstream health || true").await.contains("not ready")).await;
    let output = dev.sh("jobstream health || echo code $?").await;
    assert_eq!(output, "status\tnot ready\ncheck\taccepting: draining\ncheck\tengine: ok\ncode 1\n");
    assert_eq!(dev.sh("jobstream health --live | head -1").await, "status\tlive\n");
    dev.signal(Signal::TERM);
    assert_eq!(dev.end().await.0, Some(0));
}
