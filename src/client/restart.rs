//! Checks whether a job is missing because its server restarted.

use std::time::Duration;

use tokio::time::Instant;

use super::Client;
use super::error::{Error, ErrorKind, reason};
use crate::job::JobId;
use crate::proto::read;

/// The mode in which a restart loses every job.
const MEMORY: &str = "memory";
/// How often the server's uptime is requested while the duration of the request leaves the result open.
const REQUESTS_MAX: u32 = 3;

/// SERVER_RESTARTED instead of JOB_NOT_FOUND, if a server in memory mode restarted since it had the job.
pub(super) async fn explain(client: &Client, job_id: JobId, seen: Option<Instant>, error: Error) -> Error {
    let (true, Some(seen)) = (error.reason() == reason::JOB_NOT_FOUND, seen) else { return error };
    match restarted(client, seen, error.fact("boot_id")).await {
        None => error,
        Some(uptime) => {
            let message = format!(
                "job {job_id} is gone: the server at {} restarted {uptime:.1?} ago and stores jobs in memory \
                 only: submit it again",
                client.address()
            );
            Error::new(ErrorKind::NotFound, reason::SERVER_RESTARTED, message)
        }
    }
}

/// How long ago the server restarted, if it is in memory mode and restarted since `seen`.
///
/// The job existed at `seen`, so a server with a shorter uptime than the time since then has restarted. That time is taken
/// before the request, so that a slow response is not taken for a restart; a restart faster than the response is missed.
async fn restarted(client: &Client, seen: Instant, boot_id: Option<&str>) -> Option<Duration> {
    for _ in 0..REQUESTS_MAX {
        let unseen = seen.elapsed();
        // If this call fails too, the original error is the better one.
        let info = client.server_info().await.ok()?;
        let uptime = read::duration(info.uptime?);
        // One address may lead to several servers: only the one that did not find the job counts.
        if info.mode != MEMORY || Some(info.boot_id.as_str()) != boot_id || uptime >= seen.elapsed() {
            return None;
        }
        if uptime < unseen {
            return Some(uptime);
        }
    }
    None
}
