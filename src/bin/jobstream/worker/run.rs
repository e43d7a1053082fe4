//! A worker from its first try to connect to its end: who ends it, and what is said on the way.

use std::time::Duration;

use jobstream::client;
use jobstream::worker::{RunningWorker, WorkerEnd, WorkerStatus};
use tokio::sync::watch;

use super::news::{self, Terms};
use crate::connect::Address;
use crate::error::{self, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::output::Output;

/// What programs that are ended at once get to be gone, and the server to hear of it.
/// The process has 100 ms to be gone.
const STOP_TIME_MAX: Duration = Duration::from_millis(50);

/// Waits for the worker's end, which signals bring about: the first drains, the second ends at once.
pub(super) async fn live(
    worker: &RunningWorker,
    output: &Output,
    terms: &Terms,
    drain_timeout: Duration,
    mut interrupts: Interrupts,
) -> WorkerEnd {
    let mut story = Story { output, terms, worker, was_connected: false, away: String::new() };
    let mut status = worker.status();
    tokio::select! {
        end = worker.wait() => end,
        () = story.tell(&mut status) => worker.wait().await,
        () = interrupts.next() => {
            output.notice(&news::draining(worker.attempts(), drain_timeout));
            tokio::select! {
                _ = worker.drain(drain_timeout) => {}
                () = interrupts.next() => {
                    output.notice("ending at once: what runs is given back");
                    worker.stop(STOP_TIME_MAX).await;
                }
            }
            WorkerEnd::Told
        }
    }
}

/// Tells how it ended.
///
/// # Errors
///
/// What the server said if it refused the worker for good.
pub(super) fn conclude(end: WorkerEnd, output: &Output, address: &Address) -> Result<Exit> {
    match end {
        WorkerEnd::Told => output.notice("stopped"),
        WorkerEnd::Drained => output.notice("drained by an operator: stopped"),
        WorkerEnd::Refused(status) => {
            let address = address.to_string();
            return Err(error::from_client(&client::Error::from_status(&status, &address), &address));
        }
    }
    Ok(Exit::Ok)
}

/// What was told so far.
struct Story<'a> {
    output: &'a Output,
    terms: &'a Terms,
    worker: &'a RunningWorker,
    was_connected: bool,
    /// Why there is no connection, as it was told.
    away: String,
}

impl Story<'_> {
    /// Tells every change until the worker ended.
    async fn tell(&mut self, status: &mut watch::Receiver<WorkerStatus>) {
        loop {
            let now = status.borrow_and_update().clone();
            match now {
                WorkerStatus::Connecting { why } => self.is_away(why),
                WorkerStatus::Connected { worker_ids, server_version } => {
                    self.output.notice(&self.terms.connected(&worker_ids, &server_version));
                    (self.was_connected, self.away) = (true, String::new());
                }
                WorkerStatus::Draining => {
                    self.output.notice(&news::drained_by_operator(self.worker.attempts()));
                }
                WorkerStatus::Ended => return,
            }
            if status.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tells a reason once, however often it is met.
    fn is_away(&mut self, why: String) {
        if !why.is_empty() && why != self.away {
            self.output.notice(&self.terms.away(self.was_connected, &why));
            (self.was_connected, self.away) = (false, why);
        }
    }
}
