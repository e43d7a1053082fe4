//! The command blocks of the pages. Each is run by a test or listed here with a reason.

#[cfg(feature = "tls")]
mod access;
#[cfg(feature = "tls")]
mod authentication;
mod cli;
mod flags;
mod http;
#[cfg(feature = "tls")]
mod proxy;
mod quotas;
mod source;
#[cfg(feature = "tls")]
mod tls;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use self::source::{blocks, page, pages};
use crate::support::{Dev, Remote, is_installed, needs, new_id, wait_for};

/// Pages whose `sh` blocks are run by a test of this module, except for those listed below.
const TESTED: [&str; 12] = [
    "README.md",
    "docs/authentication.md",
    "docs/cli.md",
    "docs/http.md",
    "docs/monitoring.md",
    "docs/operations.md",
    "docs/protocol.md",
    "docs/quotas.md",
    "docs/runbook.md",
    "docs/shell-worker.md",
    "docs/storage.md",
    "docs/tls.md",
];
/// Blocks that no test runs: the page, the start of the block, the reason.
const NOT_RUN: [(&str, &str, &str); 6] = [
    ("docs/monitoring.md", "docker compose", "downloads images; tests/it/metrics runs its rules and queries"),
    (
        "docs/http-handlers.md",
        "umask 077",
        "the server runs until a signal; examples/http-handlers/run starts the same",
    ),
    (
        "docs/protocol.md",
        "pip install",
        "downloads packages; tests/python/run generates the same stubs from pinned ones",
    ),
    ("clients/README.md", "cargo add", "compiles every crate again; `.ci/run` builds each feature alone"),
    ("docs/performance.md", "cargo build", "a benchmark takes minutes and needs an idle machine"),
    ("docs/performance.md", "RUSTFLAGS=", "perf needs privileges"),
];
/// Languages of blocks that other tests check: tests/tidy compares them with examples, rustdoc compiles Rust,
/// the tests of a page read its `toml` and `nginx`, and tests/browser runs `html` and `js`. `ini`, `yaml` and `text` hold no
/// commands.
const OTHER_LANGUAGES: [&str; 13] = [
    "rust,no_run",
    "python",
    "go",
    "ts",
    "java",
    "bash",
    "html",
    "js",
    "toml",
    "nginx",
    "ini",
    "yaml",
    "text",
];
/// Prefixes of command lines.
const COMMANDS: [&str; 9] =
    ["jobstream ", "cargo ", "grpcurl ", "bash ", "pip ", "python ", "npm ", "./", "$ "];

