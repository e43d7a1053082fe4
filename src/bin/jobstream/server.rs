//! The seam between the server commands and the library: starts what a config describes.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::ServerConfig;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// A server that accepts calls.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    /// Where it listens, with the port it got.
    pub(crate) address: SocketAddr,
    /// The kinds it serves, in order.
    pub(crate) kinds: Vec<String>,
}

/// What a server did in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// How long it ran.
    pub(crate) uptime: Duration,
    /// Jobs that succeeded.
    pub(crate) succeeded: u64,
    /// Jobs that failed.
    pub(crate) failed: u64,
    /// Jobs that were cancelled.
    pub(crate) cancelled: u64,
    /// Jobs that had not ended when it stopped.
    pub(crate) left: u64,
}

/// Runs a server until a signal stops it. `ready` is called once, when calls are accepted.
///
/// # Errors
///
/// If the config means nothing to the library, the address cannot be taken, or the server dies.
pub(crate) fn start(config: ServerConfig, ready: impl FnOnce(&Ready) -> Result<()>) -> Result<Totals> {
    let _ = (config, ready);
    Err(Error::new(Exit::Other, "this build has no server yet"))
}
