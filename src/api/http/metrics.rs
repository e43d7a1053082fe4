//! `GET /metrics`: the metrics of the server in the text format of Prometheus.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};

use super::compression;
use super::health::health_routes;
use super::problem::Problem;
use super::router::{nothing_at, unless_get};
use crate::access::Action;
use crate::api::grpc::{Access, Api};
use crate::engine::Engine;

/// The path of the metrics.
pub(super) const PATH: &str = "/metrics";
/// Their content type.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Reads all metrics and returns their text. It never waits for the disk.
pub(crate) type Scrape = Arc<dyn Fn() -> String + Send + Sync>;

/// The router of a listener that serves metrics and the probes of health without a credential.
pub(crate) fn metrics_router(engine: &Engine, scrape: Scrape) -> Router {
    Router::new()
        .route(
            PATH,
            any(move |method: Method| async move { unless_get(&method).unwrap_or_else(|| show(&scrape)) }),
        )
        .merge(health_routes(engine))
        .fallback(unknown_path)
        .layer(compression::layer())
}

async fn unknown_path(request: Request) -> Problem {
    nothing_at(request.uri(), "this address has /metrics, /livez and /readyz")
}

/// Answers a request of a caller that needs a grant.
pub(super) fn respond(api: &Api, scrape: &Scrape, request: &Request) -> Response {
    unless_get(request.method()).unwrap_or_else(|| {
        match Access::of(request.extensions()).all_queues(Action::Metrics) {
            Ok(()) => show(scrape),
            Err(error) => Problem::from(api.status()(error)).into_response(),
        }
    })
}

fn show(scrape: &Scrape) -> Response {
    let mut response = ([(CONTENT_TYPE, HeaderValue::from_static(TEXT))], scrape()).into_response();
    compression::mark(&mut response);
    response
}
