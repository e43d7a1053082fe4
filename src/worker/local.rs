//! The in-process pool: sessions whose attempts run as tokio tasks behind a bounded channel.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handler::{self, AsyncHandler, HandlerResult, InlineJob};
use super::{CommandHandler, JobContext, JobError};
use crate::core::{Assignment, AttemptEnd, LeaseId, SessionSpec, Stop};
use crate::engine::{Engine, InlineHandler, Order, Reporter, Session};
use crate::error::Result;
use crate::job::{Kind, Payload, QueueName};

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
    name: String,
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

type ByKind<T> = HashMap<Arc<str>, T>;

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
        let command = Arc::new(command);
        let handler = handler::raw(move |context| command.clone().run(context));
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

    /// Runs in this process, as the pool of this engine: attempts run on the present tokio runtime.
    ///
    /// # Errors
    ///
    /// `InvalidField` for a kind or queue with a bad name.
    pub fn start(self, engine: &Engine) -> Result<RunningWorker> {
        let queues = match &self.queues {
            Some(names) => {
                Some(names.iter().map(|name| QueueName::parse("queue", name)).collect::<Result<_>>()?)
            }
            None => None,
        };
        let running = RunningWorker { tracker: TaskTracker::new(), stop: CancellationToken::new() };
        let spec = |kinds: Vec<Kind>, slots| {
            let (name, queues) = (self.name.clone(), queues.clone());
            SessionSpec { name, kinds, queues, slots }
        };
        if !self.handlers.is_empty() {
            let (kinds, handlers) = by_kind(self.handlers)?;
            running.serve(engine.open_session(&spec(kinds, self.slots), None), handlers, Duration::ZERO);
        }
        if !self.inline.is_empty() {
            let (kinds, handlers) = by_kind(self.inline)?;
            let (asynchronous, inline) = both_ways(handlers);
            running.serve(
                engine.open_session(&spec(kinds, INLINE_SLOTS), Some(inline)),
                asynchronous,
                Duration::ZERO,
            );
        }
        for Dedicated { kind, slots, revoke_grace, handler } in self.dedicated {
            let (kinds, handlers) = by_kind(BTreeMap::from([(kind, handler)]))?;
            running.serve(engine.open_session(&spec(kinds, slots), None), handlers, revoke_grace);
        }
        Ok(running)
    }
}

fn by_kind<T>(handlers: BTreeMap<String, T>) -> Result<(Vec<Kind>, ByKind<T>)> {
    let kinds: Vec<_> = handlers.keys().map(|kind| Kind::parse("kind", kind)).collect::<Result<_>>()?;
    let handlers = handlers.into_iter().map(|(kind, handler)| (kind.into(), handler)).collect();
    Ok((kinds, handlers))
}

/// Inline handlers for the dispatching thread, and the same as async ones for attempts that come through the channel.
fn both_ways(handlers: ByKind<InlineHandler>) -> (ByKind<AsyncHandler>, InlineHandler) {
    let asynchronous = handlers.iter().map(|(kind, inline)| {
        let inline = inline.clone();
        let handler: AsyncHandler = Arc::new(move |context: JobContext| {
            let end = inline(context.assignment().clone());
            Box::pin(std::future::ready(from_end(end)))
        });
        (kind.clone(), handler)
    });
    (asynchronous.collect(), handler::inline_by_kind(handlers.clone().into_iter().collect()))
}

fn from_end(end: AttemptEnd) -> HandlerResult {
    match end {
        AttemptEnd::Success(result) => Ok(result),
        end => Err(JobError::from_end(end)),
    }
}

/// A worker at work. Dropping it leaves it at work.
#[derive(Clone)]
pub struct RunningWorker {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl RunningWorker {
    /// Ends every attempt by force and closes the sessions; returns when the last handler is gone or this long passed.
    /// Answers how many tasks were left.
    pub async fn stop(&self, within: Duration) -> usize {
        self.stop.cancel();
        self.tracker.close();
        // Handlers that hold their thread cannot be ended; the caller says how many are left.
        let _ = tokio::time::timeout(within, self.tracker.wait()).await;
        self.tracker.len()
    }

    fn serve(&self, session: Session, handlers: ByKind<AsyncHandler>, revoke_grace: Duration) {
        let desk = Desk { handlers, attempts: Attempts::default(), stop: self.stop.clone(), revoke_grace };
        self.tracker.spawn(serve(session, desk, self.tracker.clone()));
    }
}

/// The attempts that run, by lease.
type Attempts = Arc<Mutex<HashMap<LeaseId, Control>>>;

/// The two ways to end an attempt.
#[derive(Clone)]
struct Control {
    cancel: CancellationToken,
    force: CancellationToken,
}

/// What the attempts of one session have in common.
struct Desk {
    handlers: ByKind<AsyncHandler>,
    attempts: Attempts,
    stop: CancellationToken,
    /// What a handler gets to stop when its lease is taken back without a cancel before: programs get time after TERM.
    revoke_grace: Duration,
}

async fn serve(mut session: Session, desk: Desk, tracker: TaskTracker) {
    let own = TaskTracker::new();
    loop {
        let orders = tokio::select! {
            orders = session.orders() => orders,
            () = desk.stop.cancelled() => break,
        };
        for order in orders {
            match order {
                Order::Run(assignment) => {
                    tracker.spawn(own.track_future(desk.run(*assignment, session.reporter())));
                }
                Order::Stop(lease, how) => desk.end(lease, how),
            }
        }
    }
    own.close();
    own.wait().await;
}

impl Desk {
    fn end(&self, lease: LeaseId, how: Stop) {
        let Some(control) = self.attempts.lock().get(&lease).cloned() else { return };
        let was_cancelled = control.cancel.is_cancelled();
        control.cancel.cancel();
        match how {
            Stop::Cancel(_) => {}
            Stop::Revoke if was_cancelled || self.revoke_grace.is_zero() => control.force.cancel(),
            Stop::Revoke => {
                let grace = self.revoke_grace;
                tokio::spawn(async move {
                    let force = control.force;
                    let _ = tokio::time::timeout(grace, force.cancelled()).await;
                    force.cancel();
                });
            }
        }
    }

    /// Runs one attempt. Its control is there before the future is polled, so that a stop finds it.
    fn run(&self, assignment: Assignment, reporter: Reporter) -> impl Future<Output = ()> + Send + 'static {
        let (job_id, lease) = (assignment.job_id, assignment.lease);
        let handler = self.handlers.get(&assignment.kind).cloned();
        let unknown = handler::unknown_kind(&assignment.kind);
        let control = Control { cancel: CancellationToken::new(), force: self.stop.child_token() };
        let attempts = self.attempts.clone();
        attempts.lock().insert(lease, control.clone());
        let context = JobContext::new(assignment, reporter.clone(), control.cancel);
        async move {
            let attempt = async move {
                match handler {
                    Some(handler) => handler(context).await,
                    None => Err(JobError::of(unknown)),
                }
            };
            let end = tokio::select! {
                answer = AssertUnwindSafe(attempt).catch_unwind() => handler::attempt_end(answer),
                // The lease is gone or the worker stops: then the job is to be run elsewhere.
                () = control.force.cancelled() => AttemptEnd::Release(Duration::ZERO),
            };
            attempts.lock().remove(&lease);
            // A lost lease was told to the handler by its stop; here it only frees the slot.
            let _ = reporter.end(job_id, lease, end);
        }
    }
}
