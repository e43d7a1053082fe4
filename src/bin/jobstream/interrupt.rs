//! Ctrl-C and SIGTERM while a command waits for a job: it lets go of the job instead of dying on the spot.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::connect::Client;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// The interrupts of this process, from the moment it is made.
#[derive(Debug)]
pub(crate) struct Interrupts {
    int: Signal,
    term: Signal,
}

impl Interrupts {
    /// Takes the signals over from the system, which would end the process.
    pub(crate) fn listen() -> Result<Self> {
        let take = |kind| {
            signal(kind).map_err(|error| Error::new(Exit::Other, format!("cannot catch signals: {error}")))
        };
        Ok(Self { int: take(SignalKind::interrupt())?, term: take(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

/// Tells that the job goes on without this command, and how to come back to it.
pub(crate) fn detached(client: &Client, job_id: &str, come_back: &str) -> Exit {
    client.output.tell(&format!("interrupted: job {job_id} goes on"));
    client.output.help(&format!("come back with `{come_back}{}`", client.address.again()));
    Exit::Interrupted
}
