//! Faults of remote workers and servers: killed and stopped processes, dead connections, drains.

mod black_hole;
mod cancel;
mod drain;
mod host;
mod kills;
mod load;
mod observer;
mod restart;
mod stopped;

use std::time::Duration;

use crate::support::Dev;

/// A margin for a busy machine beyond the terms of a server.
const SLACK: Duration = Duration::from_secs(2);

/// Returns whether the attempt of a job is accepted. An unaccepted one may be released.
async fn is_running(dev: &Dev, id: &str) -> bool {
    dev.sh("jobstream jobs ls --state running").await.contains(id)
}
