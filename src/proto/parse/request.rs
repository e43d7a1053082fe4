//! Parsers of the JobService requests except Submit, and helpers that they share.

use std::time::Duration;

use super::spec::{map, new_job, optional_job_id};
use super::time::{self, GRACE, HEARTBEAT, LIFETIME, WAIT};
use super::{
    BATCH_JOBS_MAX, ENUM_ENTRIES_MAX, GRACE_DEFAULT, HEARTBEAT_DEFAULT, JOBS_PAGE_SIZE, LIFETIME_DEFAULT,
    PAGE_SIZE_MAX, PayloadSource, RESULT_WAIT_MAX, Violations, payload, required,
};
use crate::error::{Error, Result};
use crate::job::{
    ChangeFilter, EventTypes, FeedCursor, JobFilter, JobId, Kind, MESSAGE_BYTES_MAX, NewJob, Payload,
    QueueName, StateSet,
};
use crate::proto::{read, v1};

/// A parsed RunRequest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) job: NewJob,
    pub(crate) cancel_on_disconnect: bool,
    pub(crate) types: EventTypes,
    pub(crate) heartbeat: Duration,
}

/// A parsed GetResultRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GetResult {
    pub(crate) job_id: JobId,
    /// At most [`RESULT_WAIT_MAX`].
    pub(crate) wait: Duration,
}

/// A parsed WatchResultRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchResult {
    pub(crate) job_id: JobId,
    pub(crate) after_sequence: u32,
    pub(crate) types: EventTypes,
    pub(crate) heartbeat: Duration,
}

/// A parsed WatchJobsRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchJobs {
    pub(crate) filter: ChangeFilter,
    pub(crate) after: Option<FeedCursor>,
    pub(crate) heartbeat: Duration,
}

/// A parsed ListJobsRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListJobs {
    pub(crate) filter: JobFilter,
    /// 1 to [`PAGE_SIZE_MAX`].
    pub(crate) page_size: usize,
    /// Opaque here; module `api::grpc::page_token` decodes it.
    pub(crate) page_token: String,
    pub(crate) include_payloads: bool,
}

/// A parsed CancelRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cancel {
    pub(crate) job_id: JobId,
    pub(crate) reason: String,
    pub(crate) grace: Duration,
}

/// A parsed RetryRequest. A field that is `None` is copied from the finished job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Retry {
    pub(crate) job_id: JobId,
    pub(crate) new_job_id: Option<JobId>,
    pub(crate) payload: Option<Payload>,
    pub(crate) kind: Option<Kind>,
}

/// Parses a RunRequest.
///
/// # Errors
///
/// As [`new_job`], plus the violations of the other fields.
pub(crate) fn run(request: v1::RunRequest, payload_bytes_max: usize) -> Result<Run> {
    let mut found = Violations::default();
    let job = required("job", request.job)
        .and_then(|spec| new_job(spec, "job", PayloadSource::Alone, payload_bytes_max));
    let job = found.absorb(job);
    let types = found.absorb(event_types("types", &request.types));
    let heartbeat = found.absorb(heartbeat("heartbeat", request.heartbeat));
    found.finish(|| {
        let cancel_on_disconnect = request.cancel_on_disconnect;
        Some(Run { job: job?, cancel_on_disconnect, types: types?, heartbeat: heartbeat? })
    })
}

/// A parsed MintTokenRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MintToken {
    pub(crate) job_id: JobId,
    pub(crate) lifetime: Duration,
}

/// Parses a MintTokenRequest.
///
/// # Errors
///
/// `InvalidField` naming `job_id` or `lifetime`.
pub(crate) fn mint_token(request: &v1::MintTokenRequest) -> Result<MintToken> {
    let mut found = Violations::default();
    let job_id = found.absorb(JobId::parse("job_id", &request.job_id));
    let lifetime = found.check("lifetime", time::optional(request.lifetime, &LIFETIME));
    found.finish(|| Some(MintToken { job_id: job_id?, lifetime: lifetime?.unwrap_or(LIFETIME_DEFAULT) }))
}

/// Parses a GetResultRequest.
///
/// # Errors
///
/// `InvalidField` naming `job_id` or `wait`.
pub(crate) fn get_result(request: &v1::GetResultRequest) -> Result<GetResult> {
    let mut found = Violations::default();
    let job_id = found.absorb(JobId::parse("job_id", &request.job_id));
    let wait = found.check("wait", time::optional(request.wait, &WAIT));
    found.finish(|| Some(GetResult { job_id: job_id?, wait: wait?.unwrap_or_default().min(RESULT_WAIT_MAX) }))
}

