//! Services of a program behind a listener that verifies callers.

use http::Method;
use jobstream::access::Grants;
use jobstream::server::{Identity, IdentityOptions, ServeOptions, StaticToken};

use super::peer::{Client, finish, status};
use super::server::{TestServer, soon, with_limits};

const TOKEN: &str = "jst_0123456789-0123456789-0123456789";
const ECHO: &str = "/test.Probe/Echo";

fn with_identity() -> ServeOptions {
    let mut callers = IdentityOptions::default();
    callers.tokens.push(StaticToken::new("ops", TOKEN, Grants::all()).expect("a token"));
    let mut options = with_limits(|_| {});
    options.identity = Some(Identity::new(callers).expect("valid callers"));
    options
}

#[tokio::test]
async fn no_request_without_a_credential_reaches_a_service_of_the_program() {
    let server = TestServer::start(with_identity());
    let mut client = Client::connect(server.address).await;
    for (method, content_type) in [
        (Method::POST, "application/grpc"),
        (Method::POST, "application/grpc-web+proto"),
        (Method::OPTIONS, "application/grpc"),
        (Method::OPTIONS, "text/plain"),
        (Method::GET, "text/plain"),
    ] {
        let call = client.start_as(method.clone(), ECHO, &[("content-type", content_type)]).await;
        let response = soon("a refusal", call).await.expect("a response");
        let code = status(response.headers());
        assert!(response.status() == 401 || code == "16", "{method} {content_type}: {response:?}");
    }
    let authorization = format!("Bearer {TOKEN}");
    let response = client.call_with(ECHO, &[("authorization", &authorization)]).await;
    let (_, trailers) = finish(response).await;
    assert_eq!(status(&trailers), "0");
    let response = client.call("/grpc.health.v1.Health/Check").await;
    let (_, trailers) = finish(response).await;
    assert_eq!(status(&trailers), "0", "health needs no credential");
}
