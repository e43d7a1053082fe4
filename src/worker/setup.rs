//! Builds a worker: its name, queues, slots and handlers by kind.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::executor::ByKind;
use super::handler::{self, AsyncHandler, HandlerResult, InlineJob};
use super::interceptor::intercepted;
use super::{CommandHandler, HandlerInterceptor, HttpEndpoint, HttpHandler, JobContext, JobError};
use crate::error::Result;
use crate::job::{AttemptEnd, InlineHandler, Kind, Payload, QueueName};

/// Default of [`Worker::slots`].
pub const DEFAULT_SLOTS: u32 = 256;
/// Slots of inline handlers. They run one after another, so the slots only bound the size of one batch of assignments.
const INLINE_SLOTS: u32 = 4_096;

/// A builder of workers: handlers by kind, and how many attempts run at a time.
///
/// [`start`](Worker::start) runs the worker in the server's process, [`connect`](Worker::connect) runs it for a remote
/// server.
///
/// ```no_run
/// # async fn example(engine: jobstream::engine::Engine) -> jobstream::error::Result<()> {
/// use jobstream::worker::{JobContext, Worker};
///
/// let worker = Worker::new()
///     .handler("double", |_: JobContext, number: i64| async move { Ok(number * 2) })
///     .start(&engine)?;
/// # Ok(()) }
/// ```
pub struct Worker {
    pub(super) name: String,
    queues: Option<Vec<String>>,
    slots: u32,
    handlers: BTreeMap<String, AsyncHandler>,
    inline: BTreeMap<String, InlineHandler>,
    dedicated: Vec<Dedicated>,
    interceptors: Vec<Arc<dyn HandlerInterceptor>>,
}

/// A handler with slots of its own.
struct Dedicated {
    kind: String,
    slots: u32,
    revoke_grace: Duration,
    handler: AsyncHandler,
}

/// Handlers that share slots. Each group is served by one session.
pub(super) struct HandlerGroup {
    pub(super) kinds: Vec<Kind>,
    pub(super) slots: u32,
    pub(super) handlers: ByKind<AsyncHandler>,
    /// The same handlers as one inline handler, if they are inline handlers.
    pub(super) inline: Option<InlineHandler>,
    /// Time from the cancellation of a handler to its forced end, if its lease is revoked without an earlier cancel.
    pub(super) revoke_grace: Duration,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            name: "local".to_owned(),
            queues: None,
            slots: DEFAULT_SLOTS,
            handlers: BTreeMap::new(),
            inline: BTreeMap::new(),
            dedicated: Vec::new(),
            interceptors: Vec::new(),
        }
    }
}

impl Worker {
    /// A worker named `local` that serves every queue, without handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the worker's name. Each attempt shows it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Serves only these queues. By default a worker serves every queue.
    pub fn queues<T: Into<String>>(mut self, queues: impl IntoIterator<Item = T>) -> Self {
        self.queues = Some(queues.into_iter().map(Into::into).collect());
        self
    }

