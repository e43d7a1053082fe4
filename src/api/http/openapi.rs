//! The OpenAPI document of the HTTP/JSON interface, from the route table and the descriptors. Comments of the proto files
//! are its descriptions. docs/openapi.json is a copy.

mod comments;
mod examples;
mod http_schemas;
mod limits;
mod monitoring;
mod operation;
mod responses;
mod schema;

use std::sync::LazyLock;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::payload::{etag, is_matched};
use super::router::unless_get;
use super::{compression, routes};
use crate::proto::json::messages;
use comments::Commented;
use schema::Schemas;

/// Where the document is served.
pub(super) const PATH: &str = "/openapi.json";
const OPENAPI_VERSION: &str = "3.1.0";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// A client asks each time whether its copy is current.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

const DESCRIPTION: &str = "Submit a job, get its result by id, watch its events. The same calls exist over gRPC on the same \
    port.\n\nBodies are messages in the JSON mapping of protobuf: field names are in lowerCamelCase, durations are seconds \
    with the suffix `s`, times are RFC 3339, bytes are base64. Requests may also use the names of the proto files, \
    numbers as strings, enum values as numbers, and null for a field that is not set. Unknown fields and parameters are \
    refused.\n\nEvery GET has HEAD, and every path OPTIONS. A wrong method is 405 with the header Allow. A request may \
    have the header X-Request-Id, which its response repeats.";

const BEARER: &str = "A static token, a JSON Web Token or a minted token. GET of the events or the result of a job also accepts \
    a minted token as the query parameter `access_token`.";

/// The text of the document and its ETag.
static DOCUMENT: LazyLock<(String, HeaderValue)> = LazyLock::new(|| {
    let text = text();
    let etag = HeaderValue::try_from(etag(text.as_bytes())).unwrap_or(HeaderValue::from_static("\"\""));
    (text, etag)
});

/// Answers a request for the document.
pub(super) async fn respond(request: Request) -> Response {
    unless_get(request.method()).unwrap_or_else(|| show(request.headers()))
}

fn show(headers: &HeaderMap) -> Response {
    let (text, etag) = &*DOCUMENT;
    let is_current = etag.to_str().is_ok_and(|etag| is_matched(headers, etag));
    let headers = [(ETAG, etag.clone()), (CACHE_CONTROL, REVALIDATE)];
    if is_current {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let mut response = (headers, [(CONTENT_TYPE, JSON)], text.as_str()).into_response();
    compression::mark(&mut response);
    response
}

/// The document as text.
fn text() -> String {
    format!("{:#}\n", document())
}

fn document() -> Value {
    let mut schemas = Schemas::default();
    http_schemas::add(&mut schemas);
    let mut paths = Map::new();
    for route in routes::routes() {
        let operation = operation::operation(&route, &mut schemas);
        let path = paths.entry(operation::path(&route)).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    monitoring::add(&mut paths, &mut schemas);
    let services = messages().services().filter(|service| service.package_name() == "jobstream.v1");
    let tags = services.map(|service| json!({ "name": service.name(), "description": service.comment() }));
    let tags = tags.chain([monitoring::tag()]);
    json!({
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "jobstream",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/" }],
        "tags": tags.collect::<Vec<_>>(),
        "paths": paths,
        // A server without an identity of callers needs no credential.
        "security": [{ "bearer": [] }, {}],
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "description": BEARER } },
            "schemas": schemas.into_json(),
            "responses": responses::shared_responses(),
            "headers": responses::shared_headers(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{env, fs};

    use super::*;

    #[test]
    fn the_openapi_document_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
        if env::var_os("UPDATE_PAGES").is_some() {
            fs::write(&path, text()).expect("the document can be written");
        }
        let current = fs::read_to_string(path).unwrap_or_default();
        assert!(current == text(), "run UPDATE_PAGES=1 cargo test --lib the_openapi_document_is_current");
    }

    #[test]
    fn every_operation_and_property_has_a_description() {
        let document = document();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                for name in ["summary", "description"] {
                    assert_ne!(operation[name], "", "{method} {path}: {name}");
                }
            }
        }
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            for (field, property) in schema["properties"].as_object().into_iter().flatten() {
                let is_described = property["description"].is_string() || property["$ref"].is_string();
                assert!(is_described, "{name}.{field}");
            }
        }
    }
}
