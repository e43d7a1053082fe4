//! Converts protocol messages to assignments, and reports to protocol messages.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{
    Assignment, AttemptEnd, AttemptUpdate, Failure, FailureReason, JobId, JobOptions, LeaseId, Payload,
    Report, TraceContext,
};
use crate::proto::parse::{DURATION_MAX, PayloadSource, payload};
use crate::proto::v1::attempt_report;
use crate::proto::{render, v1};

/// Bytes of a report without its contents, in memory and encoded.
const REPORT_BYTES: usize = 192;

impl AttemptUpdate {
    /// Upper bound of the encoded size.
    pub(super) fn bytes(&self) -> usize {
        let carried = match self {
            Self::Report(Report::Progress(progress)) => progress.unit.len() + progress.message.len(),
            Self::Report(Report::Output(output)) => output.channel.len() + payload_bytes(&output.payload),
            Self::Report(Report::Log(log)) => log.text.len(),
            Self::End(AttemptEnd::Success(result)) => payload_bytes(result),
            Self::End(AttemptEnd::Failure(failure, _)) => failure.bytes(true),
            Self::End(AttemptEnd::Cancelled | AttemptEnd::Release(_)) => 0,
        };
        REPORT_BYTES + carried
    }
}

fn payload_bytes(payload: &Payload) -> usize {
    payload.wire_bytes_max() + payload.explicit_content_type().map_or(0, str::len)
}

/// The message for a report.
pub(super) fn report(lease: LeaseId, report_sequence: u64, update: &AttemptUpdate) -> v1::AttemptReport {
    use attempt_report::News;
    let news = match update {
        AttemptUpdate::Report(Report::Progress(progress)) => News::Progress(render::progress(progress)),
        AttemptUpdate::Report(Report::Output(output)) => News::Output(render::output(output)),
        AttemptUpdate::Report(Report::Log(log)) => News::Log(render::log(log)),
        AttemptUpdate::End(AttemptEnd::Success(result)) => {
            News::Complete(v1::AttemptComplete { result: Some(render::payload(result)) })
        }
        AttemptUpdate::End(AttemptEnd::Failure(failure, retry_after)) => News::Fail(v1::AttemptFail {
            failure: Some(render::failure(failure)),
            retry_after: retry_after.map(delay),
        }),
        AttemptUpdate::End(AttemptEnd::Release(after)) => {
            News::Release(v1::AttemptRelease { delay: Some(delay(*after)) })
        }
        AttemptUpdate::End(AttemptEnd::Cancelled) => News::Stopped(v1::AttemptStopped {}),
    };
    v1::AttemptReport { lease_id: lease.to_string(), report_sequence, news: Some(news) }
}

fn delay(delay: Duration) -> prost_types::Duration {
    render::duration(delay.min(DURATION_MAX))
}

/// A duration from the server: at most [`DURATION_MAX`], and zero if it is unset or negative.
pub(super) fn span(message: Option<prost_types::Duration>) -> Duration {
    message.and_then(|span| Duration::try_from(span).ok()).unwrap_or_default().min(DURATION_MAX)
}

/// Parses an assignment. If it has a lease but is invalid otherwise, returns the failure that ends the attempt.
///
/// # Errors
///
/// A message if the lease id is invalid: no report can name the attempt.
pub(super) fn assignment(
    message: v1::Assignment,
    kind: Option<&Arc<str>>,
    queue: &mut Arc<str>,
) -> Result<Result<Assignment, (LeaseId, AttemptEnd)>, String> {
    let Some(lease) = LeaseId::parse(&message.lease_id) else {
        return Err(format!("the server sent an assignment with an invalid lease id {:?}", message.lease_id));
    };
    let job_id = match JobId::parse("job_id", &message.job_id) {
        Ok(job_id) => job_id,
        Err(error) => return Ok(Err((lease, invalid(error.message())))),
    };
    let payload = match payload(message.payload, "payload", PayloadSource::Shared, usize::MAX) {
        Ok(payload) => payload,
        Err(error) => return Ok(Err((lease, invalid(error.message())))),
    };
    if **queue != *message.queue {
        *queue = message.queue.into();
    }
    let trace = message.trace_context.and_then(trace_context);
    let is_plain = message.headers.is_empty() && message.labels.is_empty() && trace.is_none();
    let options = (!is_plain).then(|| {
        let (headers, labels) = (message.headers.into_iter().collect(), message.labels.into_iter().collect());
        Arc::new(JobOptions { headers, labels, trace, ..JobOptions::default() })
    });
    Ok(Ok(Assignment {
        job_id,
        lease,
        attempt: message.attempt,
        kind: kind.cloned().unwrap_or_else(|| message.kind.into()),
        queue: queue.clone(),
        payload,
        options,
        time_left: message.time_left.map_or(DURATION_MAX, |time_left| span(Some(time_left))),
    }))
}

/// The trace context of a job. What this version cannot read is ignored: no job fails for its trace.
fn trace_context(message: v1::TraceContext) -> Option<Arc<TraceContext>> {
    let v1::TraceContext { traceparent, tracestate, baggage } = message;
    TraceContext::of_headers(Some(&traceparent), Some(&tracestate), Some(&baggage)).map(Arc::new)
}

fn invalid(problem: &str) -> AttemptEnd {
    let message = format!("the worker cannot read the assignment: {problem}");
    AttemptEnd::Failure(Failure::new(FailureReason::BadPayload, message), None)
}
