//! The HTTP/JSON interface: every unary call of the API as JSON, and event streams as server-sent events or NDJSON.
//!
//! A route of the table in `routes` binds an HTTP request to the request message of one RPC. The implementation of the gRPC
//! service answers it, so both interfaces have the same validation, the same limits and the same errors.

mod body;
mod call;
mod compression;
mod events;
mod feed;
mod health;
mod idempotency;
mod metrics;
mod observe;
mod openapi;
mod page;
mod payload;
mod problem;
mod query;
mod request;
mod response;
mod route;
mod router;
mod routes;
mod submit;

pub(crate) use health::{LIVE_PATH, READY_PATH};
pub(crate) use metrics::{Scrape, metrics_router};
pub(crate) use problem::{refusal, refusal_with};
pub(crate) use router::{is_stream, router};
