//! Routes requests: axum matches the path, the route table decides the action and the method.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode, Uri};
use prost::Message;
use tonic::Code;

use super::health::health_routes;
use super::metrics::{self, Scrape};
use super::observe::{RpcCall, observe};
use super::page::Page;
use super::problem::Problem;
use super::request::{self, BoundRequest};
use super::route::{Body as BodyKind, Handler, Route};
use super::routes::routes;
use super::{body, compression, events, feed, idempotency, openapi, payload, response, submit};
use crate::api::grpc::Api;
use crate::job::quoted;

/// Longest part of a path in an error, in bytes.
const PATH_BYTES_SHOWN: usize = 128;

/// The routes of one path.
type PathRoutes = Arc<Vec<Route>>;

/// The router of the HTTP/JSON interface, with the metrics.
pub(crate) fn router(api: &Api, scrape: Scrape) -> Router {
    let mut paths: BTreeMap<&'static str, Vec<Route>> = BTreeMap::new();
    for route in routes() {
        paths.entry(route.path).or_default().push(route);
    }
    let mut router = Router::new();
    for (path, routes) in paths {
        let (api, routes) = (api.clone(), Arc::new(routes));
        let handler = move |request: Request| dispatch(api.clone(), routes.clone(), request);
        router = router.route(path, any(handler));
    }
    let (page, of_metrics) = (Arc::new(Page::new()), api.clone());
    router
        .route("/", any(move |request: Request| async move { page.respond(&request) }))
        .route(openapi::PATH, any(openapi::respond))
        .merge(health_routes(api.engine()))
        .route(
            metrics::PATH,
            any(move |request: Request| async move { metrics::respond(&of_metrics, &scrape, &request) }),
        )
        .fallback(unknown_path)
        .layer(compression::layer())
        .layer(middleware::from_fn_with_state(api.call_log().clone(), observe))
}

/// Whether the response to a request with this path is a stream of events.
pub(crate) fn is_stream(path: &str) -> bool {
    path.ends_with("/events") || path.ends_with(":run")
}

/// Answers a request whose path has these routes.
async fn dispatch(api: Api, routes: PathRoutes, request: Request) -> Response {
    let mut call = None;
    let answer = handle(api, &routes, request, &mut call).await;
    let response = answer.unwrap_or_else(IntoResponse::into_response);
    match call {
        Some(call) => call.end_with(response),
        None => response,
    }
}

/// Answers a request. `call` is the call of the RPC of its route, once that is known.
async fn handle(
    api: Api,
    routes: &[Route],
    request: Request,
    call: &mut Option<RpcCall>,
) -> Result<Response, Problem> {
    let (parts, http_body) = request.into_parts();
    let path = parts.uri.path();
    let last = path.rsplit('/').next().unwrap_or_default();
    let has_actions = routes.iter().any(|route| !route.action.is_empty());
    let (name, action) = match last.rsplit_once(':').filter(|_| has_actions) {
        Some((name, action)) => (name, action),
        None => (last, ""),
    };
    if !routes.iter().any(|route| route.action == action) {
        return Err(unknown_action(routes, action));
    }
    let candidates = || routes.iter().filter(|route| route.action == action);
    if parts.method == Method::OPTIONS {
        return Ok((StatusCode::NO_CONTENT, [(ALLOW, allowed_methods(candidates()))]).into_response());
    }
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    let Some(route) = candidates().find(|route| route.method == *method) else {
        return Err(wrong_method(&parts.method, allowed_methods(candidates())));
    };
    *call = Some(RpcCall::begin(api.call_log().meter(), &route.rpc));
    #[cfg(feature = "otel")]
    if let Some(span) = parts.extensions.get::<crate::api::request_span::RequestSpan>() {
        span.set_rpc(route.rpc.full_name());
    }
    let rename = |problem: Problem| problem.map_fields(|field| request::json_path(route, field));
    let captures = request::captures(route, path, name).map_err(|error| rename(error.into()))?;
    let body = match route.body {
        BodyKind::None => bytes::Bytes::new(),
        _ => {
            body::check_is_json(&parts.headers)?;
            body::check_is_not_encoded(&parts.headers)?;
            body::read(http_body, api.message_bytes_max()).await?
        }
    };
    let bound = BoundRequest { route, parts, captures, body };
    let has_key = idempotency::has_key(&bound);
    answer(api, bound).await.map_err(|problem| rename(idempotency::adjust(problem, has_key)))
}

