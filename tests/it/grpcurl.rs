//! The service with grpcurl: reflection, plaintext and JSON.
//!
//! Without grpcurl the tests are skipped, except in CI, where its absence is a failure.

use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{TestServer, job, new_id, wait_for};

async fn is_installed() -> bool {
    let version = Command::new("grpcurl").arg("--version").output().await;
    let is_installed = version.is_ok_and(|output| output.status.success());
    if !is_installed {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "grpcurl is not on the PATH");
        println!("skipped: grpcurl is not on the PATH");
    }
    is_installed
}

async fn run(server: &TestServer, before: &[&str], after: &[&str]) -> Output {
    let mut command = Command::new("grpcurl");
    command.arg("-plaintext").args(before).arg(server.address.to_string()).args(after).kill_on_drop(true);
    wait_for("grpcurl ends", command.output()).await.expect("grpcurl starts")
}

/// Returns the messages of a call and the stderr of grpcurl.
async fn call(server: &TestServer, method: &str, request: &Value) -> (Vec<Value>, String) {
    let request = request.to_string();
    let output = run(server, &["-d", &request], &[&format!("jobstream.v1.{method}")]).await;
    let messages = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let messages = messages.collect::<Result<_, _>>().expect("JSON");
    (messages, String::from_utf8(output.stderr).expect("text"))
}

/// Returns the only message of a successful call.
async fn ask(server: &TestServer, method: &str, request: &Value) -> Value {
    let (mut messages, error) = call(server, method, request).await;
    assert_eq!((messages.len(), error.as_str()), (1, ""), "{method}");
    messages.remove(0)
}

