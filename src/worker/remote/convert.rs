//! The worker protocol's messages to and from what the desk and the ledger work with.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{
    Assignment, AttemptEnd, AttemptUpdate, Failure, FailureReason, JobId, JobOptions, LeaseId, Payload,
    Report,
};
use crate::proto::parse::{DURATION_MAX, ParseLimits, PayloadSource, payload};
use crate::proto::v1::attempt_report;
use crate::proto::{render, v1};

/// Bytes that a report takes beside what it carries, in memory and on the wire.
const REPORT_BYTES: usize = 192;

impl AttemptUpdate {
    /// Bytes on the wire, at most.
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

/// An update as a message.
pub(super) fn report(lease: LeaseId, report_sequence: u64, update: &AttemptUpdate) -> v1::AttemptReport {
    use attempt_report::News as Wire;
    let news = match update {
        AttemptUpdate::Report(Report::Progress(progress)) => Wire::Progress(render::progress(progress)),
        AttemptUpdate::Report(Report::Output(output)) => Wire::Output(render::output(output)),
        AttemptUpdate::Report(Report::Log(log)) => Wire::Log(render::log(log)),
        AttemptUpdate::End(AttemptEnd::Success(result)) => {
            Wire::Complete(v1::AttemptComplete { result: Some(render::payload(result)) })
        }
        AttemptUpdate::End(AttemptEnd::Failure(failure, retry_after)) => Wire::Fail(v1::AttemptFail {
            failure: Some(render::failure(failure)),
            retry_after: retry_after.map(delay),
        }),
        AttemptUpdate::End(AttemptEnd::Release(pause)) => {
            Wire::Release(v1::AttemptRelease { delay: Some(delay(*pause)) })
        }
        AttemptUpdate::End(AttemptEnd::Cancelled) => Wire::Stopped(v1::AttemptStopped {}),
    };
    v1::AttemptReport { lease_id: lease.to_string(), report_sequence, news: Some(news) }
}

fn delay(pause: Duration) -> prost_types::Duration {
    render::duration(pause.min(DURATION_MAX))
}

/// A span from the server; one that is unset or negative is zero, one that is very long is cut.
pub(super) fn span(wire: Option<prost_types::Duration>) -> Duration {
    wire.and_then(|wire| Duration::try_from(wire).ok()).unwrap_or_default().min(DURATION_MAX)
}

/// An assignment as the desk takes it, or the end it has because it cannot be read.
///
/// # Errors
///
/// A text for the log if it has no lease to report about.
pub(super) fn assignment(
    wire: v1::Assignment,
    kind: Option<&Arc<str>>,
    queue: &mut Arc<str>,
) -> Result<Result<Assignment, (LeaseId, AttemptEnd)>, String> {
    let Some(lease) = LeaseId::parse(&wire.lease_id) else {
        return Err(format!("an assignment has the lease {:?}, which is none", wire.lease_id));
    };
    let job_id = match JobId::parse("job_id", &wire.job_id) {
        Ok(job_id) => job_id,
        Err(error) => return Ok(Err((lease, unreadable(error.message())))),
    };
    let limits = ParseLimits { payload_bytes_max: usize::MAX };
    let payload = match payload(wire.payload, "payload", PayloadSource::Shared, &limits) {
        Ok(payload) => payload,
        Err(error) => return Ok(Err((lease, unreadable(error.message())))),
    };
    if **queue != *wire.queue {
        *queue = wire.queue.into();
    }
    let options = (!wire.headers.is_empty() || !wire.labels.is_empty()).then(|| {
        let (headers, labels) = (wire.headers.into_iter().collect(), wire.labels.into_iter().collect());
        Arc::new(JobOptions { headers, labels, ..JobOptions::default() })
    });
    Ok(Ok(Assignment {
        job_id,
        lease,
        attempt: wire.attempt,
        kind: kind.cloned().unwrap_or_else(|| wire.kind.into()),
        queue: queue.clone(),
        payload,
        options,
        time_left: wire.time_left.map_or(DURATION_MAX, |time_left| span(Some(time_left))),
    }))
}

fn unreadable(why: &str) -> AttemptEnd {
    AttemptEnd::Failure(
        Failure::new(FailureReason::BadPayload, format!("the worker cannot read it: {why}")),
        None,
    )
}
