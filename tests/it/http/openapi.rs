//! The OpenAPI document over HTTP.

use http::{Method, StatusCode};

use crate::support::{Http, TestServer};

const CHECKED_IN: &str = include_str!("../../../docs/openapi.json");

#[tokio::test]
async fn the_served_document_is_the_one_in_docs() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let document = http.get("/openapi.json").await;
    assert_eq!((document.status, document.header("content-type")), (StatusCode::OK, "application/json"));
    assert!(document.body == CHECKED_IN);
    let gzip = http.send(Method::GET, "/openapi.json", &[("accept-encoding", "gzip")], "").await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn a_client_with_the_document_gets_304_and_a_wrong_method_405() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let head = http.send(Method::HEAD, "/openapi.json", &[], "").await;
    assert_eq!(head.header("content-length"), CHECKED_IN.len().to_string());
    let current = [("if-none-match", head.header("etag"))];
    let unchanged = http.send(Method::GET, "/openapi.json", &current, "").await;
    assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let refused = http.post("/openapi.json", "{}").await;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, "OPTIONS, GET, HEAD")
    );
}