async fn describe(server: &TestServer, symbol: &str) -> String {
    let output = run(server, &[], &["describe", symbol]).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn an_unknown_host_is_rejected_with_the_option() {
    if !is_installed().await {
        return;
    }
    let server = TestServer::start().await;
    let output =
        run(&server, &["-authority", "server:7070"], &["jobstream.v1.AdminService/GetServerInfo"]).await;
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(error.contains("--allowed-host server:7070"), "{error}");
}

#[tokio::test]
async fn list_and_describe_show_the_documentation() {
    if !is_installed().await {
        return;
    }
    let server = TestServer::start().await;
    let services = String::from_utf8(run(&server, &[], &["list"]).await.stdout).unwrap();
    for service in ["jobstream.v1.JobService", "jobstream.v1.AdminService", "grpc.health.v1.Health"] {
        assert!(services.lines().any(|line| line == service), "{services}");
    }
    let service = describe(&server, "jobstream.v1.JobService").await;
    for words in ["rpc WatchResult", "// Submit accepts one job.", "RESULT_EXPIRED"] {
        assert!(service.contains(words), "{words} is not in {service}");
    }
    let spec = describe(&server, "jobstream.v1.JobSpec").await;
    assert!(spec.contains("// Input of the handler. Default empty; limit 1 MiB."), "{spec}");
    assert!(describe(&server, "google.rpc.ErrorInfo").await.contains("string reason"));
}

#[tokio::test]
async fn submit_and_get_result_need_no_base64() {
    if !is_installed().await {
        return;
    }
    let server = TestServer::start().await;
    let payload = json!({"json": {"path": "cat.png", "width": 200}});
    let submit = json!({"job": {"kind": "demo.echo", "payload": payload}});
    let submitted = ask(&server, "JobService/Submit", &submit).await;
    assert_eq!(submitted["disposition"], "DISPOSITION_CREATED");
    let request = json!({"job_id": submitted["jobId"], "wait": "10s"});
    let result = ask(&server, "JobService/GetResult", &request).await;
    assert_eq!((&result["state"], &result["outcome"]["result"]), (&json!("JOB_STATE_SUCCEEDED"), &payload));
}

#[tokio::test]
async fn get_result_waits_for_a_running_job() {
    if !is_installed().await {
        return;
    }
    let server = TestServer::start().await;
    let payload = json!({"json": {"seconds": 0.5}});
    let submit = json!({"job": {"kind": "demo.sleep", "payload": payload}});
    let submitted = ask(&server, "JobService/Submit", &submit).await;
    let now = ask(&server, "JobService/GetResult", &json!({"job_id": submitted["jobId"]})).await;
    assert_eq!((now["state"].as_str(), now.get("outcome")), (Some("JOB_STATE_RUNNING"), None));
    let wait = json!({"job_id": submitted["jobId"], "wait": "20s"});
    let end = ask(&server, "JobService/GetResult", &wait).await;
    assert_eq!(end["outcome"]["result"]["json"], json!({"slept_seconds": 0.5}));
}

#[tokio::test]
async fn run_returns_all_events_and_watch_resumes() {
    if !is_installed().await {
        return;
    }
    let server = TestServer::start().await;
    let payload = json!({"json": {"chunks": 3, "interval_seconds": 0.01}});
    let run = json!({"job": {"kind": "demo.stream", "payload": payload}});
    let (messages, error) = call(&server, "JobService/Run", &run).await;
    assert_eq!((messages.len(), error.as_str()), (1 + 2 + 3 + 1, ""), "{messages:#?}");
    let id = &messages[0]["submitted"]["jobId"];
    let last = &messages[6]["event"]["stateChange"];
    assert_eq!(last["state"], "JOB_STATE_SUCCEEDED");
    assert_eq!(last["outcome"]["result"]["json"], json!({"chunks": 3}));
    assert_eq!(messages[3]["event"]["output"]["payload"]["text"], "chunk 1 of 3\n");

    let resume = json!({"job_id": id, "after_sequence": 4});
    let (resumed, error) = call(&server, "JobService/WatchResult", &resume).await;
    assert_eq!((&resumed[..], error.as_str()), (&messages[5..], ""));
    let sequences: Vec<_> = resumed.iter().map(|message| message["event"]["sequence"].clone()).collect();
    assert_eq!(sequences, [json!(5), json!(6)]);
}

#[tokio::test]
async fn cancel_ends_a_running_job() {
    if !is_installed().await {
        return;
    }
    let server = TestServer::start().await;
    let id = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let cancel = json!({"job_id": id, "reason": "typed by hand", "grace": "5s"});
    ask(&server, "JobService/Cancel", &cancel).await;
    let end = ask(&server, "JobService/GetResult", &json!({"job_id": id, "wait": "10s"})).await;
    assert_eq!(end["state"], "JOB_STATE_CANCELLED");
    assert_eq!(end["outcome"]["cancellation"]["reason"], "typed by hand");
}

#[tokio::test]
async fn errors_show_code_reason_and_details() {
    if !is_installed().await {
        return;
    }
    let server = TestServer::start().await;
    let id = new_id();
    let bad = json!({"job": {"kind": "two words", "timeout": "-1s"}});
    let negative = json!({"job_id": id, "wait": "-5s"});
    let pause = json!({"queue": "no-such-queue"});
    for (method, request, words) in [
        (
            "JobService/Submit",
            &bad,
            vec!["InvalidArgument", "INVALID_FIELD", "job.kind", "job.timeout", "is -1 s"],
        ),
        (
            "JobService/GetResult",
            &json!({"job_id": id}),
            vec!["NotFound", "JOB_NOT_FOUND", "jobstream.v1.Job", &id],
        ),
        ("JobService/GetResult", &negative, vec!["InvalidArgument", "INVALID_FIELD", "wait"]),
        ("AdminService/ResumeQueue", &pause, vec!["NotFound", "QUEUE_NOT_FOUND", "no-such-queue"]),
    ] {
        let (messages, error) = call(&server, method, request).await;
        assert!(messages.is_empty());
        for word in words {
            assert!(error.contains(word), "{word} is not in {error}");
        }
        assert!(!error.contains("@value"), "a detail that grpcurl cannot read: {error}");
    }
}
