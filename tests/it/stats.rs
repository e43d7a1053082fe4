//! Statistics over gRPC and HTTP, and their grants; `jobstream top` on a terminal and into a pipe.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use jobstream::proto::v1;
use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command;

use crate::auth::tokens::Tokens;
use crate::cli::terminal::open_terminal;
use crate::support::{Dev, TestServer, echo, job, needs, send, wait_for};

fn in_queue(queue: &str, spec: v1::JobSpec) -> v1::JobSpec {
    v1::JobSpec { queue: queue.to_owned(), ..spec }
}

#[tokio::test]
async fn the_counts_of_a_window_are_those_of_its_jobs() {
    let server = TestServer::start().await;
    for _ in 0..3 {
        server.run_to_end(in_queue("mail", echo("x"))).await.result();
    }
    server.submit(in_queue("other", job("nobody.serves"))).await;
    let stats = async |queue: &str| {
        let range = Some(prost_types::Duration { seconds: 60, nanos: 0 });
        let request =
            v1::GetStatsRequest { queue: queue.to_owned(), range, ..v1::GetStatsRequest::default() };
        wait_for("GetStats answers", server.admin().get_stats(request)).await.unwrap().into_inner()
    };
    let all = stats("").await;
    assert_eq!((all.points.len(), all.step.unwrap().seconds), (6, 10));
    let total = all.total.unwrap();
    assert_eq!((total.submitted, total.started, total.succeeded, total.waiting), (4, 3, 3, 1));
    assert_eq!(total.run.unwrap().count, 3);
    let mail = stats("mail").await.total.unwrap();
    assert_eq!((mail.submitted, mail.succeeded, mail.waiting, mail.running), (3, 3, 0, 0));
    assert_eq!(mail.submitted, stats("mail").await.points.iter().map(|point| point.submitted).sum::<u64>());
}

#[tokio::test]
async fn only_queues_whose_jobs_may_all_be_listed_are_counted() {
    needs!("curl");
    let mut tokens = Tokens::new();
    let all = tokens.add("all", &["all"], "");
    let mail = tokens.add("mail", &["list queue=mail"], "");
    let own = tokens.add("own", &["list own", "submit"], "");
    let none = tokens.add("none", &["submit"], "");
    let dev = Dev::start(&["--auth-tokens", &tokens.path()]).await;
    for (queue, token) in [("mail", &all), ("other", &own), ("other", &own)] {
        let script = format!("JOBSTREAM_TOKEN={token} jobstream submit -q demo.echo --queue {queue} 1");
        dev.sh(&script).await;
    }
    let submitted = async |token: &str| {
        let url = format!("{}/v1/stats?range=60s", dev.address);
        let answer = dev.sh(&format!("curl -sS -H 'authorization: Bearer {token}' '{url}'")).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer.pointer("/total/submitted").or(answer.get("reason")).cloned().unwrap_or_default()
    };
    assert_eq!(submitted(&all).await, "3");
    assert_eq!(submitted(&mail).await, "1");
    assert_eq!(submitted(&own).await, "0", "jobs of others may be in the queue");
    assert_eq!(submitted(&none).await, "GRANT_MISSING");
}

#[tokio::test]
async fn top_prints_once_into_a_pipe() {
    let dev = Dev::start(&[]).await;
    dev.sh("jobstream submit -q nobody.serves --queue mail 1 2>/dev/null").await;
    let text = dev.sh("jobstream top").await;
    for part in ["per second  submitted", "now  waiting 1", "mail", "no worker: nobody.serves", "local"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    let json: Value = serde_json::from_str(&dev.sh("jobstream top -o json").await).expect("JSON");
    assert_eq!(
        (&json["stats"]["total"]["waiting"], &json["queues"][0]["queue"]),
        (&"1".into(), &"mail".into())
    );
}

#[tokio::test]
async fn top_refreshes_a_terminal_until_it_is_interrupted() {
    let dev = Dev::start(&[]).await;
    let (terminal, screen) = open_terminal(100);
    let mut child = live_top(&dev, &screen).spawn().expect("the command starts");
    let reader = Reader::start(File::from(terminal));
    let reader = reader.until("now  waiting 0").await;
    dev.sh("jobstream submit -q nobody.serves --queue mail 1 2>/dev/null").await;
    let reader = reader.until("no worker: nobody.serves").await;
    send(&child, Signal::INT);
    let status = wait_for("top ends", child.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(0));
    drop(screen);
    let shown = reader.until("\u{1b}[?1049l").await.shown;
    assert!(shown.starts_with("\u{1b}[?1049h"), "{shown:?}");
}

#[tokio::test]
async fn top_requests_only_once_what_is_denied() {
    let mut tokens = Tokens::new();
    let token = tokens.add("web", &["submit", "list"], "");
    let dev = Dev::start(&["--auth-tokens", &tokens.path()]).await;
    let (terminal, screen) = open_terminal(100);
    let mut top = live_top(&dev, &screen);
    let mut child = top.env("JOBSTREAM_TOKEN", &token).spawn().expect("the command starts");
    let reader = Reader::start(File::from(terminal)).until("workers: needs the grant admin").await;
    dev.sh(&format!("JOBSTREAM_TOKEN={token} jobstream submit -q nobody.serves 1 2>/dev/null")).await;
    let reader = reader.until("now  waiting 1").await;
    send(&child, Signal::INT);
    wait_for("top ends", child.wait()).await.expect("a status");
    drop((top, screen));
    reader.until("\u{1b}[?1049l").await;
    dev.signal(Signal::TERM);
    let (_, stderr) = dev.end().await;
    assert_eq!(stderr.matches("AdminService/ListWorkers").count(), 1, "{stderr}");
}

/// `jobstream top` on this terminal.
fn live_top(dev: &Dev, screen: &impl Fn() -> OwnedFd) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.args(["top", "--interval", "50ms", "--address", &dev.address]).env("TERM", "xterm");
    command.stdin(Stdio::null()).stdout(screen()).stderr(screen());
    command
}

/// Reads what a terminal shows.
struct Reader {
    terminal: File,
    shown: String,
}

impl Reader {
    fn start(terminal: File) -> Self {
        Self { terminal, shown: String::new() }
    }

    /// Reads until this text was shown.
    async fn until(mut self, text: &'static str) -> Self {
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 4096];
            while !self.shown.contains(text) {
                let count = self.terminal.read(&mut buffer).expect("the terminal can be read");
                self.shown += &String::from_utf8_lossy(&buffer[..count]);
            }
            self
        });
        tokio::time::timeout(Duration::from_secs(20), read).await.expect(text).expect("it is read")
    }
}
