//! Spans of OpenTelemetry: how they are started, and the span around a submit.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use opentelemetry::global::{self, BoxedTracer, ObjectSafeTracer};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    FutureExt, Link, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags,
    TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::BaggagePropagator;

use super::{BoxFuture, Error, NextSubmit, Result, Submission, SubmitInterceptor};
use crate::job::{QueueName, TraceContext, TraceParent};
use crate::proto::{render, v1};

/// The name of the instrumentation scope.
const SCOPE: &str = "jobstream";

/// Which spans are made. The decision is made before a span exists, so what is not sampled costs nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether a span is made exactly if its parent is sampled; `ratio` then counts for spans without a parent.
    pub parent_based: bool,
    /// The share of traces with spans, 0 to 1.
    pub ratio: f64,
}

impl Default for Sampling {
    /// Every trace whose parent is sampled, and every new trace.
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

impl Sampling {
    fn decides_for(&self, parent: Option<TraceParent>) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent.is_sampled(),
            // The low half of a trace id is random, so all services decide the same for one trace.
            Some(parent) => self.is_below(parent.trace_id as u64),
            None => self.ratio >= 1.0 || (self.ratio > 0.0 && self.is_below(rand::random())),
        }
    }

    fn is_below(&self, random: u64) -> bool {
        self.ratio >= 1.0 || (random as f64) < self.ratio * (u64::MAX as f64)
    }
}

/// Makes the spans of jobstream with OpenTelemetry: around submits as the interceptor of a client, around attempts as that of a
/// worker, and around requests as an option of a server. Cheap to clone.
///
/// ```no_run
/// use jobstream::client::{Client, Spans};
///
/// # async fn run() -> jobstream::client::Result<()> {
/// // The spans go to the tracer provider that the program has set.
/// let client = Client::connect("http://127.0.0.1:7070").await?.interceptor(Spans::global());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Spans(Arc<Inner>);

struct Inner {
    tracer: BoxedTracer,
    /// `None` leaves the decision to the tracer.
    sampling: Option<Sampling>,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").field("sampling", &self.0.sampling).finish_non_exhaustive()
    }
}

impl Spans {
    /// Spans of the global tracer provider, whose sampler decides.
    pub fn global() -> Self {
        Self(Arc::new(Inner { tracer: global::tracer(SCOPE), sampling: None }))
    }

    /// Spans of this tracer, if `sampling` decides for them.
    pub fn new<T>(tracer: T, sampling: Sampling) -> Self
    where
        T: ObjectSafeTracer + Send + Sync + 'static,
    {
        let tracer = BoxedTracer::new(Box::new(tracer));
        Self(Arc::new(Inner { tracer, sampling: Some(sampling) }))
    }

    /// Starts a span in this context. `None` if it is not sampled.
    pub(crate) fn start(&self, span: SpanBuilder, parent: &Context) -> Option<Context> {
        let above = parent_of(parent.span().span_context());
        if self.0.sampling.is_some_and(|sampling| !sampling.decides_for(above)) {
            return None;
        }
        Some(self.start_child(span, parent))
    }

    /// Starts a span in this context without a decision about it.
    pub(crate) fn start_child(&self, span: SpanBuilder, parent: &Context) -> Context {
        parent.with_span(self.0.tracer.build_with_context(span, parent))
    }
}

impl SubmitInterceptor for Spans {
    /// A retry has the current span as its submitter.
    fn trace_context(&self) -> Option<TraceContext> {
        carried_by(&Context::current())
    }

    /// The span is `submit {queue}`. Its parent is the span of the current context. A job that has a trace context already is
    /// submitted as it is.
    fn submit<'a>(&'a self, mut job: v1::JobSpec, next: NextSubmit<'a>) -> BoxFuture<'a, Result<Submission>> {
        if job.trace_context.is_some() {
            return next.submit(job);
        }
        let ambient = Context::current();
        let queue = if job.queue.is_empty() { QueueName::DEFAULT } else { &job.queue };
        let mut attributes = message(queue, &job.kind, "submit", "send");
        attributes.push(KeyValue::new("messaging.message.id", job.job_id.clone()));
        let span = SpanBuilder::from_name(format!("submit {queue}")).with_kind(SpanKind::Producer);
        let context = self.start(span.with_attributes(attributes), &ambient);
        let sent = context.as_ref().unwrap_or(&ambient);
        job.trace_context = carried_by(sent).as_ref().map(render::trace_context);
        let Some(context) = context else { return next.submit(job) };
        Box::pin(async move {
            let submitted = next.submit(job).with_context(context.clone()).await;
            if let Err(error) = &submitted {
                fail_with(&context, error);
            }
            context.span().end();
            submitted
        })
    }
}

