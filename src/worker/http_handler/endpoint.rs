//! An HTTP endpoint of a running worker, whose handler can be replaced.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{HttpHandler, Runner};
use crate::error::Result;
use crate::worker::JobContext;
use crate::worker::handler::HandlerResult;

/// An HTTP endpoint of a worker. Its handler can be replaced while the worker runs. Clones are the same endpoint.
///
/// ```
/// use jobstream::worker::{HttpEndpoint, HttpHandler, Worker};
///
/// # fn main() -> jobstream::error::Result<()> {
/// let resize = HttpEndpoint::new(HttpHandler::new("http://127.0.0.1:9000/resize")?)?;
/// let worker = Worker::new().http_endpoint("resize", &resize);
/// let signed = HttpHandler::new("http://127.0.0.1:9000/resize")?;
/// let signed = signed.signed_with(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])?;
/// resize.replace_with(&HttpEndpoint::new(signed)?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpEndpoint(Arc<RwLock<Arc<Runner>>>);

impl HttpEndpoint {
    /// An endpoint with this handler.
    ///
    /// # Errors
    ///
    /// `InvalidField` if the certificate authorities of the handler or the system cannot be read.
    pub fn new(handler: HttpHandler) -> Result<Self> {
        Ok(Self(Arc::new(RwLock::new(handler.runner()?))))
    }

    /// Uses the handler of another endpoint from the next attempt on. Open requests continue. The number of slots stays as it
    /// was when the worker was made.
    pub fn replace_with(&self, other: &Self) {
        let runner = other.0.read().clone();
        *self.0.write() = runner;
    }

    pub(in crate::worker) fn slots(&self) -> u32 {
        self.0.read().handler.slots
    }

    /// Runs one attempt with the current handler.
    pub(in crate::worker) fn run(&self, context: JobContext) -> impl Future<Output = HandlerResult> + use<> {
        self.0.read().clone().run(context)
    }
}

impl fmt::Debug for HttpEndpoint {
    /// Without headers and secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpEndpoint").finish_non_exhaustive()
    }
}