/// Parses a WatchResultRequest.
///
/// # Errors
///
/// `InvalidField` naming `job_id`, `types` or `heartbeat`.
pub(crate) fn watch_result(request: &v1::WatchResultRequest) -> Result<WatchResult> {
    let mut found = Violations::default();
    let job_id = found.absorb(JobId::parse("job_id", &request.job_id));
    let types = found.absorb(event_types("types", &request.types));
    let heartbeat = found.absorb(heartbeat("heartbeat", request.heartbeat));
    found.finish(|| {
        let after_sequence = request.after_sequence;
        Some(WatchResult { job_id: job_id?, after_sequence, types: types?, heartbeat: heartbeat? })
    })
}

/// Parses a WatchJobsRequest.
///
/// # Errors
///
/// `InvalidField` with every field that is invalid.
pub(crate) fn watch_jobs(request: v1::WatchJobsRequest) -> Result<WatchJobs> {
    let mut found = Violations::default();
    let states = found.absorb(states("states", &request.states)).unwrap_or_default();
    let included = match v1::JobChanges::try_from(request.include) {
        Ok(v1::JobChanges::Unspecified | v1::JobChanges::States) => StateSet::ALL,
        Ok(v1::JobChanges::Outcomes) => StateSet::ENDED,
        Err(_) => {
            found.add("include", format!("{} is not the number of changes to include", request.include));
            StateSet::ALL
        }
    };
    let filter = ChangeFilter {
        states: states.and(included),
        kind: optional_kind("kind", &request.kind, &mut found),
        queue: optional_queue("queue", &request.queue, &mut found),
        labels: map("labels", request.labels, &mut found),
    };
    let after = match request.after_cursor.as_str() {
        "" => None,
        text => found.absorb(FeedCursor::parse("after_cursor", text)),
    };
    let heartbeat = found.absorb(heartbeat("heartbeat", request.heartbeat));
    found.finish(|| Some(WatchJobs { filter, after, heartbeat: heartbeat? }))
}

/// Parses a ListJobsRequest, except its page token.
///
/// # Errors
///
/// `InvalidField` with every filter that is invalid.
pub(crate) fn list_jobs(request: v1::ListJobsRequest) -> Result<ListJobs> {
    let mut found = Violations::default();
    let mut point = |field, wire: Option<prost_types::Timestamp>| {
        found.check(field, wire.map(time::timestamp).transpose()).flatten()
    };
    let created_from = point("create_time_from", request.create_time_from);
    let created_before = point("create_time_before", request.create_time_before);
    let filter = JobFilter {
        states: found.absorb(states("states", &request.states)).unwrap_or_default(),
        kind: optional_kind("kind", &request.kind, &mut found),
        queue: optional_queue("queue", &request.queue, &mut found),
        labels: map("labels", request.labels, &mut found),
        created_from,
        created_before,
    };
    let page_size = found.absorb(page_size(request.page_size, JOBS_PAGE_SIZE));
    let (page_token, include_payloads) = (request.page_token, request.include_payloads);
    found.finish(|| Some(ListJobs { filter, page_size: page_size?, page_token, include_payloads }))
}

/// Parses a CancelRequest.
///
/// # Errors
///
/// `InvalidField` naming `job_id`, `reason` or `grace`.
pub(crate) fn cancel(request: v1::CancelRequest) -> Result<Cancel> {
    let mut found = Violations::default();
    let job_id = found.absorb(JobId::parse("job_id", &request.job_id));
    if request.reason.len() > MESSAGE_BYTES_MAX {
        found.add("reason", format!("has {} bytes, the limit is {MESSAGE_BYTES_MAX}", request.reason.len()));
    }
    let grace = found.check("grace", time::optional(request.grace, &GRACE));
    found.finish(|| {
        Some(Cancel { job_id: job_id?, reason: request.reason, grace: grace?.unwrap_or(GRACE_DEFAULT) })
    })
}

/// Parses a RetryRequest.
///
/// # Errors
///
/// `PayloadTooLarge`, or `InvalidField` naming `job_id`, `new_job_id`, `payload` or `kind`.
pub(crate) fn retry(request: v1::RetryRequest, payload_bytes_max: usize) -> Result<Retry> {
    let mut found = Violations::default();
    let job_id = found.absorb(JobId::parse("job_id", &request.job_id));
    let new_job_id = optional_job_id("new_job_id", &request.new_job_id, &mut found);
    let payload = request
        .payload
        .map(|wire| payload(Some(wire), "payload", PayloadSource::Alone, payload_bytes_max))
        .transpose();
    let payload = found.absorb(payload).flatten();
    let kind = optional_kind("kind", &request.kind, &mut found);
    found.finish(|| Some(Retry { job_id: job_id?, new_job_id, payload, kind }))
}

