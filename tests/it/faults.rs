//! What remote workers and their servers survive: killed, stopped and cut off processes, dead connections, drains.

mod black_hole;
mod cancel;
mod drain;
mod host;
mod kills;
mod load;
mod restart;
mod stopped;
mod witness;

use std::time::Duration;

use crate::support::Dev;

/// What a busy machine may take beyond the terms of a server.
const SLACK: Duration = Duration::from_secs(2);

/// Whether the server knows that the job runs: what a worker has not accepted yet it may be given back.
async fn is_running(dev: &Dev, id: &str) -> bool {
    dev.sh("jobstream jobs ls --state running").await.contains(id)
}
