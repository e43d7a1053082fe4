//! The gRPC services: decode, one call of the engine, encode. No rule of the service lives here.

mod admin_service;
mod call;
mod events;
mod fitting;
mod job_service;
mod malformed;
mod page_token;
mod submit_stream;
mod work_stream;
mod worker_service;

pub(crate) use call::ConnectionLimits;
pub use call::{ConnectionInfo, Deadline};

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::service::{LayerExt, Routes};
use tower::Layer;

use malformed::{NameRefusals, Named};

use crate::engine::{Engine, Submission};
use crate::error::Error;
use crate::proto::parse::ParseLimits;
use crate::proto::render::{self, Defaults};
use crate::proto::status::to_status;
use crate::proto::v1;
use crate::proto::v1::admin_service_server::AdminServiceServer;
use crate::proto::v1::job_service_server::JobServiceServer;
use crate::proto::v1::worker_service_server::WorkerServiceServer;

/// The part of a caller's time that is kept for the answer to arrive in: a tenth, but no less and no more than these.
const ANSWER_SHARE: u32 = 10;
const ANSWER_TIME_MIN: Duration = Duration::from_millis(20);
const ANSWER_TIME_MAX: Duration = Duration::from_millis(500);

/// When a call that may wait this long is to be answered, so that the answer comes before the caller's deadline.
fn answer_by(wait: Duration, deadline: Option<&Deadline>) -> Instant {
    let now = Instant::now();
    let until = now + wait;
    let Some(Deadline(deadline)) = deadline else { return until };
    let share = deadline.saturating_duration_since(now) / ANSWER_SHARE;
    until.min(*deadline - share.clamp(ANSWER_TIME_MIN, ANSWER_TIME_MAX))
}

/// What every service knows: the engine, and the bounds it parses by.
#[derive(Clone)]
pub(crate) struct Api {
    engine: Engine,
    limits: ParseLimits,
    defaults: Defaults,
    boot_id: Arc<str>,
    message_bytes_max: usize,
    connections: ConnectionLimits,
}

impl Api {
    fn new(engine: Engine, message_bytes_max: usize) -> Self {
        let options = engine.options().core.clone();
        let limits = ParseLimits { payload_bytes_max: options.payload_bytes_max };
        let defaults = Defaults { attempt_timeout: options.attempt_timeout, retention: options.retention };
        let boot_id = engine.boot_id().into();
        let connections = ConnectionLimits::default();
        Self { engine, limits, defaults, boot_id, message_bytes_max, connections }
    }

    /// The status of an error, for `map_err`.
    fn status(&self) -> impl Fn(Error) -> Status + '_ {
        |error| to_status(&error, &self.boot_id)
    }
}

impl Api {
    /// What survives what, as the API says it.
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
        }
    }
}

/// JobService, ready to be called.
pub(crate) type Jobs = Named<JobServiceServer<Api>>;

/// The services of an engine, which read messages of at most this many bytes: JobService, then the others.
pub(crate) fn services(
    engine: &Engine,
    message_bytes_max: usize,
    connections: ConnectionLimits,
) -> (Jobs, Routes) {
    let api = Api { connections, ..Api::new(engine.clone(), message_bytes_max) };
    let jobs = JobServiceServer::new(api.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(message_bytes_max);
    let workers = WorkerServiceServer::new(api.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(message_bytes_max);
    let admin = AdminServiceServer::new(api)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(message_bytes_max);
    let refusals = NameRefusals { message_bytes_max };
    let others = Routes::new(refusals.named_layer(workers)).add_service(refusals.named_layer(admin));
    (refusals.layer(jobs), others)
}

fn disposition(submission: &Submission) -> v1::Disposition {
    match submission.existing {
        true => v1::Disposition::Existing,
        false => v1::Disposition::Created,
    }
}
