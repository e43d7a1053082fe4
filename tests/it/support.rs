//! A whole server in this process, on a free port, and clients that speak to it over a real socket.
//!
//! Nothing is tested here; each topic has a file beside this one.

mod fault_proxy;
mod gate;
mod handlers;
mod process;
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
pub(crate) use process::{Dev, Remote, send};
pub(crate) use raw::{frame, http1, raw_call, raw_call_to};
pub(crate) use refusal::{refused, refused_in_batch};
pub(crate) use scripted::{ScriptedServer, WorkStream, assignment, lease_id, terms};
pub(crate) use server::{Setup, TestServer, connect};
pub(crate) use spec::{Ended, batch, data, echo, job, json, json_of, millis, new_id, seconds, text};
pub(crate) use watching::{Watched, event_state, watch_request};

use std::time::Duration;

use tokio::time::timeout;

/// No step of any test takes longer than this, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The value, or a failed test when it does not come.
pub(crate) async fn wait_for<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Looks again and again until something nobody tells of has come true.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    const PAUSE: Duration = Duration::from_millis(5);
    let look = async {
        while !is_so().await {
            tokio::time::sleep(PAUSE).await;
        }
    };
    wait_for(what, look).await;
}
