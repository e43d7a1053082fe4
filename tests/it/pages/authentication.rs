//! The commands and the config of docs/authentication.md.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::{Directory, blocks, page, run_blocks};
use crate::support::{is_installed, wait_for};

#[tokio::test]
async fn every_command_about_json_web_tokens_works() {
    let text = page("docs/authentication.md");
    let run = run_blocks("docs/authentication.md", &text);
    let block = |part: &str| run.iter().find(|block| block.contains(part)).expect(part);
    if !(is_installed("openssl") && is_installed("curl")) {
        println!("no openssl or curl: skipped");
        return;
    }
    let directory = Directory::new();
    directory.sh(block("genpkey")).await;
    let server = block("--jwt-jwks keys.json").replace("serve", "serve --listen 127.0.0.1:0");
    let script = server.trim().replacen("jobstream", concat!("exec ", env!("CARGO_BIN_EXE_jobstream")), 1);
    let mut command = Command::new("sh");
    command.args(["-euc", &script]).current_dir(&directory.0).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let port = loop {
        let line = wait_for("it listens", lines.next_line()).await.expect("text").expect("a line");
        if let Some((_, address)) = line.split_once("listening on 127.0.0.1:") {
            break address.split(|c: char| !c.is_ascii_digit()).next().expect("a port").to_owned();
        }
    };
    // The rest of stderr is read, so that the server is never blocked.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let call = block("Bearer $token").replace("localhost:7070", &format!("localhost:{port}"));
    let stdout = directory.sh(&call).await;
    assert!(stdout.contains("JOB_STATE_SUCCEEDED") && stdout.contains("\"hi\""), "{stdout}");
}

#[tokio::test]
async fn the_config_about_json_web_tokens_is_valid() {
    let text = page("docs/authentication.md");
    let mut tables =
        blocks(&text).filter(|(language, block)| *language == "toml" && block.contains("[auth.jwt]"));
    let (_, config) = tables.next().expect("an example");
    let directory = Directory::new();
    std::fs::write(directory.0.join("jobstream.toml"), config).expect("a file");
    let printed = directory.sh("jobstream serve --config jobstream.toml --print-config").await;
    assert!(
        printed.contains("[auth.jwt]") && printed.contains("jwks = \"https://id.example/keys\""),
        "{printed}"
    );
}