/// A temporary directory, removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{}", new_id()));
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    /// Creates a directory with the log of a stopped server in `jobs`.
    async fn with_log() -> Self {
        let directory = Self::new();
        let jobs = directory.0.join("jobs").display().to_string();
        let dev = Dev::start(&["--data", &jobs]).await;
        dev.sh("jobstream run demo.echo 1").await;
        dev.signal(Signal::TERM);
        assert_eq!(dev.end().await.0, Some(0));
        directory
    }

    /// Runs a script in the directory with the binary on its PATH. Returns stdout.
    async fn sh(&self, script: &str) -> String {
        let binaries = Path::new(env!("CARGO_BIN_EXE_jobstream")).parent().expect("a directory").display();
        let path = format!("{binaries}:{}", std::env::var("PATH").expect("a PATH"));
        let mut command = Command::new("sh");
        command.args(["-euc", script]).env("PATH", path).current_dir(&self.0);
        let output = wait_for(script, command.output()).await.expect("sh runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\nstderr: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Starts the server of a block on a free port instead of this one. Returns the process and the port.
    async fn serve(&self, block: &str, port: &str) -> (Child, String) {
        let free = block.replace(&format!("localhost:{port}"), "localhost:0");
        let script = free.trim().replacen("jobstream", concat!("exec ", env!("CARGO_BIN_EXE_jobstream")), 1);
        let mut command = Command::new("sh");
        command.args(["-euc", &script]).current_dir(&self.0).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut seen = String::new();
        let port = loop {
            let line = wait_for("it listens", lines.next_line()).await.expect("text");
            let line = line.unwrap_or_else(|| panic!("{block} ended: {seen}"));
            if let Some((_, address)) =
                line.split_once("127.0.0.1:").filter(|_| line.contains("listening on "))
            {
                break address.split(|c: char| !c.is_ascii_digit()).next().expect("a port").to_owned();
            }
            seen += &format!("{line}\n");
        };
        // The rest of stderr is read, so that the server is never blocked.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        (child, port)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A remaining directory in the target directory is harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn has_grpcurl() -> bool {
    is_installed("grpcurl")
}

/// Returns the `sh` blocks of a page that its test runs.
fn run_blocks(path: &str, text: &str) -> Vec<String> {
    let is_listed =
        |block: &str| NOT_RUN.iter().any(|(page, first, _)| *page == path && block.starts_with(first));
    let commands = blocks(text).filter(|(language, block)| *language == "sh" && !is_listed(block));
    commands.map(|(_, block)| block.to_owned()).collect()
}

/// Returns blocks that are neither run nor listed, commands in other blocks, and entries without a block.
fn breaches(pages: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut listed = NOT_RUN.to_vec();
    for (path, text) in pages {
        for (language, block) in blocks(text) {
            let first = block.lines().next().unwrap_or_default();
            let is_listed = |entry: &(&str, &str, &str)| entry.0 == path && first.starts_with(entry.1);
            match language {
                "sh" if listed.iter().any(is_listed) => listed.retain(|entry| !is_listed(entry)),
                "sh" if TESTED.contains(&path.as_str()) => {}
                "sh" => found.push(format!("{path}: not run and not listed: {first}")),
                known if OTHER_LANGUAGES.contains(&known) => {
                    let commands = block.lines().filter(|line| COMMANDS.iter().any(|c| line.starts_with(c)));
                    found
                        .extend(commands.map(|line| format!("{path}: a command in a {known} block: {line}")));
                }
                other => found.push(format!("{path}: a block in {other:?}: {first}")),
            }
        }
    }
    found.extend(listed.iter().map(|(path, first, _)| format!("{path}: listed, but not there: {first}")));
    found
}

#[test]
fn every_command_block_is_run_or_listed() {
    assert_eq!(breaches(&pages()), Vec::<String>::new());
}

#[test]
fn a_block_that_is_not_run_is_detected() {
    let of = |text: &str| {
        let found = breaches(&[("docs/new.md".to_owned(), text.to_owned())]);
        found.into_iter().filter(|breach| breach.starts_with("docs/new.md")).count()
    };
    assert_eq!(of("a\n```sh\nls\n```\n"), 1);
    assert_eq!(of("a\n```\nls\n```\n"), 1);
    assert_eq!(of("a\n```text\njobstream serve\n```\n"), 1);
    assert_eq!(of("a\n```text\na drawing\n```\n"), 0);
}

#[tokio::test]
async fn every_command_of_the_readme_works() {
    needs!("curl");
    let dev = Dev::start(&[]).await;
    let _worker = Remote::connected(&dev, &["--exec", "reverse=rev"]).await;
    let mut seen = (0, 0);
    for block in run_blocks("README.md", &page("README.md")) {
        let script = block.replace("localhost:7070", &dev.address);
        match block.trim() {
            // The first is the running server, the second is this test suite, the third is the worker above.
            "cargo run --release -- dev"
            | "cargo test"
            | "jobstream worker --address localhost:7070 --exec 'reverse=rev'" => seen.0 += 1,
            curl if curl.starts_with("curl") && !is_installed("curl") => {
                println!("no curl: skipped")
            }
            curl if curl.starts_with("curl") => {
                let stdout = dev.sh(&script).await;
                assert!(stdout.contains(r#""outcome":{"result":{"json":{"counted":3}}}"#), "{stdout}");
                seen.1 += 1;
            }
            grpcurl if grpcurl.contains("grpcurl") && !has_grpcurl().await => println!("no grpcurl: skipped"),
            grpcurl if grpcurl.contains("grpcurl") => {
                let stdout = dev.sh(&script).await;
                let succeeded = stdout.contains("JOB_STATE_SUCCEEDED") && stdout.contains("\"counted\": 3");
                assert!(succeeded, "{stdout}");
                seen.1 += 1;
            }
            _ => {
                dev.sh(&script).await;
                seen.1 += 1;
            }
        }
    }
    assert!(seen.0 == 3 && seen.1 >= 3, "the README has other commands now: {seen:?}");
}

#[tokio::test]
async fn every_command_of_the_operations_page_works() {
    let text = page("docs/operations.md");
    let directory = Directory::with_log().await;
    let mut seen = (0, 0);
    for (language, block) in blocks(&text) {
        match language {
            "toml" => {
                std::fs::write(directory.0.join("jobstream.toml"), block).expect("a file");
                let printed = directory.sh("jobstream serve --config jobstream.toml --print-config").await;
                assert!(printed.contains("drain_timeout = \"30s\""), "{printed}");
            }
            // A server runs until a signal: only its config is checked.
            "sh" if block.starts_with("jobstream serve") && !block.contains("--print-config") => {
                directory.sh(&format!("{} --print-config", block.trim())).await;
                seen.0 += 1;
            }
            "sh" => {
                if block.starts_with("jobstream config check") {
                    // The files of the example above are not there.
                    directory.sh("jobstream serve --print-config > jobstream.toml").await;
                }
                directory.sh(block).await;
                seen.1 += 1;
            }
            _ => {}
        }
    }
    assert_eq!(seen, (3, 3), "the page has other commands now");
    assert!(directory.0.join("jobs-saved").is_dir());
}

#[tokio::test]
async fn every_command_of_the_monitoring_page_works() {
    let dev = Dev::start(&[]).await;
    let blocks = run_blocks("docs/monitoring.md", &page("docs/monitoring.md"));
    let [probes, metrics, serve, level, traced] = &blocks[..] else {
        panic!("the page has {} command blocks now", blocks.len())
    };
    // A server runs until a signal: only its config is checked.
    let config = dev.sh(&format!("{} --print-config", serve.trim())).await;
    assert!(config.contains("jobstream::jobs=debug"), "{config}");
    assert_eq!(dev.sh(level).await, "info\ninfo,jobstream::jobs=debug\ninfo,jobstream=debug\n");
    let stdout = dev.sh(&probes.replace("localhost:7070", &dev.address)).await;
    assert!(stdout.starts_with("status\tready\n") && stdout.ends_with("status\tSERVING\n"), "{stdout}");
    if is_installed("promtool") {
        let stdout = dev.sh(&metrics.replace("localhost:7070", &dev.address)).await;
        assert!(stdout.starts_with("name\tjobstream_queue_unserved_jobs\n"), "{stdout}");
    }
    if is_installed("curl") {
        let stdout = dev.sh(&traced.replace("localhost:7070", &dev.address)).await;
        assert!(stdout.contains("\"traceparent\":\"00-4bf92f35"), "{stdout}");
    }
}

#[tokio::test]
async fn every_command_of_the_runbook_works() {
    let dev = Dev::start(&[]).await;
    let blocks = run_blocks("docs/runbook.md", &page("docs/runbook.md"));
    let [overview] = &blocks[..] else { panic!("the page has {} command blocks now", blocks.len()) };
    let stdout = dev.sh(overview).await;
    assert!(stdout.starts_with("status\tready\n") && stdout.contains("local\tPOOL"), "{stdout}");
}

#[tokio::test]
async fn every_command_of_the_storage_page_works() {
    let commands = run_blocks("docs/storage.md", &page("docs/storage.md"));
    let [commands] = &commands[..] else { panic!("the page has {} command blocks now", commands.len()) };
    let directory = Directory::with_log().await;
    let stdout = directory.sh(commands).await;
    assert!(stdout.contains("\"accepted\""), "{stdout}");
    assert!(directory.0.join("jobs-saved").is_dir());
}

#[tokio::test]
async fn the_session_of_the_protocol_page_works() {
    if !has_grpcurl().await {
        println!("no grpcurl: skipped");
        return;
    }
    let sessions = run_blocks("docs/protocol.md", &page("docs/protocol.md"));
    let [session] = &sessions[..] else { panic!("the page has {} sessions now", sessions.len()) };
    let dev = Dev::start(&["--demo=false"]).await;
    let stdout = dev.sh(&session.replace("localhost:7070", &dev.address)).await;
    assert_eq!(stdout.matches("\"results\"").count(), 2, "{stdout}");
    assert!(!stdout.contains("LEASE_LOST"), "{stdout}");
    let jobs = dev.sh("jobstream jobs ls").await;
    let id = jobs.split('\t').next().expect("an id");
    assert_eq!(dev.sh(&format!("jobstream result {id}")).await, "HELLO");
    assert_eq!(dev.sh("jobstream workers ls").await, "", "a worker without a lease is removed");
}
