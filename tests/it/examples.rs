//! The programs in `examples` do what the pages describe.

use std::path::PathBuf;
use std::process::Stdio;

use jobstream::proto::v1;
use jobstream::worker::demo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{TestServer, connect, job, json, text, wait_for};

/// A running example.
struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Example {
    fn start(name: &str, address: &str) -> Self {
        let binaries = PathBuf::from(env!("CARGO_BIN_EXE_jobstream"));
        let program = binaries.with_file_name("examples").join(name);
        let mut command = Command::new(&program);
        command.arg(address).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let hint = || format!("{} is missing: `cargo build --examples`", program.display());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}: {}", hint()));
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    /// Reads to the next line with this prefix. Returns the rest of the line.
    async fn prints(&mut self, prefix: &str) -> String {
        while let Some(line) = wait_for(prefix, self.lines.next_line()).await.expect("text") {
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
        panic!("no line starts with {prefix:?}");
    }

    /// Waits for a successful end. Returns the remaining output.
    async fn ends(mut self) -> String {
        let mut output = String::new();
        while let Some(line) = wait_for("its end", self.lines.next_line()).await.expect("text") {
            output = output + &line + "\n";
        }
        let status = wait_for("its end", self.child.wait()).await.expect("a status");
        assert!(status.success(), "{status}: {output}");
        output
    }

    async fn drains(self) -> String {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
        kill_process(pid, Signal::TERM).expect("it runs");
        self.ends().await
    }
}

fn url(server: &TestServer) -> String {
    format!("http://{}", server.address)
}

#[tokio::test]
async fn embed_serves_jobs_until_a_signal() {
    let mut embed = Example::start("embed", "127.0.0.1:0");
    let address = embed.prints("listening on ").await.parse().expect("an address");
    let mut jobs = v1::job_service_client::JobServiceClient::new(connect(address).await);
    let spec = v1::JobSpec { payload: Some(text("21")), ..job("double") };
    let accepted = jobs.submit(v1::SubmitRequest { job: Some(spec), validate_only: false }).await;
    let request = v1::GetResultRequest {
        job_id: accepted.expect("accepted").into_inner().job_id,
        wait: Some(crate::support::seconds(20)),
    };
    let result = jobs.get_result(request).await.expect("an answer").into_inner();
    assert_eq!(result.state(), v1::JobState::Succeeded, "{result:?}");
    embed.drains().await;
}

#[tokio::test]
async fn remote_worker_serves_jobs_until_a_signal() {
    let server = TestServer::start().await;
    let mut worker = Example::start("remote_worker", &url(&server));
    worker.prints("connected to ").await;
    let spec = v1::JobSpec { payload: Some(json(json!({"width": 64}))), ..job("resize") };
    let ended = server.run_to_end(spec).await;
    assert_eq!(*ended.result(), json(json!({"width": 64, "height": 48})));
    assert_eq!(worker.drains().await, "ended: Requested\n");
}

#[tokio::test]
async fn submit_and_wait_prints_the_result() {
    let server =
        TestServer::with(|setup| setup.worker = demo::add_to(std::mem::take(&mut setup.worker))).await;
    let output = Example::start("submit_and_wait", &url(&server)).ends().await;
    let result = format!(r#"result Greeting {{ name: "Ada", times: {} }}"#, u64::MAX);
    assert!(output.ends_with(&format!("{result}\n")), "{output}");
}

#[tokio::test]
async fn stream_tokens_prints_every_word_once() {
    let server = TestServer::start().await;
    let output = Example::start("stream_tokens", &url(&server)).ends().await;
    let lines: Vec<_> = output.lines().collect();
    let [first, left, rest, words] = lines[..] else { panic!("{output}") };
    assert_eq!(
        format!("{first}{rest}"),
        "a job is a small numbered stream of events that ends in one outcome"
    );
    assert!(left.starts_with("(stopped after event "), "{left}");
    assert_eq!(words, "14 words");
}
