//! `jobstream jobs watch` against a real server.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::{Feed, all};
use crate::support::{TestServer, echo, send, wait_for};

/// Starts `jobstream jobs watch` with these arguments.
fn watch(server: &TestServer, args: &[&str]) -> (Child, tokio::io::Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command
        .args(["jobs", "watch"])
        .args(args)
        .env_clear()
        .env("JOBSTREAM_ADDRESS", server.address.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the command starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    (child, lines)
}

#[tokio::test]
async fn a_line_is_printed_for_each_change_until_an_interrupt() {
    let server = TestServer::start().await;
    let cursor = Feed::open(&mut server.jobs(), all()).await.cursor;
    let id = server.run_to_end(echo("x")).await.id;
    let (mut child, mut lines) = watch(&server, &["--after", &cursor]);
    for (state, attempt) in [("QUEUED", "0"), ("RUNNING", "1"), ("SUCCEEDED", "1")] {
        let line = wait_for("a line", lines.next_line()).await.expect("text").expect("a line");
        let columns: Vec<_> = line.split('\t').collect();
        assert_eq!(columns[1..6], [&id, state, attempt, "demo.echo", "default"], "{line}");
    }
    send(&child, rustix::process::Signal::INT);
    let status = wait_for("the command ends", child.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn json_lines_have_the_cursor_and_filters_apply() {
    let server = TestServer::start().await;
    let cursor = Feed::open(&mut server.jobs(), all()).await.cursor;
    server.run_to_end(echo("x")).await;
    let id = server.run_to_end(jobstream::proto::v1::JobSpec { queue: "mail".into(), ..echo("y") }).await.id;
    let args = ["--after", &cursor, "--queue", "mail", "--outcomes", "-o", "jsonl"];
    let (_child, mut lines) = watch(&server, &args);
    let line = wait_for("a line", lines.next_line()).await.expect("text").expect("a line");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["change"]["jobId"], *id);
    assert_eq!(line["change"]["event"]["stateChange"]["state"], "SUCCEEDED");
    assert!(line["cursor"].as_str().is_some_and(|next| next != cursor), "{line}");
}
