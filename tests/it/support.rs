//! A complete server in this process on a free port, and clients with real sockets.
//!
//! This module has no tests.

mod fault_proxy;
mod gate;
mod handlers;
mod http;
mod nginx;
mod process;
mod program;
mod raw;
pub(crate) mod raw_worker;
mod refusal;
mod scripted;
mod server;
mod spec;
mod watching;

pub(crate) use fault_proxy::{FaultProxy, Towards};
pub(crate) use gate::Gate;
pub(crate) use handlers::{Chatter, test_worker};
pub(crate) use http::{Answer, Http, read_until};
pub(crate) use nginx::Nginx;
pub(crate) use process::{Dev, Remote, Served, send};
pub(crate) use program::{is_installed, needs};
pub(crate) use raw::{frame, http1, raw_call, raw_call_to};
pub(crate) use refusal::{refused, refused_in_batch};
pub(crate) use scripted::{ScriptedServer, WorkStream, assignment, lease_id, terms};
pub(crate) use server::{Setup, TestServer, connect, connect_lazy, connect_worker};
pub(crate) use spec::{Ended, batch, data, echo, job, json, json_of, millis, new_id, seconds, text};
pub(crate) use watching::{Watched, event_state, watch_request};

use std::time::Duration;

use tokio::time::timeout;

/// The time limit of a step, also on a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for a value, and fails the test after the timeout.
pub(crate) async fn wait_for<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, future).await.unwrap_or_else(|_| panic!("waited {TIMEOUT:?} for: {what}"))
}

/// Polls until a condition holds that has no event.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    const PAUSE: Duration = Duration::from_millis(5);
    let poll = async {
        while !is_so().await {
            tokio::time::sleep(PAUSE).await;
        }
    };
    wait_for(what, poll).await;
}
