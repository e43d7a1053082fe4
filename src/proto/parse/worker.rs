//! Parsers of worker messages: the hello, the frames of a stream, and the unary requests.

use std::time::Duration;

use uuid::Uuid;

use super::time::{self, DELAY, DRAIN, WAIT};
use super::{PayloadSource, RESULT_WAIT_MAX, Violations, payload};
use crate::error::{Error, Result};
use crate::job::{
    AttemptEnd, AttemptReport, AttemptUpdate, Failure, FailureReason, Hello, Kind, LeaseId, Output, Peer,
    QueueName, Report, SessionSpec, WorkerFrame, quoted,
};
use crate::proto::read::{self, event};
use crate::proto::v1::attempt_report::News as Wire;
use crate::proto::{RESPONSE_BYTES_MAX, v1};

/// Version of the worker protocol.
pub(crate) const PROTOCOL_VERSION: u32 = 1;
/// Most slots of a worker.
pub(crate) const SLOTS_MAX: u32 = 100_000;
/// Most kinds, and most queues, of a worker.
pub(crate) const SERVED_MAX: usize = 1_000;
/// Most jobs of one Lease, and most reports and leases of one Report.
pub(crate) const UNARY_MAX: u32 = 1_000;
/// Default time for the running attempts of a drained worker.
const DRAIN_DEFAULT: Duration = Duration::from_secs(30);
const SDK_BYTES_MAX: usize = 128;
/// Largest message that a worker reads unless it states another limit, in bytes: the default of gRPC libraries.
const MESSAGE_BYTES_DEFAULT: usize = 4 << 20;
/// Smallest message limit of a worker, in bytes: several times the largest message without a payload.
pub(crate) const MESSAGE_BYTES_MIN: usize = 64 << 10;
/// Bytes of a message reserved for fields other than assignments: ping, drain, lease duration.
const OTHER_FIELDS_BYTES: usize = 64;

/// A parsed LeaseRequest.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) spec: SessionSpec,
    pub(crate) peer: Peer,
    pub(crate) wait: Duration,
    /// Identifies the request when it is repeated.
    pub(crate) request_id: Option<Uuid>,
}

/// A parsed report of the Report call: its lease, and its update or what is wrong with it.
type UnaryReport = (LeaseId, Result<AttemptUpdate>);

/// Parses a Hello.
///
/// # Errors
///
/// `InvalidField` with every invalid field.
pub(crate) fn hello(wire: v1::Hello, address: String) -> Result<Hello> {
    let mut found = Violations::default();
    if wire.protocol_version != PROTOCOL_VERSION {
        let (requested, supported) = (wire.protocol_version, PROTOCOL_VERSION);
        found.add("hello.protocol_version", format!("is {requested}, this server speaks {supported}"));
    }
    let instance = found.check("hello.instance_id", instance_id(&wire.instance_id));
    if wire.sdk.len() > SDK_BYTES_MAX {
        found.add("hello.sdk", format!("has {} bytes, the limit is {SDK_BYTES_MAX}", wire.sdk.len()));
    }
    let held = found.absorb(leases("hello.held_lease_ids", &wire.held_lease_ids));
    let spec = spec("hello.", &wire.name, &wire.kinds, &wire.queues, &mut found);
    let slots = found.check("hello.slots", slots(wire.slots));
    let peer = peer(wire.message_bytes_max, address);
    let peer = found.check("hello.message_bytes_max", peer);
    found.finish(|| {
        let spec = SessionSpec { slots: slots?, ..spec? };
        Some(Hello { instance: instance?, spec, peer: Peer { sdk: wire.sdk, ..peer? }, held: held? })
    })
}

/// Parses a message of a worker after its hello.
///
/// # Errors
///
/// `InvalidField` with every invalid field. An error in the content of a report is returned in that report.
pub(crate) fn frame(wire: v1::WorkRequest, payload_bytes_max: usize) -> Result<WorkerFrame> {
    let mut found = Violations::default();
    if wire.hello.is_some() {
        found.add("hello", "was sent before: it belongs in the first message only");
    }
    let slots = wire.slots.map(|wire| found.check("slots", slots(wire)));
    let renewed = wire.heartbeat.map(|heartbeat| leases("heartbeat.lease_ids", &heartbeat.lease_ids));
    let renewed = found.absorb(renewed.transpose());
    let accepted = found.absorb(leases("accepted_lease_ids", &wire.accepted_lease_ids));
    let source = if wire.reports.len() == 1 { PayloadSource::Alone } else { PayloadSource::Shared };
    let mut reports = Vec::with_capacity(wire.reports.len());
    for (index, report) in wire.reports.into_iter().enumerate() {
        let sequence = report.report_sequence;
        if sequence == 0 {
            found.add(format_args!("reports[{index}].report_sequence"), "is required: it begins with 1");
        }
        if let Some((lease, update)) = found.absorb(attempt_report(report, index, source, payload_bytes_max))
        {
            reports.push(AttemptReport { sequence, lease, update });
        }
    }
    found.finish(|| {
        let slots = slots.flatten();
        Some(WorkerFrame { slots, renewed: renewed?.unwrap_or_default(), accepted: accepted?, reports })
    })
}

