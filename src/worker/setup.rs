//! A worker before it runs: handlers by kind, slots, a name and queues.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::desk::ByKind;
use super::handler::{self, AsyncHandler, HandlerResult, InlineJob};
use super::{CommandHandler, JobContext, JobError};
use crate::error::Result;
use crate::job::{AttemptEnd, InlineHandler, Kind, Payload, QueueName};

/// How many attempts of async handlers a worker runs at a time, unless told otherwise.
pub const DEFAULT_SLOTS: u32 = 256;
/// Short handlers do not wait, so their slots only bound how many are dispatched in one go.
const INLINE_SLOTS: u32 = 4_096;

/// Handlers by kind, and how many attempts run at a time.
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
}

/// A handler with slots of its own.
struct Dedicated {
    kind: String,
    slots: u32,
    revoke_grace: Duration,
    handler: AsyncHandler,
}

/// Handlers with common slots: what one session serves.
pub(super) struct Part {
    pub(super) kinds: Vec<Kind>,
    pub(super) slots: u32,
    pub(super) handlers: ByKind<AsyncHandler>,
    /// The same handlers for the thread that dispatches, if they are short.
    pub(super) inline: Option<InlineHandler>,
    /// What a handler gets to stop when its lease is taken back without a cancel before.
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
        }
    }
}

impl Worker {
    /// A worker named `local` that serves every queue, without handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name shown with each attempt.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Serves only these queues.
    pub fn queues<T: Into<String>>(mut self, queues: impl IntoIterator<Item = T>) -> Self {
        self.queues = Some(queues.into_iter().map(Into::into).collect());
        self
    }

    /// How many attempts of async handlers run at a time. Default [`DEFAULT_SLOTS`].
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// A handler of typed input and output, carried as JSON.
    ///
    /// Numbers are read as their type says. `serde_json::Value` holds integers of 64 bits and doubles: it rounds a number with
    /// more digits. Where every digit counts, name a type that holds it, such as `u128`, or take a
    /// [`raw_handler`](Worker::raw_handler).
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

    /// A handler that reads its payload as it came and answers one.
    pub fn raw_handler<F, Fut>(mut self, kind: impl Into<String>, handler: F) -> Self
    where
        F: Fn(JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Payload, JobError>> + Send + 'static,
    {
        self.handlers.insert(kind.into(), handler::raw(handler));
        self
    }

    /// A handler with slots of its own, so that it neither starves the others nor is starved by them.
    pub fn dedicated_handler<F, Fut>(mut self, kind: impl Into<String>, slots: u32, handler: F) -> Self
    where
        F: Fn(JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Payload, JobError>> + Send + 'static,
    {
        let (kind, handler) = (kind.into(), handler::raw(handler));
        self.dedicated.push(Dedicated { kind, slots, revoke_grace: Duration::ZERO, handler });
        self
    }

    /// A program as the handler of a kind, with slots of its own.
    pub fn command(mut self, kind: impl Into<String>, command: CommandHandler) -> Self {
        let (slots, revoke_grace) = (command.slots, command.spec.kill_grace);
        let runner = command.runner();
        let handler = handler::raw(move |context| runner.clone().run(context));
        self.dedicated.push(Dedicated { kind: kind.into(), slots, revoke_grace, handler });
        self
    }

    /// A handler that takes microseconds and never blocks: it runs on the thread that dispatched the attempt, often the
    /// one that serves the caller, and cannot be cancelled.
    pub fn inline_handler<F>(mut self, kind: impl Into<String>, handler: F) -> Self
    where
        F: Fn(InlineJob) -> Result<Payload, JobError> + Send + Sync + 'static,
    {
        self.inline.insert(kind.into(), Arc::new(handler::inline(handler)));
        self
    }

    /// The handler of a kind, and what it gets to stop.
    pub(super) fn handler_of(&self, kind: &str) -> Option<(AsyncHandler, Duration)> {
        if let Some(dedicated) = self.dedicated.iter().find(|dedicated| dedicated.kind == kind) {
            return Some((dedicated.handler.clone(), dedicated.revoke_grace));
        }
        let handler = self.handlers.get(kind).cloned();
        handler.or_else(|| self.inline.get(kind).map(as_async)).map(|handler| (handler, Duration::ZERO))
    }

    pub(super) fn queue_names(&self) -> Result<Option<Vec<QueueName>>> {
        let Some(names) = &self.queues else { return Ok(None) };
        names.iter().map(|name| QueueName::parse("queue", name)).collect::<Result<_>>().map(Some)
    }

    /// The handlers, by the slots they have in common.
    pub(super) fn parts(self) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        if !self.handlers.is_empty() {
            let (kinds, handlers) = by_kind(self.handlers)?;
            let (slots, revoke_grace) = (self.slots, Duration::ZERO);
            parts.push(Part { kinds, slots, handlers, inline: None, revoke_grace });
        }
        if !self.inline.is_empty() {
            let (kinds, handlers) = by_kind(self.inline)?;
            let (handlers, inline) = both_ways(handlers);
            let (slots, revoke_grace) = (INLINE_SLOTS, Duration::ZERO);
            parts.push(Part { kinds, slots, handlers, inline: Some(inline), revoke_grace });
        }
        for Dedicated { kind, slots, revoke_grace, handler } in self.dedicated {
            let (kinds, handlers) = by_kind(BTreeMap::from([(kind, handler)]))?;
            parts.push(Part { kinds, slots, handlers, inline: None, revoke_grace });
        }
        Ok(parts)
    }
}

fn by_kind<T>(handlers: BTreeMap<String, T>) -> Result<(Vec<Kind>, ByKind<T>)> {
    let kinds: Vec<_> = handlers.keys().map(|kind| Kind::parse("kind", kind)).collect::<Result<_>>()?;
    let handlers = handlers.into_iter().map(|(kind, handler)| (kind.into(), handler)).collect();
    Ok((kinds, handlers))
}

/// Inline handlers for the dispatching thread, and the same as async ones for attempts that come through the channel.
fn both_ways(handlers: ByKind<InlineHandler>) -> (ByKind<AsyncHandler>, InlineHandler) {
    let asynchronous = handlers.iter().map(|(kind, inline)| (kind.clone(), as_async(inline)));
    (asynchronous.collect(), handler::inline_by_kind(handlers.clone().into_iter().collect()))
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
