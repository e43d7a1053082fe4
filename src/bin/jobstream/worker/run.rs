//! Runs a worker until it is drained or refused, and reports its connection status.

use std::time::Duration;

use jobstream::client;
use jobstream::worker::{RunningWorker, WorkerEnd, WorkerStatus};
use tokio::sync::watch;

use super::messages::{self, Description};
use crate::connect::Address;
use crate::error::{self, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::output::Output;

/// Timeout for killing programs and reporting it to the server. The process has 100 ms to exit.
const STOP_TIME_MAX: Duration = Duration::from_millis(50);

/// Waits for the worker's end. The first signal drains it, the second one ends it at once.
pub(super) async fn until_end(
    worker: &RunningWorker,
    output: &Output,
    description: &Description,
    drain_timeout: Duration,
    mut interrupts: Interrupts,
) -> WorkerEnd {
    let mut reporter = Reporter { output, description, worker, was_connected: false, reason: String::new() };
    let mut status = worker.status();
    tokio::select! {
        end = worker.wait() => end,
        () = reporter.report(&mut status) => worker.wait().await,
        () = interrupts.next() => {
            output.notice(&messages::draining(worker.attempts(), drain_timeout));
            tokio::select! {
                _ = worker.drain(drain_timeout) => {}
                () = interrupts.next() => {
                    output.notice("ending at once: running attempts are returned to the server");
                    worker.stop(STOP_TIME_MAX).await;
                }
            }
            WorkerEnd::Requested
        }
    }
}

/// Reports how the worker ended.
///
/// # Errors
///
/// The server's error if it refused the worker.
pub(super) fn report(end: WorkerEnd, output: &Output, address: &Address) -> Result<Exit> {
    match end {
        WorkerEnd::Requested => output.notice("stopped"),
        WorkerEnd::Drained => output.notice("drained by an operator: stopped"),
        WorkerEnd::Refused(status) => {
            return Err(error::from_client(
                &client::Error::from_status(&status, &address.to_string()),
                address,
            ));
        }
    }
    Ok(Exit::Ok)
}

/// Reports status changes as lines.
struct Reporter<'a> {
    output: &'a Output,
    description: &'a Description,
    worker: &'a RunningWorker,
    was_connected: bool,
    /// The reported reason of the missing connection.
    reason: String,
}

impl Reporter<'_> {
    /// Reports every change until the worker ends.
    async fn report(&mut self, status: &mut watch::Receiver<WorkerStatus>) {
        loop {
            let now = status.borrow_and_update().clone();
            match now {
                WorkerStatus::Connecting { why } => self.disconnected(why),
                WorkerStatus::Connected { worker_ids, server_version } => {
                    self.output.notice(&self.description.connected(&worker_ids, &server_version));
                    (self.was_connected, self.reason) = (true, String::new());
                }
                WorkerStatus::Draining => {
                    self.output.notice(&messages::drained_by_operator(self.worker.attempts()));
                }
                WorkerStatus::Ended => return,
            }
            if status.changed().await.is_err() {
                return;
            }
        }
    }

    /// Reports each reason once.
    fn disconnected(&mut self, why: String) {
        if !why.is_empty() && why != self.reason {
            self.output.notice(&self.description.disconnected(self.was_connected, &why));
            (self.was_connected, self.reason) = (false, why);
        }
    }
}
