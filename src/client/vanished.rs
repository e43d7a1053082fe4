//! Why a job that the server had is not there any more.

use tokio::time::Instant;

use super::Client;
use super::error::{Error, ErrorKind, reason};
use crate::job::JobId;
use crate::proto::read;

/// The error that says so if the job is gone because the server was started anew and keeps jobs in memory only.
///
/// A job was there at `seen`; a server that has not run for as long is another one.
pub(super) async fn explain(client: &Client, job_id: JobId, seen: Option<Instant>, error: Error) -> Error {
    let (true, Some(seen)) = (error.reason() == reason::JOB_NOT_FOUND, seen) else { return error };
    // Without an answer the error that is known already is the better one.
    let Ok(info) = client.server_info().await else { return error };
    let uptime = info.uptime.map(read::duration).unwrap_or_default();
    // Behind one address may be several servers: only the one that missed the job can tell.
    let is_same_server = error.fact("boot_id") == Some(&info.boot_id);
    if !is_same_server || info.mode != MEMORY || seen.elapsed() <= uptime {
        return error;
    }
    let message = format!(
        "job {job_id} is gone: the server at {} was started anew {uptime:.1?} ago and keeps jobs in memory only: \
         submit it again",
        client.address()
    );
    Error::new(ErrorKind::NotFound, reason::SERVER_RESTARTED, message)
}

/// The mode in which a restart loses every job.
const MEMORY: &str = "memory";
