//! Sends the attempts of a kind as POST requests to an HTTP endpoint. docs/http-handlers.md has the contract.

mod client;
mod endpoint;
mod failure;
mod problem;
mod request;
mod response;
mod retry_after;
mod signature;
mod url;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::handler::HandlerResult;
use super::start_backoff::StartBackoff;
use super::{JobContext, JobError};
use crate::error::{Error, Result};
use crate::job::{Failure, FailureReason, LogLevel, LogStream};
use client::{Client, SendError};
pub use endpoint::HttpEndpoint;
use signature::Secret;
#[cfg(all(feature = "server", feature = "tls"))]
pub(crate) use {client::causes, client::connector, response::chain, url::parse as parse_url};

/// Default of [`HttpHandler::slots`].
const DEFAULT_HTTP_SLOTS: u32 = 16;
/// Default of [`HttpHandler::result_bytes_max`].
const DEFAULT_RESULT_BYTES_MAX: usize = 1024 * 1024;

/// An HTTP endpoint that runs the attempts of one kind. Each attempt is a POST request with the payload as its body.
///
/// A response with status 2xx is the result. 408, 425, 429 and 5xx are retryable failures, and `Retry-After` is the delay
/// before the next attempt; every other status is a permanent failure. A cancelled attempt aborts its request. If no
/// connection can be made, the job is released with a growing delay, and the attempt is not counted.
///
/// ```
/// use std::time::Duration;
///
/// use jobstream::worker::{HttpHandler, Worker};
///
/// # fn main() -> jobstream::error::Result<()> {
/// let mut resize = HttpHandler::new("http://127.0.0.1:9000/resize")?
///     .header("authorization", "Bearer 5ae1")?
///     .signed_with(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])?;
/// resize.slots = 4;
/// resize.time_limit = Some(Duration::from_secs(30));
/// let worker = Worker::new().http("resize", resize)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpHandler {
    url: Uri,
    headers: HeaderMap,
    secrets: Vec<Secret>,
    ca_certificates: Option<Vec<u8>>,
    /// How many requests are open at a time, and how many idle connections are kept. Default 16.
    pub slots: u32,
    /// Time limit of a request; no limit beside the job's attempt timeout by default.
    pub time_limit: Option<Duration>,
    /// Largest result. A larger one is a permanent failure. 1 MiB by default.
    pub result_bytes_max: usize,
}

impl HttpHandler {
    /// A handler that sends requests to this URL, without additional headers and signatures.
    ///
    /// # Errors
    ///
    /// `InvalidField` if the URL is malformed, its scheme is not `http` or `https`, or it has user information or a
    /// fragment; for `https` also if the library was built without the feature `tls`.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self {
            url: url::parse(url).map_err(|problem| Error::invalid("url", problem))?,
            headers: HeaderMap::new(),
            secrets: Vec::new(),
            ca_certificates: None,
            slots: DEFAULT_HTTP_SLOTS,
            time_limit: None,
            result_bytes_max: DEFAULT_RESULT_BYTES_MAX,
        })
    }

    /// Adds a header to every request. It replaces a header of the job with this name.
    ///
    /// # Errors
    ///
    /// `InvalidField` if the name or the value is not valid in HTTP, or the header belongs to the connection, the
    /// payload or jobstream.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self> {
        let invalid = |problem: &str| Err(Error::invalid("headers", format!("{name:?} {problem}")));
        let Ok(parsed) = HeaderName::try_from(name) else {
            return invalid("is not a valid HTTP header name");
        };
        if request::is_reserved(&parsed) {
            return invalid("cannot be set: the request has its own");
        }
        let Ok(value) = HeaderValue::try_from(value) else {
            return invalid("has a value with characters that are not valid in an HTTP header");
        };
        self.headers.insert(parsed, value);
        Ok(self)
    }

    /// Signs every request with each of these secrets, as Standard Webhooks does. A secret is `whsec_` and base64, or
    /// any other text, whose bytes are the key.
    ///
    /// # Errors
    ///
    /// `InvalidField` if a secret is not base64 after `whsec_`, has less than 24 bytes, or there are more than eight.
    pub fn signed_with<T: AsRef<str>>(mut self, secrets: impl IntoIterator<Item = T>) -> Result<Self> {
        let secrets = secrets.into_iter().map(|secret| Secret::parse(secret.as_ref()));
        let secrets = secrets.collect::<std::result::Result<Vec<_>, _>>();
        self.secrets = secrets.and_then(signature::check_count).map_err(|p| Error::invalid("secret", p))?;
        Ok(self)
    }

    /// Verifies the endpoint's certificate with these certificate authorities (PEM) instead of the system's.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificates = Some(pem.into());
        self
    }

    /// # Errors
    ///
    /// `InvalidField` if the certificate authorities cannot be read.
    fn runner(self) -> Result<Arc<Runner>> {
        let client = Client::new(&self.url, self.slots, self.ca_certificates.as_deref())
            .map_err(|problem| Error::invalid("ca_certificates", problem))?;
        Ok(Arc::new(Runner { handler: self, client, backoff: StartBackoff::default() }))
    }
}

/// Runs the attempts of one handler.
struct Runner {
    handler: HttpHandler,
    client: Client,
    backoff: StartBackoff,
}

impl Runner {
    /// Runs one attempt. If no connection can be made, the job is released with a back-off.
    async fn run(self: Arc<Self>, context: JobContext) -> HandlerResult {
        // A request that is dropped closes its connection or resets its stream.
        let exchanged = tokio::select! {
            biased;
            () = context.cancelled() => return Err(JobError::cancelled()),
            exchanged = self.exchange_in_time(&context) => exchanged,
        };
        let message = match exchanged {
            Err(SendError::NotConnected(message)) => message,
            Err(SendError::Failed(error)) => return self.end(Err(error)),
            Ok(result) => return self.end(result),
        };
        context.log_at(LogLevel::Warn, LogStream::Log, &message);
        Err(self.backoff.release(&context, &message).await)
    }

    fn end(&self, result: HandlerResult) -> HandlerResult {
        self.backoff.reset();
        result
    }

    async fn exchange_in_time(&self, context: &JobContext) -> std::result::Result<HandlerResult, SendError> {
        let Some(limit) = self.handler.time_limit else { return self.exchange(context).await };
        tokio::time::timeout(limit, self.exchange(context)).await.unwrap_or_else(|_| {
            let message = format!("the endpoint did not answer within the time limit, {limit:?}");
            Ok(Err(JobError::of(Failure::new(FailureReason::AttemptTimeout, message))))
        })
    }

    /// Sends the request and reads the response.
    async fn exchange(&self, context: &JobContext) -> std::result::Result<HandlerResult, SendError> {
        let response = self.client.send(request::build(&self.handler, context)).await?;
        Ok(response::read(response, self.handler.result_bytes_max, context.payload().encoding).await)
    }
}
