//! Ctrl-C and SIGTERM while a command waits for a job: it lets go of the job instead of dying on the spot.

pub(crate) use jobstream::signals::Interrupts;

use crate::connect::Client;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Takes Ctrl-C and SIGTERM over from the system, which would end the process.
pub(crate) fn listen() -> Result<Interrupts> {
    Interrupts::listen().map_err(|error| Error::new(Exit::Other, format!("cannot catch signals: {error}")))
}

/// Tells that the job goes on without this command, and how to come back to it.
pub(crate) fn detached(client: &Client, job_id: &str, come_back: &str) -> Exit {
    client.output.tell(&format!("interrupted: job {job_id} goes on"));
    client.output.help(&format!("come back with `{come_back}{}`", client.address.again()));
    Exit::Interrupted
}
