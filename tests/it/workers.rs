//! The worker protocol with scripted workers.

mod limits;
mod lost;
mod refusals;
mod repeated_lease;
mod stream;
mod unary;

use std::time::Duration;

use jobstream::proto::v1;

use crate::support::{Setup, TestServer, job, text};

/// Returns a job that only remote workers run.
fn remote_job(words: &str) -> v1::JobSpec {
    v1::JobSpec { payload: Some(text(words)), ..job("remote") }
}

/// Starts a server with short worker timeouts.
async fn server_with_short_timeouts() -> TestServer {
    TestServer::with(|setup: &mut Setup| {
        let core = &mut setup.engine.core;
        core.accept_timeout = Duration::from_millis(300);
        core.ping_interval = Duration::from_millis(200);
        core.lease = Duration::from_millis(900);
        core.reconnect_grace = Duration::from_millis(400);
    })
    .await
}

/// Lists the remote workers.
async fn workers(server: &TestServer) -> Vec<v1::Worker> {
    let request = v1::ListWorkersRequest::default();
    let mut workers = server.admin().list_workers(request).await.expect("an answer").into_inner().workers;
    workers.retain(|worker| worker.link() != v1::WorkerLink::Pool);
    workers
}