/// Parses a LeaseRequest.
///
/// # Errors
///
/// `InvalidField` with every invalid field.
pub(crate) fn lease(wire: &v1::LeaseRequest, address: String) -> Result<Lease> {
    let mut found = Violations::default();
    let spec = spec("", &wire.name, &wire.kinds, &wire.queues, &mut found);
    if wire.max_jobs > UNARY_MAX {
        found.add("max_jobs", format!("is {}, the limit is {UNARY_MAX}", wire.max_jobs));
    }
    let wait = found.check("wait", time::optional(wire.wait, &WAIT));
    let peer = found.check("message_bytes_max", peer(wire.message_bytes_max, address));
    let request_id = found.check("request_id", request_id(&wire.request_id));
    found.finish(|| {
        let spec = SessionSpec { slots: wire.max_jobs.max(1), ..spec? };
        let wait = wait?.unwrap_or_default().min(RESULT_WAIT_MAX);
        Some(Lease { spec, peer: peer?, wait, request_id: request_id? })
    })
}

/// Parses a ReportRequest: its reports, and the leases to renew.
///
/// # Errors
///
/// `InvalidField` with every invalid field. An error in the content of a report is returned in that report.
pub(crate) fn reports(
    wire: v1::ReportRequest,
    payload_bytes_max: usize,
) -> Result<(Vec<UnaryReport>, Vec<LeaseId>)> {
    let mut found = Violations::default();
    for (field, count) in [("reports", wire.reports.len()), ("lease_ids", wire.lease_ids.len())] {
        if count > UNARY_MAX as usize {
            found.add(field, format!("has {count} entries, the limit is {UNARY_MAX}: send several requests"));
        }
    }
    let source = if wire.reports.len() == 1 { PayloadSource::Alone } else { PayloadSource::Shared };
    let mut reports = Vec::with_capacity(wire.reports.len());
    for (index, report) in wire.reports.into_iter().enumerate() {
        reports.extend(found.absorb(attempt_report(report, index, source, payload_bytes_max)));
    }
    let renewed = found.absorb(leases("lease_ids", &wire.lease_ids));
    found.finish(|| Some((reports, renewed?)))
}

/// Parses a DrainWorkerRequest: the time for the running attempts of the worker.
///
/// # Errors
///
/// `InvalidField` naming `worker` or `within`.
pub(crate) fn drain_worker(wire: &v1::DrainWorkerRequest) -> Result<Duration> {
    let mut found = Violations::default();
    if wire.worker.is_empty() {
        found.add("worker", "is required: a worker_id or a name from ListWorkers");
    }
    let within = found.check("within", time::optional(wire.within, &DRAIN));
    found.finish(|| Some(within?.unwrap_or(DRAIN_DEFAULT)))
}

/// Parses the session spec of a Hello or a LeaseRequest, except its slots. `path` is the path of its fields.
fn spec(
    path: &str,
    name: &str,
    kind_names: &[String],
    queue_names: &[String],
    found: &mut Violations,
) -> Option<SessionSpec> {
    // The name has the syntax of a kind: both are shown in lists.
    found.absorb(Kind::parse(&format!("{path}name"), name));
    if kind_names.is_empty() {
        found.add(format_args!("{path}kinds"), "is required: name at least one kind");
    }
    for (field, count) in [("kinds", kind_names.len()), ("queues", queue_names.len())] {
        if count > SERVED_MAX {
            found.add(
                format_args!("{path}{field}"),
                format!("has {count} entries, the limit is {SERVED_MAX}"),
            );
            return None;
        }
    }
    let mut kinds = Vec::with_capacity(kind_names.len());
    for (index, kind) in kind_names.iter().enumerate() {
        kinds.extend(found.absorb(Kind::parse(&format!("{path}kinds[{index}]"), kind)));
    }
    let mut queues = Vec::with_capacity(queue_names.len());
    for (index, queue) in queue_names.iter().enumerate() {
        queues.extend(found.absorb(QueueName::parse(&format!("{path}queues[{index}]"), queue)));
    }
    let queues = (!queues.is_empty()).then_some(queues);
    Some(SessionSpec { name: name.to_owned(), kinds, queues, slots: 0 })
}

/// Parses the message limit of a worker.
fn peer(message_bytes_max: Option<u32>, address: String) -> Result<Peer, String> {
    let limit = message_bytes_max.map_or(MESSAGE_BYTES_DEFAULT, |limit| limit as usize);
    if limit < MESSAGE_BYTES_MIN {
        return Err(format!(
            "is {limit}, less than {MESSAGE_BYTES_MIN}: raise the worker's receive limit to that"
        ));
    }
    let assignment_bytes_max = limit - OTHER_FIELDS_BYTES;
    let response_bytes_max = limit.min(RESPONSE_BYTES_MAX) - OTHER_FIELDS_BYTES;
    Ok(Peer { address, assignment_bytes_max, response_bytes_max, ..Peer::default() })
}

