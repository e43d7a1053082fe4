//! The commands of docs/tls.md, in their order.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{Directory, has_grpcurl, page, run_blocks};
use crate::support::wait_for;

/// Starts the server of a block on a free port. Returns the process and the port.
async fn start(directory: &Directory, block: &str, port: &str) -> (Child, String) {
    let free = block.replace(&format!("localhost:{port}"), "localhost:0");
    let script = free.trim().replacen("jobstream", concat!("exec ", env!("CARGO_BIN_EXE_jobstream")), 1);
    let mut command = Command::new("sh");
    command.args(["-euc", &script]).current_dir(&directory.0).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let line = wait_for("it listens", lines.next_line()).await.expect("text").expect("a line");
    let (_, address) = line.split_once("listening on https://127.0.0.1:").expect("the address");
    let port = address.split(|c: char| !c.is_ascii_digit()).next().expect("a port").to_owned();
    // The rest of stderr is read, so that the server is never blocked.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, port)
}

#[tokio::test]
async fn every_command_of_the_tls_page_works() {
    let blocks = run_blocks("docs/tls.md", &page("docs/tls.md"));
    let [authority, server, clients, renewal, client_certificate, strict_server, strict_clients] =
        &blocks[..]
    else {
        panic!("the page has {} command blocks now", blocks.len());
    };
    if !has_grpcurl().await {
        println!("no grpcurl: skipped");
        return;
    }
    let directory = Directory::new();
    directory.sh(authority).await;
    let (_server, port) = start(&directory, server, "7070").await;
    let stdout = directory.sh(&clients.replace("localhost:7070", &format!("localhost:{port}"))).await;
    assert!(stdout.contains("JOB_STATE_SUCCEEDED") && stdout.contains("\"hi\""), "{stdout}");
    directory.sh(renewal).await;
    directory.sh(client_certificate).await;
    let (_strict_server, port) = start(&directory, strict_server, "7071").await;
    let stdout = directory.sh(&strict_clients.replace("localhost:7071", &format!("localhost:{port}"))).await;
    assert_eq!(stdout.matches("\"durability\"").count(), 2, "{stdout}");
}
