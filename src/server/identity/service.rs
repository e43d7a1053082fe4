//! The service that passes on only requests whose caller is known, with the principal in their extensions.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::header::{CACHE_CONTROL, REFERRER_POLICY, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, Uri};
use tonic::body::Body;
use tower::Service;

use super::super::protocol::{is_grpc, refusal};
use super::super::router::Router;
use super::super::throttle::log_refusal;
use super::query::split_access_token;
use super::{Identity, Verification};
use crate::api::grpc::CallMeter;
use crate::api::http as http_api;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::status::to_status;

/// Path prefix of the calls that need no credential.
const HEALTH_PATH: &str = "/grpc.health.v1.Health/";
/// Paths of the HTTP interface that need no credential.
const OPEN_PATHS: [&str; 4] = ["/", "/openapi.json", http_api::LIVE_PATH, http_api::READY_PATH];

/// A service that receives only requests of known callers. Without an identity, it receives all requests.
#[derive(Debug, Clone)]
pub(in crate::server) struct IdentityService<S> {
    identity: Option<Identity>,
    meter: Option<CallMeter>,
    /// Whether requests other than those of gRPC reach an HTTP interface. Without one, they reach the gRPC services.
    has_http: bool,
    inner: S,
}

impl<S> IdentityService<S> {
    /// The service in front of `inner`, which passes requests to this router.
    pub(in crate::server) fn new(identity: Option<Identity>, router: &Router, inner: S) -> Self {
        Self { identity, meter: router.meter(), has_http: router.http().is_some(), inner }
    }
}

type RefusalFuture = Ready<Result<Response<Body>, Infallible>>;
/// A call that waits until its caller is known.
type PendingCall = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S, B> Service<Request<B>> for IdentityService<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Unpin + Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<IdentifiedCall<S::Future>, Either<RefusalFuture, PendingCall>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(identity) = &self.identity else {
            drop(take_access_token(&mut request));
            return Either::Left(IdentifiedCall { call: self.inner.call(request), is_link: false });
        };
        if is_open(&request, self.has_http) {
            request.extensions_mut().insert(identity.0.nobody.clone());
            return Either::Left(IdentifiedCall { call: self.inner.call(request), is_link: false });
        }
        match identify(identity, &mut request) {
            Ok((Verification::Ready(principal), is_link)) => {
                request.extensions_mut().insert(principal);
                Either::Left(IdentifiedCall { call: self.inner.call(request), is_link })
            }
            Ok((Verification::Waiting(principal), _)) => {
                // The clone is not ready; the service that was polled makes the call.
                let clone = self.inner.clone();
                let (mut inner, identity) = (std::mem::replace(&mut self.inner, clone), identity.clone());
                let meter = self.meter.clone();
                Either::Right(Either::Right(Box::pin(async move {
                    match principal.await {
                        Ok(principal) => {
                            request.extensions_mut().insert(principal);
                            inner.call(request).await
                        }
                        Err(error) => Ok(refuse(&identity, meter.as_ref(), &error, &request)),
                    }
                })))
            }
            Err(error) => {
                let response = refuse(identity, self.meter.as_ref(), &error, &request);
                Either::Right(Either::Left(ready(Ok(response))))
            }
        }
    }
}

/// Logs and counts a refusal, and returns its response.
fn refuse<B>(
    identity: &Identity,
    meter: Option<&CallMeter>,
    error: &Error,
    request: &Request<B>,
) -> Response<Body> {
    if let (Some(meter), ErrorKind::Unauthenticated { reason }) = (meter, error.kind()) {
        meter.count_refusal(request.uri().path(), reason);
    }
    log_refusal(&identity.0.warning, error, request);
    let mut response = refusal(to_status(error, ""), request.headers());
    if !is_grpc(request.headers()) {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Verifies the credential of a request. Returns also whether it was a token in the query.
fn identify<B>(identity: &Identity, request: &mut Request<B>) -> Result<(Verification, bool)> {
    let Some(token) = take_access_token(request) else {
        let verification = identity.verify(request.headers(), request.extensions());
        return verification.map(|verification| (verification, false));
    };
    if request.method() != Method::GET || !is_readable_by_link(request.uri().path()) {
        return Err(super::invalid(
            "access_token is accepted for GET of the events or the result of a job: send the header \
             \"authorization: Bearer TOKEN\"",
        ));
    }
    identity.verify_access_token(&token).map(|principal| (Verification::Ready(principal), true))
}

/// Removes the token from the query of a request, if there is one.
fn take_access_token<B>(request: &mut Request<B>) -> Option<String> {
    let (token, query) = request.uri().query().and_then(split_access_token)?;
    *request.uri_mut() = with_query(request.uri(), query.as_deref());
    Some(token)
}

/// Whether a request to this path may have its token in the query.
fn is_readable_by_link(path: &str) -> bool {
    path.starts_with("/v1/jobs/")
        && ["/events", "/result", "/result/payload"].iter().any(|end| path.ends_with(end))
}

fn with_query(uri: &Uri, query: Option<&str>) -> Uri {
    let path = uri.path();
    let path_and_query = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    Uri::from_parts(parts).unwrap_or_default()
}

/// Whether the request needs no credential. Its caller gets no grants.
fn is_open<B>(request: &Request<B>, has_http: bool) -> bool {
    let path = request.uri().path();
    match has_http && !is_grpc(request.headers()) {
        true => OPEN_PATHS.contains(&path) || request.method() == Method::OPTIONS,
        false => path.starts_with(HEALTH_PATH),
    }
}

/// The future of a call of a known caller.
#[derive(Debug)]
pub(in crate::server) struct IdentifiedCall<F> {
    call: F,
    /// Whether the token was in the query. The page that loads the address must not send it on, and no proxy may give the
    /// response to another caller.
    is_link: bool,
}

impl<F> Future for IdentifiedCall<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(Ok(mut response)) = Pin::new(&mut self.call).poll(context) else {
            return Poll::Pending;
        };
        if self.is_link {
            response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            response.headers_mut().append(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
        Poll::Ready(Ok(response))
    }
}