fn instance_id(text: &str) -> Result<Uuid, String> {
    let id = Uuid::try_parse(text).ok().filter(|id| !id.is_nil());
    id.ok_or_else(|| format!("{} is not a UUID: send a new one for each start of the worker", quoted(text)))
}

/// Parses the id of a LeaseRequest; `None` if it is unset.
fn request_id(text: &str) -> Result<Option<Uuid>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let id = Uuid::try_parse(text).ok().filter(|id| !id.is_nil());
    let invalid = || format!("{} is not a UUID: send a new one for each request, or none", quoted(text));
    id.map(Some).ok_or_else(invalid)
}

fn slots(slots: u32) -> Result<u32, String> {
    match slots {
        0..=SLOTS_MAX => Ok(slots),
        _ => Err(format!("is {slots}, the limit is {SLOTS_MAX}")),
    }
}

fn leases(field: &str, texts: &[String]) -> Result<Vec<LeaseId>> {
    if texts.len() > SLOTS_MAX as usize {
        return Err(Error::invalid(field, format!("has {} entries, the limit is {SLOTS_MAX}", texts.len())));
    }
    let leases =
        texts.iter().enumerate().map(|(index, text)| lease_id(format_args!("{field}[{index}]"), text));
    leases.collect()
}

fn lease_id(field: impl std::fmt::Display, text: &str) -> Result<LeaseId> {
    LeaseId::parse(text)
        .ok_or_else(|| Error::invalid(field.to_string(), format!("{} is not a lease id", quoted(text))))
}

fn attempt_report(
    wire: v1::AttemptReport,
    index: usize,
    source: PayloadSource,
    payload_bytes_max: usize,
) -> Result<UnaryReport> {
    let lease = lease_id(format_args!("reports[{index}].lease_id"), &wire.lease_id)?;
    let news = wire.news.ok_or_else(|| Error::invalid(format!("reports[{index}].news"), "is required"))?;
    Ok((lease, parse_update(news, source, payload_bytes_max)))
}

fn parse_update(wire: Wire, source: PayloadSource, payload_bytes_max: usize) -> Result<AttemptUpdate> {
    Ok(match wire {
        Wire::Progress(wire) => AttemptUpdate::Report(Report::Progress(event::progress(wire))),
        Wire::Output(wire) => AttemptUpdate::Report(Report::Output(output(wire, source, payload_bytes_max)?)),
        Wire::Log(wire) => AttemptUpdate::Report(Report::Log(event::log(&wire))),
        Wire::Complete(wire) => AttemptUpdate::End(complete(wire, source)),
        Wire::Fail(wire) => AttemptUpdate::End(fail(wire, source)),
        Wire::Release(wire) => AttemptUpdate::End(AttemptEnd::Release(delay(wire.delay).unwrap_or_default())),
        Wire::Stopped(_) => AttemptUpdate::End(AttemptEnd::Cancelled),
    })
}

fn output(wire: v1::Output, source: PayloadSource, payload_bytes_max: usize) -> Result<Output> {
    let payload = payload(wire.payload, "output.payload", source, payload_bytes_max)?;
    Ok(Output { payload, channel: wire.channel.into() })
}

/// Parses a result. A malformed result ends the attempt with a failure, so that its slot is freed. The core checks the size.
fn complete(wire: v1::AttemptComplete, source: PayloadSource) -> AttemptEnd {
    payload(wire.result, "result", source, usize::MAX).map_or_else(
        |error| {
            let message = format!("the worker's result is malformed: {error}");
            AttemptEnd::Failure(Failure::new(FailureReason::Handler, message).permanent(), None)
        },
        AttemptEnd::Success,
    )
}

fn fail(wire: v1::AttemptFail, source: PayloadSource) -> AttemptEnd {
    let retry_after = delay(wire.retry_after);
    let wire = wire.failure.unwrap_or_default();
    let reason = match read::failure_reason(wire.reason()) {
        // Only the server assigns these reasons.
        FailureReason::WorkerLost | FailureReason::Deadline => FailureReason::Handler,
        reason => reason,
    };
    let details = wire.details.and_then(|wire| payload(Some(wire), "details", source, usize::MAX).ok());
    let failure = Failure {
        error_type: wire.r#type,
        details,
        retryable: wire.retryable,
        ..Failure::new(reason, wire.message)
    };
    AttemptEnd::Failure(failure, retry_after)
}

/// Parses the delay of an attempt's end. An invalid delay is ignored.
fn delay(wire: Option<prost_types::Duration>) -> Option<Duration> {
    time::optional(wire, &DELAY).ok().flatten()
}
