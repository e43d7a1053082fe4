//! Waits for the end of a job across lost connections: on the stream that its submit opened, or with GetResult's long poll.

use std::time::Duration;

use clap::Args;
use jobstream::proto::v1::GetResultRequest;
use tokio::time::{self, Instant};
use tonic::{Code, Status};

use crate::connect::{Backoff, Client, pause_line};
use crate::error::{self, Cause, Result};
use crate::exit::Exit;
use crate::follow::{FollowOptions, News, Run, Watch, end_of};
use crate::interrupt::{self, Interrupts};
use crate::outcome::{self, Standing};
use crate::output::text;
use crate::units;

/// How long the server is asked to hold one call. Proxies cut calls that are silent for a minute.
const POLL: Duration = Duration::from_secs(30);

/// A server that answers early, because it drains or has too many waiters, is not asked again before this.
const POLL_AGAIN: Duration = Duration::from_millis(250);

/// Flags of commands that hold on to a job.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PatienceArgs {
    /// How long to look for a lost server; 0 gives up at once
    #[arg(long, value_name = "SPAN", value_parser = units::duration, default_value = "1m")]
    #[arg(env = "JOBSTREAM_RECONNECT", hide_env_values = true)]
    pub(crate) reconnect: Duration,
}

/// Waits for the job's end, at most this long, and shows it. Detaches on an interrupt.
pub(crate) async fn wait_and_conclude(
    client: &Client,
    job_id: &str,
    limit: Option<Duration>,
    patience: Duration,
    interrupts: &mut Interrupts,
) -> Result<Exit> {
    let come_back = format!("jobstream result {job_id} --wait");
    let standing = tokio::select! {
        standing = wait(client, job_id, limit, patience) => standing?,
        () = interrupts.next() => return Ok(interrupt::detached(client, job_id, &come_back)),
    };
    conclude_or_leave(client, &standing)
}

/// Waits on the stream that the job's submit opened, at most this long, and shows the job's end. Detaches on an interrupt.
pub(crate) async fn wait_on_stream(
    client: &Client,
    run: Run,
    limit: Option<Duration>,
    patience: Duration,
    interrupts: &mut Interrupts,
) -> Result<Exit> {
    let job_id = run.answer.job_id;
    let options = FollowOptions {
        job_id: job_id.clone(),
        after_sequence: 0,
        patience,
        end_only: true,
        cancel_on_interrupt: false,
    };
    let mut watch = Watch::new(client, &options, Some(run.messages));
    let deadline = limit.map(|limit| Instant::now() + limit);
    let over = async {
        match deadline {
            Some(deadline) => time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        standing = end_on_stream(client, &mut watch, &job_id) => Some(standing?),
        () = over => None,
        () = interrupts.next() => return Ok(interrupt::detached(client, &job_id, &watch.come_back())),
    };
    let standing = match ended {
        Some(standing) => with_expire_time(client, standing).await,
        None => poll(client, &job_id, Duration::ZERO).await.map_err(|status| client.error(&status))?,
    };
    conclude_or_leave(client, &standing)
}

async fn end_on_stream(client: &Client, watch: &mut Watch<'_>, job_id: &str) -> Result<Standing> {
    loop {
        match watch.next().await? {
            News::Lost(line) => client.output.notice(&line),
            news => {
                if let Some(standing) = end_of(job_id, news) {
                    return Ok(standing);
                }
            }
        }
    }
}

/// The end as GetResult tells it, if it still does: only that call has the time of removal, which only JSON shows.
async fn with_expire_time(client: &Client, end: Standing) -> Standing {
    if !client.output.format.is_json() {
        return end;
    }
    match poll(client, &end.job_id, Duration::ZERO).await {
        Ok(standing) if standing.has_ended() => standing,
        _ => end,
    }
}

/// Shows the job's end; or tells that it has not ended, and how to come back.
pub(crate) fn conclude_or_leave(client: &Client, standing: &Standing) -> Result<Exit> {
    let exit = outcome::conclude(&client.output, standing)?;
    if !standing.has_ended() {
        let state = text::state(standing.state);
        let why = match text::wait_reason(standing.wait_reason) {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        client.output.tell(&format!("job {} has not ended: it is {state}{why}", standing.job_id));
        let again = client.address.again();
        client.output.help(&format!("come back with `jobstream result {} --wait{again}`", standing.job_id));
    }
    Ok(exit)
}

/// Where the job is once it ended or the limit passed.
///
/// # Errors
///
/// If the job is unknown, or the server stays away for longer than `patience`.
async fn wait(
    client: &Client,
    job_id: &str,
    limit: Option<Duration>,
    patience: Duration,
) -> Result<Standing> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let left =
        || deadline.map_or(POLL, |deadline| deadline.saturating_duration_since(Instant::now()).min(POLL));
    let mut lost_since = None;
    let mut backoff = Backoff::new();
    loop {
        let asked = left();
        let started = Instant::now();
        match poll(client, job_id, asked).await {
            Ok(standing) if standing.has_ended() || left().is_zero() => return Ok(standing),
            Ok(_) => {
                (lost_since, backoff) = (None, Backoff::new());
                if started.elapsed() < asked.min(POLL_AGAIN) {
                    time::sleep(POLL_AGAIN.min(left())).await;
                }
            }
            Err(status) => {
                let since = *lost_since.get_or_insert(started);
                let pause = backoff.pause(error::retry_delay(&status));
                if !may_come_back(&status) || since.elapsed() + pause > patience {
                    return Err(client.error(&status));
                }
                client.output.notice(&pause_line(&status, pause));
                time::sleep(pause).await;
            }
        }
    }
}

async fn poll(client: &Client, job_id: &str, wait: Duration) -> Result<Standing, Status> {
    let wait_proto = units::to_proto(wait).map_err(Status::invalid_argument)?;
    let request = GetResultRequest { job_id: job_id.to_owned(), wait: Some(wait_proto) };
    let call = async |request| client.jobs().get_result(request).await;
    let answer = client.once(request, wait + client.timeout, call).await?;
    Ok(Standing::new(job_id, answer))
}

/// Whether holding on to a job after this error makes sense: its end can still be learned later.
pub(crate) fn may_come_back(status: &Status) -> bool {
    match error::cause(status) {
        Cause::Server(_) => {
            matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::Aborted)
        }
        Cause::Transport => true,
        Cause::Peer => matches!(
            status.code(),
            Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal | Code::Aborted
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    #[test]
    fn only_an_error_that_may_pass_is_waited_out() {
        let ours = |code, reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "jobstream", HashMap::new());
            Status::with_error_details(code, "", details)
        };
        assert!(may_come_back(&ours(Code::Unavailable, "DRAINING")));
        assert!(may_come_back(&ours(Code::ResourceExhausted, "TOO_MANY_WATCHERS")));
        assert!(may_come_back(&Status::unknown("proxy")));
        assert!(may_come_back(&Status::deadline_exceeded("")));
        assert!(!may_come_back(&ours(Code::NotFound, "JOB_NOT_FOUND")));
        assert!(!may_come_back(&ours(Code::Internal, "INTERNAL")));
        assert!(!may_come_back(&Status::unimplemented("")));
    }
}
