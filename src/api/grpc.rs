//! The gRPC services. Each method parses its request, calls the engine once and converts the result.

mod access;
mod access_service;
mod admin_service;
mod audit;
mod bounded_list;
mod call;
mod call_log;
mod call_meter;
mod call_trace;
mod early_end;
mod error_details;
mod events;
mod feed;
mod idle;
mod job_service;
mod log_level;
mod page_token;
mod quota_use;
mod submit_stream;
#[cfg(test)]
mod tests;
mod work_stream;
mod worker_service;

pub(super) use access::Access;
pub(crate) use call::ConnectionLimits;
pub(super) use call::principal_name;
pub use call::{ClientCertificate, ConnectionInfo, Deadline};
pub(crate) use call_log::{Call, CallLog, LoggedCaller, code_name};
pub(crate) use call_meter::{CallMeter, CallTimer};
pub(crate) use error_details::add_details_to_response;
pub use log_level::LogLevelControl;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use quota_use::QuotaUse;

use crate::access::{SharedTokenKeys, TokenKeys};
use crate::engine::{Engine, Submission};
use crate::error::Error;
use crate::proto::render::{self, Defaults};
use crate::proto::status::to_status;
use crate::proto::v1;
use crate::proto::v1::access_service_server::AccessServiceServer;
use crate::proto::v1::admin_service_server::AdminServiceServer;
use crate::proto::v1::job_service_server::JobServiceServer;
use crate::proto::v1::worker_service_server::WorkerServiceServer;

/// The share of a caller's timeout that is reserved for the response to arrive: a tenth, within these limits.
const RESPONSE_TIME_SHARE: u32 = 10;
const RESPONSE_TIME_MIN: Duration = Duration::from_millis(20);
const RESPONSE_TIME_MAX: Duration = Duration::from_millis(500);

/// When a call that may wait for `wait` has to respond, so that the response arrives before the caller's deadline.
fn respond_by(wait: Duration, deadline: Option<&Deadline>) -> Instant {
    let now = Instant::now();
    let until = now + wait;
    let Some(Deadline(deadline)) = deadline else { return until };
    let share = deadline.saturating_duration_since(now) / RESPONSE_TIME_SHARE;
    until.min(*deadline - share.clamp(RESPONSE_TIME_MIN, RESPONSE_TIME_MAX))
}

/// The implementation of all services: the engine, and the limits of requests.
#[derive(Clone)]
pub(crate) struct Api {
    engine: Engine,
    payload_bytes_max: usize,
    defaults: Defaults,
    boot_id: Arc<str>,
    message_bytes_max: usize,
    connections: ConnectionLimits,
    call_log: CallLog,
    token_keys: SharedTokenKeys,
    quota_use: QuotaUse,
    /// `None` if the level of the log is not known.
    log_level: Option<Arc<dyn LogLevelControl>>,
}

impl Api {
    /// The services of this engine. They read messages up to `message_bytes_max`.
    pub(crate) fn new(engine: Engine, message_bytes_max: usize, connections: ConnectionLimits) -> Self {
        let options = engine.options().core.clone();
        let defaults = Defaults { attempt_timeout: options.attempt_timeout, retention: options.retention };
        let boot_id = engine.boot_id().into();
        Self {
            engine,
            payload_bytes_max: options.payload_bytes_max,
            defaults,
            boot_id,
            message_bytes_max,
            connections,
            call_log: CallLog::default(),
            token_keys: SharedTokenKeys::new(TokenKeys::random()),
            quota_use: QuotaUse::default(),
            log_level: None,
        }
    }

    /// Reads and changes the level of the log with this control.
    pub(crate) fn with_log_level(self, log_level: Option<Arc<dyn LogLevelControl>>) -> Self {
        Self { log_level, ..self }
    }

    /// Mints tokens with these keys.
    pub(crate) fn with_token_keys(self, token_keys: SharedTokenKeys) -> Self {
        Self { token_keys, ..self }
    }

    /// The engine of the services.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The largest request that is read, in bytes.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// The log of refused calls.
    pub(crate) fn call_log(&self) -> &CallLog {
        &self.call_log
    }

    /// The status of an error, for `map_err`.
    pub(crate) fn status(&self) -> impl Fn(Error) -> Status + '_ {
        |error| to_status(&error, &self.boot_id)
    }

    /// The durability of acknowledged jobs.
    fn durability(&self) -> v1::Durability {
        match self.engine.is_durable() {
            true => v1::Durability::Disk,
            false => v1::Durability::Memory,
        }
    }

    fn submit_response(&self, submission: &Submission) -> v1::SubmitResponse {
        v1::SubmitResponse {
            job_id: submission.id.into(),
            disposition: disposition(submission).into(),
            state: render::state(submission.state).into(),
            durability: self.durability().into(),
            sequence: submission.sequence,
            wait_reason: render::wait_reason(submission.wait_reason).into(),
        }
    }
}

/// JobService.
pub(crate) type Jobs = JobServiceServer<Api>;

/// JobService, and the router of the other services.
pub(crate) fn services(api: &Api) -> (Jobs, Routes) {
    let message_bytes_max = api.message_bytes_max;
    let jobs = JobServiceServer::new(api.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(message_bytes_max);
    let workers = WorkerServiceServer::new(api.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(message_bytes_max);
    let admin = AdminServiceServer::new(api.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(message_bytes_max);
    let access = AccessServiceServer::new(api.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(message_bytes_max);
    (jobs, Routes::new(workers).add_service(admin).add_service(access))
}

fn disposition(submission: &Submission) -> v1::Disposition {
    match submission.existing {
        true => v1::Disposition::Existing,
        false => v1::Disposition::Created,
    }
}