/// Checks the size of a batch: 1 to [`BATCH_JOBS_MAX`] jobs.
///
/// # Errors
///
/// `InvalidField` naming `field`.
pub(crate) fn batch_size(field: &str, jobs: usize) -> Result<()> {
    match jobs {
        1..=BATCH_JOBS_MAX => Ok(()),
        _ => Err(Error::invalid(field, format!("has {jobs} jobs: allowed is 1 to {BATCH_JOBS_MAX}"))),
    }
}

/// Parses the event types of a watch. An empty list selects all types.
///
/// # Errors
///
/// `InvalidField` naming the first invalid entry, for example `types[2]`.
pub(super) fn event_types(field: &str, wire: &[i32]) -> Result<EventTypes> {
    if wire.is_empty() {
        return Ok(EventTypes::ALL);
    }
    let known = each_known(field, wire, "an event type", |number| match v1::EventType::try_from(number) {
        Ok(v1::EventType::Unspecified) | Err(_) => None,
        Ok(known) => Some(known),
    })?;
    Ok(known.into_iter().fold(EventTypes::NONE, |mut types, one| {
        match one {
            v1::EventType::Unspecified => {}
            v1::EventType::StateChange => types.state_change = true,
            v1::EventType::Progress => types.progress = true,
            v1::EventType::Output => types.output = true,
            v1::EventType::Log => types.log = true,
        }
        types
    }))
}

/// Parses the heartbeat interval of a watch: 1 s to 1 h, default 15 s.
///
/// # Errors
///
/// `InvalidField` naming `field`.
pub(super) fn heartbeat(field: &str, wire: Option<prost_types::Duration>) -> Result<Duration> {
    let parsed =
        time::optional(wire, &HEARTBEAT).map_err(|description| Error::invalid(field, description))?;
    Ok(parsed.unwrap_or(HEARTBEAT_DEFAULT))
}

/// Parses a page size: at most [`PAGE_SIZE_MAX`].
///
/// # Errors
///
/// `InvalidField` naming `page_size`.
pub(crate) fn page_size(wire: u32, default: u32) -> Result<usize> {
    match wire {
        0 => Ok(default as usize),
        1..=PAGE_SIZE_MAX => Ok(wire as usize),
        _ => Err(Error::invalid("page_size", format!("is {wire}, the limit is {PAGE_SIZE_MAX}"))),
    }
}

fn states(field: &str, wire: &[i32]) -> Result<StateSet> {
    if wire.is_empty() {
        return Ok(StateSet::ALL);
    }
    let known = |number| v1::JobState::try_from(number).ok().and_then(read::state);
    let known = each_known(field, wire, "a job state", known)?;
    Ok(known.into_iter().fold(StateSet::NONE, StateSet::with))
}

/// Parses a list of enum values. Only the first invalid entry is reported, since the list may be long.
fn each_known<T>(field: &str, wire: &[i32], what: &str, known: impl Fn(i32) -> Option<T>) -> Result<Vec<T>> {
    if wire.len() > ENUM_ENTRIES_MAX {
        let description =
            format!("has {} entries, the limit is {ENUM_ENTRIES_MAX}: name each once", wire.len());
        return Err(Error::invalid(field, description));
    }
    let Some(bad) = wire.iter().position(|number| known(*number).is_none()) else {
        return Ok(wire.iter().filter_map(|number| known(*number)).collect());
    };
    let more = wire[bad + 1..].iter().filter(|number| known(**number).is_none()).count();
    let mut description = format!("{} is not the number of {what}", wire[bad]);
    if more > 0 {
        description.push_str(&format!(" (and {more} more after it)"));
    }
    Err(Error::invalid(format!("{field}[{bad}]"), description))
}

pub(super) fn optional_kind(field: &str, text: &str, found: &mut Violations) -> Option<Kind> {
    match text {
        "" => None,
        _ => found.absorb(Kind::parse(field, text)),
    }
}

pub(super) fn optional_queue(field: &str, name: &str, found: &mut Violations) -> Option<QueueName> {
    match name {
        "" => None,
        name => found.absorb(QueueName::parse(field, name)),
    }
}
