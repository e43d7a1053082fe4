//! The conformance agent of the Rust client and worker, see clients/conformance/README.md.

mod caller;
mod handlers;
mod interceptors;
mod lists;
mod wire;
mod working;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use jobstream::client::{Client, Job};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio_util::sync::CancellationToken;

use handlers::Held;
use wire::Response;

/// The state shared by all commands.
#[derive(Clone, Default)]
struct Agent(Arc<State>);

#[derive(Default)]
struct State {
    client: Mutex<Option<Client>>,
    /// The handles of the jobs that this client submitted.
    jobs: Mutex<HashMap<String, Job<Value>>>,
    held: Held,
    workers: Mutex<HashMap<u64, jobstream::worker::RunningWorker>>,
    watches: Mutex<HashMap<u64, CancellationToken>>,
}

/// A command of the driver.
#[derive(Clone)]
struct Command {
    id: u64,
    body: Arc<Value>,
}

impl Command {
    fn emit(&self, event: Value) {
        write_line(&json!({"id": self.id, "event": event}));
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let agent = Agent::default();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let body: Value = serde_json::from_str(&line)?;
        let command = Command { id: body["id"].as_u64().unwrap_or_default(), body: Arc::new(body) };
        // Runs before the next command is read, so that later commands find the client or the watch.
        agent.prepare(&command);
        let agent = agent.clone();
        tokio::spawn(async move {
            let id = command.id;
            match agent.perform(command).await {
                Ok(response) => write_line(&json!({"id": id, "ok": response})),
                Err(error) => write_line(&json!({"id": id, "error": error.0})),
            }
        });
    }
    Ok(())
}

impl Agent {
    fn prepare(&self, command: &Command) {
        match command.body["op"].as_str() {
            Some("connect") => {
                *self.0.client.lock() = caller::client(&command.body).ok();
                self.0.jobs.lock().clear();
            }
            Some("watch" | "feed") => {
                drop(self.0.watches.lock().insert(command.id, CancellationToken::new()))
            }
            _ => {}
        }
    }

    async fn perform(&self, command: Command) -> Response {
        let body = command.body.clone();
        match body["op"].as_str().unwrap_or_default() {
            "connect" => caller::client(&body).map(|_| json!({})),
            "submit" => self.retain(caller::submit(&self.client()?, &body).await?),
            "retry" => self.retain(self.client()?.retry(caller::job_id(&body)?).await?),
            "run" => caller::run(&self.client()?, &body).await,
            "load" => caller::load(&self.client()?, &body).await,
            "result" => caller::result(&self.job(&body)?, &body).await,
            "state" => caller::state(&self.job(&body)?).await,
            "cancel" => caller::cancel(&self.job(&body)?, &body).await,
            "list" => lists::list(&self.client()?, &body).await,
            "delete" => lists::delete(&self.client()?, &body).await,
            "batch" => lists::batch(&self.client()?, &body).await,
            "queues" => lists::queues(&self.client()?).await,
            "pause" => lists::pause(&self.client()?, &body).await,
            "resume" => lists::resume(&self.client()?, &body).await,
            "purge" => lists::purge(&self.client()?, &body).await,
            "watch" => self.until_stopped(&command, caller::watch(&self.job(&body)?, &command)).await,
            "feed" => self.until_stopped(&command, lists::feed(&self.client()?, &command)).await,
            "work" => self.work(&command).await,
            "release" => {
                self.0.held.release(wire::text(&body, "job_id"), wire::payload(&body["payload"])?);
                Ok(json!({}))
            }
            "drain" => self.drain(&body).await,
            "stop" => self.stop(&body).await,
            other => Err(wire::other_error(format!("unknown op: {other}"))),
        }
    }

    fn client(&self) -> Result<Client, wire::CommandError> {
        self.0.client.lock().clone().ok_or_else(|| wire::other_error("connect first"))
    }

    /// Retains the handle of a new job.
    fn retain(&self, job: Job<Value>) -> Response {
        let id = job.id().to_string();
        let response = lists::submitted(&job);
        self.0.jobs.lock().insert(id, job);
        Ok(response)
    }

    /// The handle of the submit, or a new handle for a job that this client did not submit.
    fn job(&self, body: &Value) -> Result<Job<Value>, wire::CommandError> {
        let submitted = self.0.jobs.lock().get(wire::text(body, "job_id")).cloned();
        match submitted {
            Some(job) => Ok(job),
            None => Ok(self.client()?.attach(caller::job_id(body)?)),
        }
    }

    /// Follows a stream until it ends or is stopped.
    async fn until_stopped(&self, command: &Command, follow: impl Future<Output = Response>) -> Response {
        let stop = self.0.watches.lock().get(&command.id).cloned().unwrap_or_default();
        let response = tokio::select! {
            response = follow => response,
            () = stop.cancelled() => Ok(json!({})),
        };
        self.0.watches.lock().remove(&command.id);
        response
    }
}

/// Writes a line to the driver.
fn write_line(line: &Value) {
    let mut stdout = std::io::stdout().lock();
    // An error means that the driver has ended, and this process ends too.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
