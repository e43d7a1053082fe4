//! The channel of a client: tonic's, with HTTP errors as gRPC statuses.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use tonic::body::Body;
use tonic::codegen::{Body as _, BoxFuture, Service, StdError};
use tonic::{Code, Status, transport};

use super::credentials::{Credentials, PendingToken};

/// Largest response to a GET request, in bytes.
const GET_BYTES_MAX: usize = 64 * 1024;

/// A channel to the server, for the generated stubs in [`proto::v1`](crate::proto::v1). It adds the token and the metadata
/// of the client's options to every call.
///
/// An HTTP error of a proxy becomes a [`Status`] that names the address and the HTTP status, with the code of the gRPC
/// specification: 400 is `Internal`, 401 `Unauthenticated`, 403 `PermissionDenied`, 404 `Unimplemented`, 429, 502, 503
/// and 504 `Unavailable`. Any other response that is not gRPC is `Unknown`.
#[derive(Debug, Clone)]
pub struct Channel {
    inner: transport::Channel,
    address: Arc<str>,
    credentials: Option<Arc<Credentials>>,
}

impl Channel {
    pub(super) fn new(
        inner: transport::Channel,
        address: &str,
        credentials: Option<Arc<Credentials>>,
    ) -> Self {
        Self { inner, address: address.into(), credentials }
    }

    /// Whether another call may have another token.
    #[cfg(feature = "worker")]
    pub(crate) fn renews_token(&self) -> bool {
        self.credentials.as_ref().is_some_and(|credentials| credentials.are_renewed())
    }

    /// Sends a GET request. The response may have any status and content type.
    pub(super) async fn get(&self, path: &'static str) -> Result<(StatusCode, Vec<u8>), StdError> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static(path);
        let mut channel = self.inner.clone();
        poll_fn(|context| channel.poll_ready(context)).await?;
        let (head, mut body) = channel.call(request).await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            bytes.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
            if bytes.len() > GET_BYTES_MAX {
                return Err(format!("the response has more than {GET_BYTES_MAX} bytes").into());
            }
        }
        Ok((head.status, bytes))
    }

    /// Calls with the token of a function. The channel that is ready makes this call, its clone the next one.
    fn call_with(
        &mut self,
        token: PendingToken,
        mut request: Request<Body>,
    ) -> <Self as Service<Request<Body>>>::Future {
        let next = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, next);
        let address = self.address.clone();
        Box::pin(async move {
            token.add_to(request.headers_mut()).await?;
            checked(ready.call(request).await?, &address)
        })
    }
}

impl From<transport::Channel> for Channel {
    /// The address is unknown: the messages of HTTP errors say "the server".
    fn from(inner: transport::Channel) -> Self {
        Self::new(inner, "the server", None)
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<Self::Response, StdError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(credentials) = &self.credentials
            && let Some(token) = credentials.add_to(request.headers_mut())
        {
            return self.call_with(token, request);
        }
        let response = self.inner.call(request);
        let address = self.address.clone();
        Box::pin(async move { checked(response.await?, &address) })
    }
}

/// The response, or the status of an HTTP error.
fn checked(response: Response<Body>, address: &str) -> Result<Response<Body>, StdError> {
    match HttpError::of(response.status(), response.headers()) {
        Some(error) => Err(error.into_status(address).into()),
        None => Ok(response),
    }
}

/// A response that is not gRPC. It is the source of its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpError {
    status: StatusCode,
    /// Set if it is the reason, because the status is 200.
    content_type: Option<String>,
}

impl HttpError {
    fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(Status::GRPC_STATUS) {
            return None;
        }
        let content_type = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
        let is_grpc = content_type.starts_with("application/grpc");
        match status {
            StatusCode::OK if is_grpc => None,
            StatusCode::OK => Some(Self { status, content_type: Some(content_type.to_owned()) }),
            _ => Some(Self { status, content_type: None }),
        }
    }

    fn into_status(self, address: &str) -> Status {
        let message = match self.status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
                "the headers of the call are larger than {address} accepts (HTTP status 431): shorten the token or the metadata"
            ),
            _ => format!("{address} answered with {self} instead of gRPC: check the address and its proxy"),
        };
        let mut status = Status::new(self.code(), message);
        status.set_source(Arc::new(self));
        status
    }

    /// The code, as in doc/http-grpc-status-mapping.md of gRPC.
    fn code(&self) -> Code {
        match self.status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502..=504 => Code::Unavailable,
            _ => Code::Unknown,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP status {}", self.status)?;
        match &self.content_type {
            Some(content_type) => write!(f, " and content type {content_type:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for HttpError {}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn error(status: u16, headers: &[(&'static str, &'static str)]) -> Option<Status> {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
        let status = StatusCode::from_u16(status).expect("a status");
        HttpError::of(status, &headers.collect()).map(|error| error.into_status("http://h:1"))
    }

    #[test]
    fn each_http_status_has_the_code_of_the_specification() {
        let codes = [
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (413, Code::Unknown),
            (429, Code::Unavailable),
            (500, Code::Unknown),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::Unavailable),
        ];
        for (status, code) in codes {
            let error = error(status, &[("content-type", "text/html")]).expect("an error");
            assert_eq!(error.code(), code, "{status}");
            assert!(error.message().starts_with("http://h:1 answered with HTTP status "), "{error}");
            assert!(error.message().contains(&status.to_string()), "{error}");
        }
    }

    #[test]
    fn status_431_is_about_the_token_and_the_metadata() {
        let error = error(431, &[]).expect("an error");
        assert_eq!(error.code(), Code::Unknown);
        let expected =
            "the headers of the call are larger than http://h:1 accepts (HTTP status 431): shorten the token";
        assert!(error.message().starts_with(expected), "{error}");
    }

    #[test]
    fn page_with_status_200_is_an_error() {
        let error = error(200, &[("content-type", "text/html")]).expect("an error");
        assert_eq!(error.code(), Code::Unknown);
        assert!(error.message().contains("200 OK and content type \"text/html\""), "{error}");
    }

    #[test]
    fn grpc_responses_pass() {
        assert!(error(200, &[("content-type", "application/grpc+proto")]).is_none());
        assert!(error(421, &[("content-type", "application/grpc"), ("grpc-status", "7")]).is_none());
    }
}
