//! The commands of a worker: work, drain, stop.

use std::time::Duration;

use jobstream::client::Error;
use jobstream::worker::{RemoteOptions, RunningWorker, Worker, WorkerEnd, WorkerStatus};
use serde_json::{Value, json};

use crate::interceptors::Named;
use crate::wire::{self, Response, millis};
use crate::{Agent, Command, caller, handlers};

/// Time for running attempts to finish after a signal, and for cancelled handlers to return.
const DRAIN: Duration = Duration::from_secs(2);

impl Agent {
    pub(crate) async fn work(&self, command: &Command) -> Response {
        let body = &command.body;
        let client = if body["address"].is_string() { caller::client(body)? } else { self.client()? };
        let mut worker =
            Worker::new().name(wire::text(body, "name")).slots(body["slots"].as_u64().unwrap_or(8) as u32);
        for (kind, behaviour) in wire::texts(&body["handlers"]) {
            worker = handlers::add(worker, kind, behaviour, &self.0.held, command);
        }
        for name in wire::strings(&body["interceptors"]) {
            worker = worker.interceptor(Named::new(name));
        }
        let mut options = RemoteOptions::default();
        if let Some(bytes) = body["message_bytes_max"].as_u64() {
            options.message_bytes_max = bytes as usize;
        }
        let running =
            worker.connect(&client, options).map_err(|error| wire::other_error(error.to_string()))?;
        self.0.workers.lock().insert(command.id, running.clone());
        tokio::spawn(emit_connections(running.clone(), command.clone()));
        let end = match body["signals"].as_bool() {
            Some(true) => {
                running.until_signal(DRAIN).await.map_err(|error| wire::other_error(error.to_string()))?
            }
            _ => running.wait().await,
        };
        match end {
            WorkerEnd::Refused(status) => Err(Error::from_status(&status, client.address()).into()),
            WorkerEnd::Requested | WorkerEnd::Drained => Ok(json!({})),
        }
    }

    pub(crate) async fn drain(&self, body: &Value) -> Response {
        self.worker(body)?.drain(millis(body, "within").unwrap_or(DRAIN)).await;
        Ok(json!({}))
    }

    pub(crate) async fn stop(&self, body: &Value) -> Response {
        let target = body["target"].as_u64().unwrap_or_default();
        let watch = self.0.watches.lock().get(&target).cloned();
        match watch {
            Some(watch) => watch.cancel(),
            None => drop(self.worker(body)?.stop(DRAIN).await),
        }
        Ok(json!({}))
    }

    fn worker(&self, body: &Value) -> Result<RunningWorker, wire::CommandError> {
        let target = body["target"].as_u64().unwrap_or_default();
        let running = self.0.workers.lock().get(&target).cloned();
        running.ok_or_else(|| wire::other_error(format!("{target} is not a worker")))
    }
}

/// Emits an event for each connection.
async fn emit_connections(running: RunningWorker, command: Command) {
    let mut status = running.status();
    loop {
        let now = status.borrow_and_update().clone();
        match now {
            WorkerStatus::Connected { .. } => command.emit(json!({"type": "connected"})),
            WorkerStatus::Ended => return,
            _ => {}
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}
