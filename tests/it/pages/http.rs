//! The commands of the pages about HTTP/JSON, and the worker in a shell script.

use std::process::Stdio;

use tokio::process::{Child, Command};

use super::source::page;
use super::{Directory, run_blocks};
use crate::support::{Dev, FaultProxy, Towards, is_installed, until};

/// Fails a command whose response is an error, as a reader would notice it.
const STRICT_CURL: &str = "curl() { command curl --silent --show-error --fail-with-body \"$@\"; echo; }\n";
/// What the response to each block of docs/http.md has.
const ANSWERS: [&str; 13] = [
    "\"outcome\":{\"result\":{\"json\":{\"slept_seconds\":1",
    "hello",
    "\"counted\":3",
    "JOB_STATE_SUCCEEDED",
    "{\"seconds\":1}",
    "DISPOSITION_EXISTING",
    "nextPageToken",
    "\"state\":\"JOB_STATE_",
    "\"results\":[{\"submitted\"",
    "\"queue\":\"mail\",\"paused\":true",
    "JOB_STATE_CANCELLED",
    ": heartbeat\nid: ",
    "\"field\":\"priority\"",
];

async fn has_curl_and_jq() -> bool {
    let found = is_installed("curl") && is_installed("jq");
    if !found {
        println!("no curl or jq: skipped");
    }
    found
}

#[tokio::test]
async fn every_command_of_the_http_page_works() {
    if !has_curl_and_jq().await {
        return;
    }
    let dev = Dev::start(&[]).await;
    let blocks = run_blocks("docs/http.md", &page("docs/http.md"));
    assert_eq!(blocks.len(), ANSWERS.len(), "the page has other commands now");
    let mut script = STRICT_CURL.to_owned();
    for block in blocks {
        // The only response that is an error is that of the section on errors.
        let is_refused = block.contains("\"priority\": 1000");
        let block = block.replace("localhost:7070", &dev.address);
        script += &format!("printf '\\f'\n{}{}\n", block.trim(), if is_refused { " || true" } else { "" });
    }
    let stdout = Directory::new().sh(&script).await;
    let answers: Vec<_> = stdout.split('\u{c}').skip(1).collect();
    for (answer, expected) in answers.iter().zip(ANSWERS) {
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
    assert!(answers[0].starts_with("{\"state\":\"JOB_STATE_RUNNING\""), "not finished yet: {}", answers[0]);
}

/// The worker of the page, which runs this shell script for each job.
fn shell_worker(url: &str, directory: &Directory, script: &str) -> Child {
    let worker = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shell/worker.sh");
    let mut command = Command::new("sh");
    command.args([worker, "shout", "sh", "-c", script]).env("JOBSTREAM_URL", url).current_dir(&directory.0);
    command.stdin(Stdio::null()).kill_on_drop(true).spawn().expect("sh runs")
}

#[tokio::test]
async fn the_commands_of_the_shell_workers_page_work() {
    if !has_curl_and_jq().await {
        return;
    }
    let dev = Dev::start(&["--demo=false"]).await;
    let blocks = run_blocks("docs/shell-worker.md", &page("docs/shell-worker.md"));
    let [worker, submit] = &blocks[..] else { panic!("the page has {} blocks now", blocks.len()) };
    let words: Vec<_> = worker.split_whitespace().collect();
    let [url, "sh", script, arguments @ ..] = &words[..] else { panic!("another command now: {worker}") };
    assert_eq!(*url, "JOBSTREAM_URL=http://localhost:7070");
    let mut command = Command::new("sh");
    command.arg(script).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("JOBSTREAM_URL", format!("http://{}", dev.address)).kill_on_drop(true);
    let _worker = command.spawn().expect("sh runs");
    let script = format!("{STRICT_CURL}{}", submit.replace("localhost:7070", &dev.address));
    assert_eq!(dev.sh(&script).await.trim(), "HELLO");
}

#[tokio::test]
async fn the_worker_in_a_shell_script_loses_nothing_with_a_response() {
    if !has_curl_and_jq().await {
        return;
    }
    let dev = Dev::start(&["--demo=false"]).await;
    let proxy = FaultProxy::start(dev.address.parse().expect("an address")).await;
    let directory = Directory::new();
    let program = "cat; : >>started; until [ -e finish ]; do sleep 0.02; done";
    let _worker = shell_worker(&proxy.url(), &directory, program);
    // The response to the lease is lost: the script waits for a job by now, or will.
    proxy.connections(1).await;
    proxy.stall_towards(Towards::Client);
    let id = dev.sh("jobstream submit shout 'a b' --text").await;
    proxy.stalled(Towards::Client).await;
    proxy.cut();
    proxy.resume();
    let started = directory.0.join("started");
    until("the program runs", || async { started.exists() }).await;
    // The response to the report is lost.
    proxy.stall_towards(Towards::Client);
    std::fs::write(directory.0.join("finish"), "").expect("a file");
    proxy.stalled(Towards::Client).await;
    proxy.cut();
    proxy.resume();
    assert_eq!(dev.sh(&format!("jobstream result {} --wait", id.trim())).await, "a b");
    let job = dev.sh(&format!("jobstream jobs get {} -o json", id.trim())).await;
    let job: serde_json::Value = serde_json::from_str(&job).expect("JSON");
    assert_eq!(job["attempt"], 1, "{job}");
    // The next job runs: the script has read the repeated response.
    let next = dev.sh("jobstream run shout 'c d' --text").await;
    assert_eq!(next, "c d");
}

#[tokio::test]
async fn the_worker_in_a_shell_script_reports_failures_and_bytes() {
    if !has_curl_and_jq().await {
        return;
    }
    let dev = Dev::start(&["--demo=false"]).await;
    let directory = Directory::new();
    let program = "od -An -tx1; if [ -e fail ]; then echo too bad >&2; exit 3; fi";
    let _worker = shell_worker(&format!("http://{}", dev.address), &directory, program);
    let bytes = dev.sh("printf '\\377\\000' | jobstream run shout - --bytes").await;
    assert_eq!(bytes.trim(), "ff 00");
    std::fs::write(directory.0.join("fail"), "").expect("a file");
    let failed = dev.sh("jobstream run shout 2>&1 || true").await;
    assert!(failed.contains("too bad"), "{failed}");
}
