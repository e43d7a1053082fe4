//! The CORS layer, which lets web pages of configured origins call the server over gRPC-Web and HTTP/JSON.
//!
//! Without a configured origin there is no layer, and browsers block cross-origin calls.

use std::io;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser may cache a preflight response.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// Response headers that clients of gRPC-Web and HTTP/JSON read.
const EXPOSED_HEADERS: [HeaderName; 7] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("x-request-id"),
];

/// The layer for these origins; `None` without origins. A single `*` allows any origin.
///
/// # Errors
///
/// `InvalidInput` if an origin is not of the form `scheme://host[:port]`.
pub(super) fn cors_layer(origins: &[String]) -> io::Result<Option<CorsLayer>> {
    if origins.is_empty() {
        return Ok(None);
    }
    let allowed = match origins {
        [any] if any == "*" => AllowOrigin::any(),
        _ => AllowOrigin::list(origins.iter().map(|origin| parse(origin)).collect::<io::Result<Vec<_>>>()?),
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        // Call metadata has free-form names, which cannot be listed. The origin alone is checked.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED_HEADERS)
        .vary([header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_REQUEST_HEADERS])
        .max_age(PREFLIGHT_MAX_AGE);
    Ok(Some(layer))
}

fn parse(origin: &str) -> io::Result<HeaderValue> {
    let host = origin.split_once("://").map(|(_, host)| host);
    let well_formed = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#']));
    let value = HeaderValue::from_str(origin).ok().filter(|_| well_formed);
    value.ok_or_else(|| {
        let message =
            format!("CORS origin is {origin:?}: write it as a browser sends it, https://host[:port]");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        for wrong in ["example.com", "https://", "https://example.com/", "https://*.example.com", "*"] {
            let origins = [wrong.to_owned(), "https://example.com".to_owned()];
            assert!(cors_layer(&origins).is_err(), "{wrong} was accepted as an origin");
        }
        assert!(matches!(cors_layer(&[]), Ok(None)));
        assert!(matches!(cors_layer(&["http://localhost:5173".to_owned()]), Ok(Some(_))));
    }
}