async fn answer(api: Api, request: BoundRequest<'_>) -> Result<Response, Problem> {
    match request.route.handler {
        Handler::Submit => submit::submit(api, request).await,
        Handler::Result => submit::result(api, request).await,
        Handler::Events => events::watch(api, request).await,
        Handler::Feed => feed::watch(api, request).await,
        Handler::Run => events::run(api, request).await,
        Handler::JobPayload => payload::of_job(api, request).await,
        Handler::ResultPayload => payload::of_result(api, request).await,
        Handler::Unary(call) => {
            let mut message = request.message()?;
            idempotency::apply(&api, &request, &mut message).await?;
            let answer = call(api, message.encode_to_vec(), request.parts.extensions.clone()).await?;
            let answer = response::decode(request.route.rpc.output(), &answer)?;
            Ok(response::respond(StatusCode::OK, &response::to_json(&answer)?))
        }
    }
}

fn allowed_methods<'a>(routes: impl Iterator<Item = &'a Route>) -> HeaderValue {
    let mut methods = vec!["OPTIONS"];
    for route in routes {
        methods.push(route.method.as_str());
        if route.method == Method::GET {
            methods.push("HEAD");
        }
    }
    HeaderValue::try_from(methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

/// The response to a request for a path that has only GET, unless it is GET or HEAD.
pub(super) fn unless_get(method: &Method) -> Option<Response> {
    const METHODS: HeaderValue = HeaderValue::from_static("OPTIONS, GET, HEAD");
    match *method {
        Method::GET | Method::HEAD => None,
        Method::OPTIONS => Some((StatusCode::NO_CONTENT, [(ALLOW, METHODS)]).into_response()),
        ref method => Some(wrong_method(method, METHODS).into_response()),
    }
}

fn wrong_method(method: &Method, allow: HeaderValue) -> Problem {
    let detail = format!("the method is {method}, this path takes {}", allow.to_str().unwrap_or_default());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, "METHOD_NOT_ALLOWED", detail)
        .with_header(ALLOW, allow)
}

fn unknown_action(routes: &[Route], action: &str) -> Problem {
    let known: Vec<_> =
        routes.iter().filter(|route| !route.action.is_empty()).map(|route| route.action).collect();
    let known = known.iter().map(|action| format!(":{action}")).collect::<Vec<_>>().join(", ");
    let detail = match action.is_empty() {
        true => format!("the path has no action: it takes {known}"),
        false => format!("the action is {}: this path takes {known}", quoted(action)),
    };
    Problem::new(StatusCode::NOT_FOUND, Code::Unimplemented, "UNKNOWN_PATH", detail)
}

pub(super) async fn unknown_path(request: Request) -> Problem {
    let path = request.uri().path();
    let is_grpc = path.starts_with("/jobstream.v1.") || path.starts_with("/grpc.");
    let way_out = match is_grpc {
        true => "it is a gRPC method: call it with content type application/grpc, or use JSON at /v1/jobs",
        false => "the API begins at /v1/jobs",
    };
    nothing_at(request.uri(), way_out)
}

/// The problem of a path that this address does not have. `way_out` says what it has.
pub(super) fn nothing_at(uri: &Uri, way_out: &str) -> Problem {
    let mut path = uri.path().to_owned();
    crate::job::truncate(&mut path, PATH_BYTES_SHOWN);
    let detail = format!("there is nothing at {}: {way_out}", quoted(&path));
    Problem::new(StatusCode::NOT_FOUND, Code::Unimplemented, "UNKNOWN_PATH", detail)
}
