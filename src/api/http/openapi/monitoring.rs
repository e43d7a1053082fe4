//! The paths that no RPC has: the probes and the metrics.

use serde_json::{Map, Value, json};

use super::responses::{error_references, headers};
use super::schema::{Schemas, reference};
use crate::api::http::health::{LIVE_PATH, READY_PATH};
use crate::api::http::metrics;

/// The tag of these paths.
const TAG: &str = "Monitoring";
/// The statuses of errors that a request without a credential may get.
const OPEN_ERRORS: [u16; 5] = [400, 403, 421, 429, 500];
/// The statuses of errors of a request for metrics.
const METRICS_ERRORS: [u16; 6] = [400, 401, 403, 421, 429, 500];

/// The tag with its description.
pub(super) fn tag() -> Value {
    let description = "What probes and monitoring read. `--metrics-listen` serves these paths on another address as well, \
        without a credential.";
    json!({ "name": TAG, "description": description })
}

/// Adds the paths.
pub(super) fn add(paths: &mut Map<String, Value>, schemas: &mut Schemas) {
    schemas.add("Health", health_schema());
    let live =
        "Whether the engine answers and the log has not failed. If not, the server should be restarted.";
    let ready = "Whether the server is live, its disk syncs and it does not drain. If not, calls should go elsewhere.";
    paths.insert(LIVE_PATH.to_owned(), probe("livez", "Whether the server works", live));
    paths.insert(READY_PATH.to_owned(), probe("readyz", "Whether the server answers calls now", ready));
    paths.insert(metrics::PATH.to_owned(), metrics());
}

fn probe(id: &str, summary: &str, description: &str) -> Value {
    let answer = |description: &str| {
        json!({
            "description": description,
            "headers": headers(&[]),
            "content": { "application/json": { "schema": reference("Health") } },
        })
    };
    let mut responses = error_references(&OPEN_ERRORS);
    responses.insert("200".to_owned(), answer("Yes."));
    responses.insert("503".to_owned(), answer("No. `checks` says why."));
    let description = format!("{description} The answer comes within half a second. It needs no credential.");
    json!({ "get": {
        "operationId": id,
        "tags": [TAG],
        "summary": summary,
        "description": description,
        "security": [{}],
        "responses": responses,
    }})
}

fn metrics() -> Value {
    let mut responses = error_references(&METRICS_ERRORS);
    let ok = json!({
        "description": "The metrics.",
        "headers": headers(&[]),
        "content": { (metrics::TEXT): { "schema": { "type": "string" } } },
    });
    responses.insert("200".to_owned(), ok);
    json!({ "get": {
        "operationId": "metrics",
        "tags": [TAG],
        "summary": "The metrics of the server",
        "description": "In the text format of Prometheus. It needs the grant `metrics`.",
        "responses": responses,
    }})
}

fn health_schema() -> Value {
    let check = |description: &str, results: &[&str]| json!({ "type": "string", "enum": results, "description": description });
    json!({
        "type": "object",
        "description": "The answer to a probe.",
        "properties": {
            "status": {
                "type": "string", "enum": ["live", "not live", "ready", "not ready"],
                "description": "The answer in words.",
            },
            "checks": {
                "type": "object",
                "description": "The result of each check. Further checks may be added.",
                "properties": {
                    "engine": check("Whether the engine answers.", &["ok", "stuck"]),
                    "log": check("The log on disk. Absent in memory mode.", &["ok", "slow", "failed"]),
                    "accepting": check(
                        "Whether new jobs are accepted.",
                        &["ok", "draining", "disk full", "log failed", "unknown"],
                    ),
                },
                "required": ["engine", "accepting"],
            },
        },
        "required": ["status", "checks"],
    })
}
