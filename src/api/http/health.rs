//! The paths of probes: `/livez` and `/readyz`. They need no credential and are not logged.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::response::respond;
use super::router::unless_get;
use crate::engine::{Admission, Engine, EngineHealth, LogHealth};

/// Whether the server works. If not, it should be restarted.
pub(crate) const LIVE_PATH: &str = "/livez";
/// Whether the server answers calls now.
pub(crate) const READY_PATH: &str = "/readyz";
/// Longest time that a probe takes. Those of Kubernetes wait for 1 s by default.
const PROBE_TIME_MAX: Duration = Duration::from_millis(500);

/// Which question a path answers.
#[derive(Debug, Clone, Copy)]
enum Probe {
    Live,
    Ready,
}

/// The routes of the probes, for any listener.
pub(crate) fn health_routes<S: Clone + Send + Sync + 'static>(engine: &Engine) -> Router<S> {
    let route = |probe| {
        let engine = engine.clone();
        any(move |request: Request| answer(engine.clone(), probe, request))
    };
    Router::new().route(LIVE_PATH, route(Probe::Live)).route(READY_PATH, route(Probe::Ready))
}

async fn answer(engine: Engine, probe: Probe, request: Request) -> Response {
    if let Some(response) = unless_get(request.method()) {
        return response;
    }
    let health = engine.health(PROBE_TIME_MAX).await;
    let (is_ok, status) = match probe {
        Probe::Live => (health.is_live(), "live"),
        Probe::Ready => (health.is_ready(), "ready"),
    };
    let (code, status) = match is_ok {
        true => (StatusCode::OK, status.to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("not {status}")),
    };
    let mut response = respond(code, &json!({"status": status, "checks": checks(&health)}));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The result of each check, in one word.
fn checks(health: &EngineHealth) -> Map<String, Value> {
    let mut checks = Map::new();
    checks.insert("engine".to_owned(), if health.answers { "ok" } else { "stuck" }.into());
    if let Some(log) = health.log {
        let log = match log {
            LogHealth::Ok => "ok",
            LogHealth::Slow => "slow",
            LogHealth::Failed => "failed",
        };
        checks.insert("log".to_owned(), log.into());
    }
    let accepting = match health.admission {
        Some(Admission::Open) => "ok",
        Some(Admission::Draining) => "draining",
        Some(Admission::DiskFull) => "disk full",
        Some(Admission::LogFailed) => "log failed",
        None => "unknown",
    };
    checks.insert("accepting".to_owned(), accepting.into());
    checks
}