/// The attributes of a span about a job.
pub(crate) fn message(queue: &str, kind: &str, name: &'static str, of_type: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "jobstream"),
        KeyValue::new("messaging.destination.name", queue.to_owned()),
        KeyValue::new("messaging.operation.name", name),
        KeyValue::new("messaging.operation.type", of_type),
        KeyValue::new("jobstream.job.kind", kind.to_owned()),
    ]
}

/// Sets the status of a span to an error of this type.
pub(crate) fn fail(context: &Context, error_type: &str, message: &str) {
    let span = context.span();
    span.set_attribute(KeyValue::new("error.type", error_type.to_owned()));
    span.set_status(Status::error(message.to_owned()));
}

/// Sets the status of a span to this error of a call.
pub(crate) fn fail_with(context: &Context, error: &Error) {
    let reason = if error.reason().is_empty() { "UNKNOWN" } else { error.reason() };
    fail(context, reason, error.message());
}

/// The trace context that a span and its baggage are sent as; `None` if there is neither.
pub(crate) fn carried_by(context: &Context) -> Option<TraceContext> {
    let mut headers = HashMap::new();
    BaggagePropagator::new().inject_context(context, &mut headers);
    let span = context.span();
    let span = span.span_context();
    let parent = parent_of(span).map(|parent| parent.to_string());
    let baggage = headers.get("baggage").map(String::as_str);
    TraceContext::of_headers(parent.as_deref(), Some(&span.trace_state().header()), baggage)
}

/// The context whose current span, in another process, and whose baggage are those of a trace context.
pub(crate) fn context_of(trace: &TraceContext) -> Context {
    let headers = HashMap::from([("baggage".to_owned(), trace.baggage().to_owned())]);
    let context = BaggagePropagator::new().extract_with_context(&Context::new(), &headers);
    match span_context(trace) {
        Some(span) => context.with_remote_span_context(span),
        None => context,
    }
}

/// The link to the span of a trace context.
pub(crate) fn link_to(trace: &TraceContext) -> Option<Link> {
    span_context(trace).map(|span| Link::new(span, Vec::new(), 0))
}

fn span_context(trace: &TraceContext) -> Option<SpanContext> {
    let TraceParent { trace_id, span_id, flags } = trace.parent()?;
    let state = trace.tracestate().parse::<TraceState>().unwrap_or_default();
    let (trace_id, span_id) = (TraceId::from(trace_id), SpanId::from(span_id));
    Some(SpanContext::new(trace_id, span_id, TraceFlags::new(flags), true, state))
}

fn parent_of(span: &SpanContext) -> Option<TraceParent> {
    let (trace_id, span_id) = (u128::from_be_bytes(span.trace_id().to_bytes()), span.span_id().to_bytes());
    let parent =
        TraceParent { trace_id, span_id: u64::from_be_bytes(span_id), flags: span.trace_flags().to_u8() };
    span.is_valid().then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(trace_id: u128, flags: u8) -> Option<TraceParent> {
        Some(TraceParent { trace_id, span_id: 1, flags })
    }

    #[test]
    fn the_parent_decides_unless_the_ratio_does() {
        let default = Sampling::default();
        assert!(default.decides_for(None) && default.decides_for(parent(1, 1)));
        assert!(!default.decides_for(parent(1, 0)));
        let off = Sampling { ratio: 0.0, ..default };
        assert!(!off.decides_for(None) && off.decides_for(parent(1, 1)));
        let half = Sampling { parent_based: false, ratio: 0.5 };
        assert!(half.decides_for(parent(1, 0)) && !half.decides_for(parent(u128::MAX, 1)));
        let sampled = (0..10_000).filter(|_| half.decides_for(None)).count();
        assert!((4_000..6_000).contains(&sampled), "{sampled}");
    }

    #[test]
    fn a_trace_context_is_the_same_after_it_was_a_context() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::parse("", parent, "vendor=1", "tenant=acme").expect("a context");
        assert_eq!(carried_by(&context_of(&trace)), Some(trace));
        assert_eq!(carried_by(&Context::new()), None);
    }
}