    /// Sets how many attempts of async handlers run at a time. Default [`DEFAULT_SLOTS`].
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// Adds a handler with typed input and output, encoded as JSON.
    ///
    /// Numbers are parsed as their Rust type. `serde_json::Value` represents numbers as 64-bit integers or doubles and
    /// rounds numbers with more digits. Use a wider type such as `u128`, or a [`raw_handler`](Worker::raw_handler), if
    /// every digit matters.
    pub fn handler<I, O, F, Fut>(mut self, kind: impl Into<String>, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(JobContext, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, JobError>> + Send + 'static,
    {
        self.handlers.insert(kind.into(), handler::typed(handler));
        self
    }

    /// Adds a handler that reads the payload itself and returns a payload.
    pub fn raw_handler<F, Fut>(mut self, kind: impl Into<String>, handler: F) -> Self
    where
        F: Fn(JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Payload, JobError>> + Send + 'static,
    {
        self.handlers.insert(kind.into(), handler::raw(handler));
        self
    }

    /// Adds a handler with its own slots. It does not compete with other handlers for slots.
    pub fn dedicated_handler<F, Fut>(mut self, kind: impl Into<String>, slots: u32, handler: F) -> Self
    where
        F: Fn(JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Payload, JobError>> + Send + 'static,
    {
        let (kind, handler) = (kind.into(), handler::raw(handler));
        self.dedicated.push(Dedicated { kind, slots, revoke_grace: Duration::ZERO, handler });
        self
    }

    /// Adds a program as the handler of a kind. It has its own slots.
    pub fn command(mut self, kind: impl Into<String>, command: CommandHandler) -> Self {
        let (slots, revoke_grace) = (command.slots, command.spec.kill_grace);
        let runner = command.runner();
        let handler = handler::raw(move |context| runner.clone().run(context));
        self.dedicated.push(Dedicated { kind: kind.into(), slots, revoke_grace, handler });
        self
    }

    /// Adds an HTTP endpoint as the handler of a kind. It has its own slots.
    ///
    /// # Errors
    ///
    /// `InvalidField` if the certificate authorities of the handler or the system cannot be read.
    pub fn http(self, kind: impl Into<String>, endpoint: HttpHandler) -> Result<Self> {
        Ok(self.http_endpoint(kind, &HttpEndpoint::new(endpoint)?))
    }

    /// Adds an HTTP endpoint as the handler of a kind. It has its own slots. The caller can replace its handler later.
    pub fn http_endpoint(self, kind: impl Into<String>, endpoint: &HttpEndpoint) -> Self {
        let (slots, endpoint) = (endpoint.slots(), endpoint.clone());
        self.dedicated_handler(kind, slots, move |context| endpoint.run(context))
    }

    /// Adds an inline handler. It runs on the thread that dispatches the attempt, often the one that serves the client,
    /// so it must return within microseconds and never block. It cannot be cancelled.
    pub fn inline_handler<F>(mut self, kind: impl Into<String>, handler: F) -> Self
    where
        F: Fn(InlineJob) -> Result<Payload, JobError> + Send + Sync + 'static,
    {
        self.inline.insert(kind.into(), Arc::new(handler::inline(handler)));
        self
    }

    /// Adds an interceptor of every handler. The first one added is the outermost. Inline handlers of a worker with
    /// interceptors run as async ones.
    pub fn interceptor(mut self, interceptor: impl HandlerInterceptor) -> Self {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// The handler of a kind and its revoke grace.
    pub(super) fn handler_of(&self, kind: &str) -> Option<(AsyncHandler, Duration)> {
        let dedicated = self.dedicated.iter().find(|dedicated| dedicated.kind == kind);
        let dedicated = dedicated.map(|dedicated| (dedicated.handler.clone(), dedicated.revoke_grace));
        let handler = || self.handlers.get(kind).cloned().or_else(|| self.inline.get(kind).map(as_async));
        let found = dedicated.or_else(|| Some((handler()?, Duration::ZERO)));
        found.map(|(handler, grace)| (intercepted(&self.interceptors.as_slice().into(), handler), grace))
    }

    pub(super) fn queue_names(&self) -> Result<Option<Vec<QueueName>>> {
        let Some(names) = &self.queues else { return Ok(None) };
        names.iter().map(|name| QueueName::parse("queue", name)).collect::<Result<_>>().map(Some)
    }

    /// The handlers, grouped by the slots they share.
    pub(super) fn handler_groups(self) -> Result<Vec<HandlerGroup>> {
        let interceptors: Arc<[_]> = self.interceptors.into();
        let mut groups = Vec::new();
        if !self.handlers.is_empty() {
            let (kinds, handlers) = by_kind(self.handlers)?;
            let (slots, revoke_grace) = (self.slots, Duration::ZERO);
            groups.push(HandlerGroup { kinds, slots, handlers, inline: None, revoke_grace });
        }
        if !self.inline.is_empty() {
            let (kinds, handlers) = by_kind(self.inline)?;
            let (handlers, inline) = async_and_inline(handlers);
            let (slots, revoke_grace) = (INLINE_SLOTS, Duration::ZERO);
            let inline = interceptors.is_empty().then_some(inline);
            groups.push(HandlerGroup { kinds, slots, handlers, inline, revoke_grace });
        }
        for Dedicated { kind, slots, revoke_grace, handler } in self.dedicated {
            let (kinds, handlers) = by_kind(BTreeMap::from([(kind, handler)]))?;
            groups.push(HandlerGroup { kinds, slots, handlers, inline: None, revoke_grace });
        }
        for handler in groups.iter_mut().flat_map(|group| group.handlers.values_mut()) {
            *handler = intercepted(&interceptors, handler.clone());
        }
        Ok(groups)
    }
}

fn by_kind<T>(handlers: BTreeMap<String, T>) -> Result<(Vec<Kind>, ByKind<T>)> {
    let kinds: Vec<_> = handlers.keys().map(|kind| Kind::parse("kind", kind)).collect::<Result<_>>()?;
    let handlers = handlers.into_iter().map(|(kind, handler)| (kind.into(), handler)).collect();
    Ok((kinds, handlers))
}

/// The inline handlers as async ones, for assignments that arrive through the session, and as one inline handler.
fn async_and_inline(handlers: ByKind<InlineHandler>) -> (ByKind<AsyncHandler>, InlineHandler) {
    let asynchronous = handlers.iter().map(|(kind, inline)| (kind.clone(), as_async(inline)));
    (asynchronous.collect(), handler::inline_by_kind(handlers.clone()))
}

fn as_async(inline: &InlineHandler) -> AsyncHandler {
    let inline = inline.clone();
    Arc::new(move |context: JobContext| {
        let end = inline(context.assignment().clone());
        Box::pin(std::future::ready(from_end(end)))
    })
}

fn from_end(end: AttemptEnd) -> HandlerResult {
    match end {
        AttemptEnd::Success(result) => Ok(result),
        end => Err(JobError::from_end(end)),
    }
}
