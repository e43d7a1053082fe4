//! The span of a request. It is started when its parent is known: the context of the call, or that of the job that it submits.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue};
use parking_lot::Mutex;

use crate::client::Spans;
use crate::client::spans::context_of;
use crate::clock::Clock;
use crate::job::TraceContext;

/// The span of a request, in the extensions of the request.
#[derive(Clone)]
pub(crate) struct RequestSpan(Arc<Mutex<State>>);

enum State {
    Waiting {
        spans: Spans,
        name: String,
        attributes: Vec<KeyValue>,
        sent: Option<Arc<TraceContext>>,
        begun: SystemTime,
    },
    /// `None` if it is not sampled.
    Started(Option<Context>),
}

impl RequestSpan {
    /// The span of a request that begins now and was sent in this context.
    pub(crate) fn new(
        spans: Spans,
        name: String,
        attributes: Vec<KeyValue>,
        sent: Option<Arc<TraceContext>>,
    ) -> Self {
        let micros = u64::try_from(Clock::system().now().wall.as_micros()).unwrap_or_default();
        let begun = UNIX_EPOCH + Duration::from_micros(micros);
        Self(Arc::new(Mutex::new(State::Waiting { spans, name, attributes, sent, begun })))
    }

    /// Names the span after the RPC that an HTTP request calls.
    pub(crate) fn set_rpc(&self, full_name: &str) {
        let Some((service, method)) = full_name.rsplit_once('.') else { return };
        if let State::Waiting { name, attributes, .. } = &mut *self.0.lock() {
            *name = format!("{service}/{method}");
            attributes.push(KeyValue::new("rpc.method", name.clone()));
        }
    }

    /// Starts the span, once. Its parent is the context of the call, without one that of the job. `None` if it is not sampled.
    pub(crate) fn start(&self, of_job: Option<&TraceContext>) -> Option<Context> {
        let mut state = self.0.lock();
        if let State::Waiting { spans, name, attributes, sent, begun } = &mut *state {
            let parent = sent.as_deref().filter(|sent| sent.parent().is_some()).or(of_job);
            let span = SpanBuilder::from_name(std::mem::take(name))
                .with_kind(SpanKind::Server)
                .with_start_time(*begun)
                .with_attributes(std::mem::take(attributes));
            let started = spans.start(span, &parent.map(context_of).unwrap_or_default());
            *state = State::Started(started);
        }
        match &*state {
            State::Started(span) => span.clone(),
            State::Waiting { .. } => None,
        }
    }
}
