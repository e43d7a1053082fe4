//! HTTP endpoints as handlers: the request, the results and failures of each status, connections, TLS, and the binary.

mod binary;
mod connections;
pub(crate) mod endpoint;
mod failures;
mod reload;
mod request;
mod results;
mod tls;

use jobstream::proto::v1;
use jobstream::worker::HttpHandler;

use self::endpoint::Endpoint;
use crate::support::{Setup, TestServer, job};

/// The kind that the endpoint serves.
const KIND: &str = "test.http";

fn http_job() -> v1::JobSpec {
    job(KIND)
}

/// Starts a server that sends the jobs of [`KIND`] to this endpoint.
async fn server(endpoint: &Endpoint) -> TestServer {
    server_with(endpoint, |handler| handler).await
}

async fn server_with(endpoint: &Endpoint, change: impl FnOnce(HttpHandler) -> HttpHandler) -> TestServer {
    let handler = change(HttpHandler::new(&endpoint.url("/run?x=1")).expect("a URL"));
    TestServer::with(|setup: &mut Setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker.http(KIND, handler).expect("certificate authorities");
    })
    .await
}
