//! The response to `/`: HTML for browsers, a text for curl.

use http::{Method, StatusCode};

use crate::support::{Http, TestServer};

#[tokio::test]
async fn the_root_is_a_page_for_browsers_and_a_text_for_others() {
    let server = TestServer::start().await;
    for http2 in [false, true] {
        let http = Http::new(server.address, http2);
        let text = http.send(Method::GET, "/", &[("accept", "*/*")], "").await;
        assert_eq!((text.status, text.header("content-type")), (StatusCode::OK, "text/plain; charset=utf-8"));
        let page = http.send(Method::GET, "/", &[("accept", "text/html,*/*;q=0.8")], "").await;
        assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
        assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
        for answer in [&text, &page] {
            let body = String::from_utf8_lossy(&answer.body);
            assert!(body.contains(&format!("http://{}/v1/jobs", server.address)), "{body}");
            assert!(body.contains(env!("CARGO_PKG_VERSION")) && !body.contains("{{"), "{body}");
        }
        let head = http.send(Method::HEAD, "/", &[], "").await;
        let length = text.body.len().to_string();
        assert_eq!((head.header("content-length"), head.body.len()), (length.as_str(), 0));
    }
}

#[tokio::test]
async fn the_root_refuses_other_methods_and_names_its_own() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let options = http.send(Method::OPTIONS, "/", &[], "").await;
    assert_eq!((options.status, options.header("allow")), (StatusCode::NO_CONTENT, "OPTIONS, GET, HEAD"));
    let posted = http.post("/", "{}").await;
    let allowed = (posted.status, posted.header("allow"));
    assert_eq!(allowed, (StatusCode::METHOD_NOT_ALLOWED, "OPTIONS, GET, HEAD"));
}

#[tokio::test]
async fn a_hostile_host_is_not_shown() {
    let server = TestServer::with(|setup| setup.server.serve.allowed_hosts = vec!["*".to_owned()]).await;
    let http = Http::new(server.address, false);
    let host = "x';<script>1</script>";
    let page = http.send(Method::GET, "/", &[("accept", "text/html"), ("host", host)], "").await;
    let body = String::from_utf8_lossy(&page.body);
    assert_eq!(page.status, StatusCode::OK);
    assert!(!body.contains("<script") && body.contains(&server.address.to_string()), "{body}");
}
