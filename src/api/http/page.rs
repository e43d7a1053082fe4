//! The response to `/`: a page for browsers and a text for others, which say what this is and how to call it.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Uri};
use sha2::{Digest, Sha256};

use super::router::unless_get;
use crate::api::grpc::ConnectionInfo;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const TEXT: &str = include_str!("page/page.txt");
const HTML_TYPE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const TEXT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The address in the commands if the connection is unknown.
const ADDRESS_DEFAULT: &str = "localhost:7070";

/// The page and the text, without the address of the server.
#[derive(Debug, Clone)]
pub(super) struct Page {
    html: String,
    text: String,
    /// Allows the style of the page, and nothing else: no script, no request, no frame.
    security_policy: HeaderValue,
}

impl Page {
    pub(super) fn new() -> Self {
        let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        let version = |template: &str| template.replace("{{version}}", env!("CARGO_PKG_VERSION"));
        Self {
            html: version(HTML).replace("{{style}}", STYLE),
            text: version(TEXT),
            security_policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("sandbox")),
        }
    }

    /// Answers a request to `/`.
    pub(super) fn respond(&self, request: &Request) -> Response {
        unless_get(request.method()).unwrap_or_else(|| self.show(request))
    }

    fn show(&self, request: &Request) -> Response {
        let local = request.extensions().get::<ConnectionInfo>().map(|connection| connection.local);
        let host = host(request.uri(), request.headers(), local);
        let (template, content_type) = match accepts_html(request.headers()) {
            true => (&self.html, HTML_TYPE),
            false => (&self.text, TEXT_TYPE),
        };
        let headers = [
            (CONTENT_TYPE, content_type),
            (CONTENT_SECURITY_POLICY, self.security_policy.clone()),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (VARY, HeaderValue::from_static("accept")),
        ];
        (headers, template.replace("{{host}}", &host)).into_response()
    }
}

/// Whether the client names HTML, as browsers do. `*/*` alone is a client such as curl.
fn accepts_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let (media_type, parameters) = range.split_once(';').unwrap_or((range, ""));
        let is_refused = parameters.split(';').any(|parameter| {
            parameter.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32))
        });
        media_type.trim().eq_ignore_ascii_case("text/html") && !is_refused
    })
}

/// The host that the client used, if it can stand in HTML and in a shell command as it is; otherwise the local address.
fn host(uri: &Uri, headers: &HeaderMap, local: Option<SocketAddr>) -> String {
    let header = || headers.get(HOST)?.to_str().ok();
    let named = uri.authority().map(|authority| authority.as_str()).or_else(header);
    let is_plain = |host: &&str| {
        !host.is_empty()
            && !host.starts_with('-')
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
    };
    let named = named.filter(is_plain).map(str::to_owned);
    named.unwrap_or_else(|| local.map_or(ADDRESS_DEFAULT.to_owned(), |address| address.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_of(header: &'static str) -> String {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(header))]);
        host(&Uri::from_static("/"), &headers, "127.0.0.1:7070".parse().ok())
    }

    #[test]
    fn a_host_is_shown_only_if_html_and_a_shell_take_it_as_it_is() {
        for plain in ["jobs.example:7070", "[::1]:7070", "localhost"] {
            assert_eq!(host_of(plain), plain);
        }
        for hostile in ["<script>", "x'; rm -rf .; '", "a&b", "$(id)", "a b", "-K/etc/passwd", ""] {
            assert_eq!(host_of(hostile), "127.0.0.1:7070", "{hostile}");
        }
    }

    #[test]
    fn html_is_for_clients_that_name_it() {
        let accepts = |value: &'static str| {
            accepts_html(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]))
        };
        assert!(
            accepts("text/html,application/xhtml+xml,*/*;q=0.8") && accepts("*/*;q=0.1, Text/HTML;q=0.5")
        );
        assert!(!accepts("*/*") && !accepts("text/html;q=0") && !accepts("text/plain"));
    }

    #[test]
    fn the_page_has_no_script_and_the_style_of_its_policy() {
        let page = Page::new();
        assert!(!page.html.contains("<script") && !page.html.contains(" style="), "{}", page.html);
        let style = page.html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next());
        let hash = BASE64_STANDARD.encode(Sha256::digest(style.expect("a style")));
        let policy = page.security_policy.to_str().expect("a text");
        assert!(policy.contains(&format!("style-src 'sha256-{hash}';")), "{policy}");
    }
}
