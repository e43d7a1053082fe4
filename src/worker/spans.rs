//! The spans of OpenTelemetry of an attempt: around its handler, and until the server has recorded its end.

use opentelemetry::trace::{FutureExt, SpanBuilder, SpanKind, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use super::{HandlerInterceptor, JobContext, JobError, NextHandler};
use crate::client::spans::{carried_by, context_of, fail, fail_with, link_to, message};
use crate::client::{BoxFuture, Spans};
use crate::job::{AttemptEnd, Payload};

/// The type of error of an attempt that ended without a result of its handler.
const ENDED_BY_FORCE: &str = "ENDED_BY_FORCE";
const PANIC: &str = "PANIC";

impl HandlerInterceptor for Spans {
    /// The span is `process {queue}`, with a link to the span that submitted the job. The first attempt is also its child; a later
    /// one begins a trace. The handler runs in the span: its own spans are children, and it passes the context on. Its child
    /// `settle {queue}` begins when it ends, and ends when the server has recorded the end of the attempt.
    fn run<'a>(
        &'a self,
        context: JobContext,
        next: NextHandler<'a>,
    ) -> BoxFuture<'a, Result<Payload, JobError>> {
        let submitter = context.trace_context().map(context_of);
        let Some(span) = self.process(&context, submitter.as_ref()) else {
            return match submitter {
                // The spans of the handler are not sampled either.
                Some(submitter) => Box::pin(next.run(context).with_context(submitter)),
                None => next.run(context),
            };
        };
        let context = match carried_by(&span) {
            Some(trace) => context.with_trace_context(trace),
            None => context,
        };
        let ending = Ending { spans: self.clone(), attempt: context.clone(), span: Some(span.clone()) };
        Box::pin(async move {
            let result = next.run(context).with_context(span).await;
            ending.end(&result);
            result
        })
    }
}

impl Spans {
    fn process(&self, context: &JobContext, submitter: Option<&Context>) -> Option<Context> {
        let links = context.trace_context().and_then(link_to).into_iter().collect();
        let span = SpanBuilder::from_name(format!("process {}", context.queue()))
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes_of(context, "process"))
            .with_links(links);
        let new_trace = Context::new();
        self.start(span, submitter.filter(|_| context.attempt() == 1).unwrap_or(&new_trace))
    }

    /// Makes the span from now until the end of the attempt is recorded, if that of the handler is sampled.
    fn settle(&self, context: &JobContext, process: &Context) {
        if !process.span().span_context().is_sampled() {
            return;
        }
        let span = SpanBuilder::from_name(format!("settle {}", context.queue()))
            .with_kind(SpanKind::Client)
            .with_attributes(attributes_of(context, "settle"));
        let span = self.start_child(span, process);
        context.on_settled(move |settled| {
            if let Err(error) = settled {
                fail_with(&span, &error);
            }
            span.span().end();
        });
    }
}

fn attributes_of(context: &JobContext, operation: &'static str) -> Vec<KeyValue> {
    let mut attributes = message(context.queue(), context.kind(), operation, operation);
    attributes.push(KeyValue::new("messaging.message.id", context.job_id().to_string()));
    attributes.push(KeyValue::new("jobstream.job.attempt", i64::from(context.attempt())));
    attributes
}

/// Ends the span, also if the attempt is dropped or panics, and begins the next one.
struct Ending {
    spans: Spans,
    attempt: JobContext,
    span: Option<Context>,
}

impl Ending {
    fn end(mut self, result: &Result<Payload, JobError>) {
        let Some(span) = self.span.take() else { return };
        if let Err(error) = result
            && let AttemptEnd::Failure(failure, _) = error.clone().into_end()
        {
            let named =
                if failure.error_type.is_empty() { failure.reason.name() } else { &failure.error_type };
            fail(&span, named, failure.log_message());
        }
        span.span().end();
        self.spans.settle(&self.attempt, &span);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            let error_type = if std::thread::panicking() { PANIC } else { ENDED_BY_FORCE };
            fail(&span, error_type, "the handler did not return");
            span.span().end();
            self.spans.settle(&self.attempt, &span);
        }
    }
}
