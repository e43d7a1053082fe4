//! The trace context of a request: a layer that reads the headers of W3C Trace Context. The API gives it to the jobs that the
//! request submits.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request};
use tower::Service;

use crate::job::TraceContext;

/// Gives each request its trace context as an extension, if its headers have one.
#[derive(Debug, Clone)]
pub(super) struct TraceService<S> {
    inner: S,
}

impl<S> TraceService<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for TraceService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(trace) = trace_context(request.headers()) {
            request.extensions_mut().insert(Arc::new(trace));
        }
        self.inner.call(request)
    }
}

/// The trace context of these headers. Malformed ones are ignored.
fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let (parent, baggage) = (headers.get("traceparent"), headers.get("baggage"));
    if parent.is_none() && baggage.is_none() {
        return None;
    }
    let parent = parent.and_then(|value| value.to_str().ok());
    let (state, baggage) = (list(headers, "tracestate"), list(headers, "baggage"));
    TraceContext::of_headers(parent, state.as_deref(), baggage.as_deref())
}

/// The value of a header that is a list. Its parts may be in several headers.
fn list(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Option<Vec<_>> = headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
    values.filter(|values| !values.is_empty()).map(|values| values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn context(headers: &[(&'static str, &'static str)]) -> Option<TraceContext> {
        let pairs = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        trace_context(&map)
    }

    #[test]
    fn the_parts_of_a_list_may_be_in_several_headers() {
        let headers =
            [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2"), ("baggage", "c=3")];
        assert_eq!(context(&headers), TraceContext::parse("", PARENT, "a=1,b=2", "c=3").ok());
    }

    #[test]
    fn a_request_without_a_trace_has_no_context() {
        assert_eq!(context(&[("tracestate", "a=1")]), None);
        assert_eq!(context(&[("traceparent", "00-x"), ("tracestate", "a=1")]), None);
    }
}
