//! Why a job that the server had is not there any more.

use std::time::Duration;

use tokio::time::Instant;

use super::Client;
use super::error::{Error, ErrorKind, reason};
use crate::job::JobId;
use crate::proto::read;

/// The mode in which a restart loses every job.
const MEMORY: &str = "memory";
/// How often the server is asked for its uptime while the time that the answer takes leaves a doubt.
const ASKED_MAX: u32 = 3;

/// The error that says so if the job is gone because the server was started anew and keeps jobs in memory only.
pub(super) async fn explain(client: &Client, job_id: JobId, seen: Option<Instant>, error: Error) -> Error {
    let (true, Some(seen)) = (error.reason() == reason::JOB_NOT_FOUND, seen) else { return error };
    match restarted(client, seen, error.fact("boot_id")).await {
        None => error,
        Some(uptime) => {
            let message = format!(
                "job {job_id} is gone: the server at {} was started anew {uptime:.1?} ago and keeps jobs in memory \
                 only: submit it again",
                client.address()
            );
            Error::new(ErrorKind::NotFound, reason::SERVER_RESTARTED, message)
        }
    }
}

/// How long ago the server was started anew, if it was since it had the job, and forgot it thereby.
///
/// A job was there at `seen`: a server that has run for less than the time since then is another one. That time ends
/// before the server is asked, so that a slow answer is never taken for a restart; a restart that was faster than the
/// answers is missed.
async fn restarted(client: &Client, seen: Instant, boot_id: Option<&str>) -> Option<Duration> {
    for _ in 0..ASKED_MAX {
        let unseen = seen.elapsed();
        // Without an answer, what is known already is the better error.
        let info = client.server_info().await.ok()?;
        let uptime = read::duration(info.uptime?);
        // Behind one address may be several servers: only the one that missed the job can tell.
        if info.mode != MEMORY || Some(info.boot_id.as_str()) != boot_id || uptime >= seen.elapsed() {
            return None;
        }
        if uptime < unseen {
            return Some(uptime);
        }
    }
    None
}
