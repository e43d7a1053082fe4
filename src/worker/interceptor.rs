//! Interceptors of handlers: what a team adds around every attempt of a worker.

use std::sync::Arc;

use super::handler::AsyncHandler;
use super::{JobContext, JobError};
use crate::client::BoxFuture;
use crate::job::Payload;

/// Runs around each attempt of a worker: it may change the payload before and the result after, and may fail the attempt.
///
/// ```
/// use jobstream::client::BoxFuture;
/// use jobstream::job::Payload;
/// use jobstream::testing::run_handler;
/// use jobstream::worker::{HandlerInterceptor, JobContext, JobError, NextHandler, Worker};
///
/// /// Payloads and results are encrypted on their way: the server never sees their content.
/// struct Encryption(u8);
///
/// impl Encryption {
///     /// A real one uses authenticated encryption.
///     fn apply(&self, bytes: &[u8]) -> Payload {
///         Payload::data(bytes.iter().map(|byte| byte ^ self.0).collect::<Vec<_>>())
///     }
/// }
///
/// impl HandlerInterceptor for Encryption {
///     fn run<'a>(&'a self, context: JobContext, next: NextHandler<'a>) -> BoxFuture<'a, Result<Payload, JobError>> {
///         Box::pin(async move {
///             let decrypted = self.apply(&context.payload().bytes);
///             let result = next.run(context.with_payload(decrypted)).await?;
///             Ok(self.apply(&result.bytes))
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let worker = Worker::new()
///     .interceptor(Encryption(7))
///     .handler("double", |_: JobContext, number: i64| async move { Ok(number * 2) });
/// let run = run_handler(&worker, "double", Encryption(7).apply(b"21")).await?;
/// assert_eq!(run.result(), Some(&Encryption(7).apply(b"42")));
/// # Ok(()) }
/// ```
pub trait HandlerInterceptor: Send + Sync + 'static {
    /// Runs the attempt with `next`, or fails it.
    fn run<'a>(
        &'a self,
        context: JobContext,
        next: NextHandler<'a>,
    ) -> BoxFuture<'a, Result<Payload, JobError>>;
}

/// The interceptors after this one, and the handler.
pub struct NextHandler<'a> {
    rest: &'a [Arc<dyn HandlerInterceptor>],
    handler: &'a AsyncHandler,
}

impl<'a> NextHandler<'a> {
    /// Runs the handler.
    pub fn run(self, context: JobContext) -> BoxFuture<'a, Result<Payload, JobError>> {
        match self.rest.split_first() {
            Some((first, rest)) => first.run(context, NextHandler { rest, handler: self.handler }),
            None => (self.handler)(context),
        }
    }
}

/// The handler with these interceptors around it, outermost first.
pub(super) fn intercepted(
    interceptors: &Arc<[Arc<dyn HandlerInterceptor>]>,
    handler: AsyncHandler,
) -> AsyncHandler {
    if interceptors.is_empty() {
        return handler;
    }
    let interceptors = interceptors.clone();
    Arc::new(move |context| {
        let (interceptors, handler) = (interceptors.clone(), handler.clone());
        Box::pin(async move { NextHandler { rest: &interceptors, handler: &handler }.run(context).await })
    })
}
