//! Waits for the end of a job, on the stream that its submit opened or with GetResult, and shows it.

use std::future::pending;
use std::time::Duration;

use jobstream::client::{self, Watch};
use jobstream::job::JobId;
use jobstream::proto::v1::GetResultResponse;
use tokio::time;

use crate::connect::Client;
use crate::error::Result;
use crate::exit::Exit;
use crate::follow::end_of;
use crate::interrupt::{self, Interrupts};
use crate::outcome::{self, JobResult};
use crate::output::text;

/// Waits for the job's end, at most this long, and shows it. Leaves the job on an interrupt.
pub(crate) async fn wait_and_show(
    client: &Client,
    job_id: JobId,
    limit: Option<Duration>,
    interrupts: &mut Interrupts,
) -> Result<Exit> {
    let resume = resume_command(job_id);
    if client.output.stderr_is_terminal && !client.output.quiet {
        let now = get_result(client, job_id).await?;
        if now.outcome.is_none() {
            client.output.notice(&format!("waiting for job {job_id}: it is {}", state_and_reason(&now)));
        }
    }
    let answer = tokio::select! {
        answer = client.call(client.api.rpc().wait_result(job_id, limit)) => answer,
        () = interrupts.next() => return Ok(interrupt::detached(client, job_id, &resume)),
    };
    let answer = answer.map_err(|error| client.resumable(error, &resume))?;
    show_outcome_or_state(client, &JobResult { job_id, answer })
}

/// Waits on the stream that the job's submit opened, at most this long, and shows the job's end. Leaves the job on an
/// interrupt.
pub(crate) async fn wait_on_stream(
    client: &Client,
    mut watch: Watch,
    limit: Option<Duration>,
    interrupts: &mut Interrupts,
) -> Result<Exit> {
    let job_id = watch.job_id();
    let resume = resume_command(job_id);
    let limit = async {
        match limit {
            Some(limit) => time::sleep(limit).await,
            None => pending().await,
        }
    };
    let ended = tokio::select! {
        ended = client.call(end_on_stream(&mut watch)) => ended,
        () = limit => Ok(None),
        () = interrupts.next() => return Ok(interrupt::detached(client, job_id, &resume)),
    };
    let result = match ended.map_err(|error| client.resumable(error, &resume))? {
        Some(result) => with_expire_time(client, result).await,
        None => JobResult { job_id, answer: get_result(client, job_id).await? },
    };
    show_outcome_or_state(client, &result)
}

async fn end_on_stream(watch: &mut Watch) -> client::Result<Option<JobResult>> {
    while let Some(message) = watch.next_message().await {
        if let Some(result) = end_of(watch, &message?) {
            return Ok(Some(result));
        }
    }
    Ok(None)
}

/// Where the job is now.
pub(crate) async fn get_result(client: &Client, job_id: JobId) -> Result<GetResultResponse> {
    client.call(client.api.rpc().get_result(job_id)).await
}

/// The end as GetResult answers it, if it still does: no event has the time of removal, and only JSON shows it.
async fn with_expire_time(client: &Client, end: JobResult) -> JobResult {
    if !client.output.format.is_json() {
        return end;
    }
    match client.api.rpc().get_result(end.job_id).await {
        Ok(answer) if answer.outcome.is_some() => JobResult { answer, ..end },
        _ => end,
    }
}

/// Shows the job's end; or that it has not ended, and how to wait for it again.
pub(crate) fn show_outcome_or_state(client: &Client, result: &JobResult) -> Result<Exit> {
    let exit = outcome::show(client, result)?;
    if !result.has_ended() {
        let state = state_and_reason(&result.answer);
        client.output.report(&format!("job {} has not ended: it is {state}", result.job_id));
        let (resume, again) = (resume_command(result.job_id), client.address.as_flag());
        client.output.help(&format!("resume with `{resume}{again}`"));
    }
    Ok(exit)
}

/// `QUEUED (NO_WORKER)`.
fn state_and_reason(answer: &GetResultResponse) -> String {
    match (text::state(answer.state()), text::wait_reason(answer.wait_reason())) {
        (state, "") => state.to_owned(),
        (state, reason) => format!("{state} ({reason})"),
    }
}

fn resume_command(job_id: JobId) -> String {
    format!("jobstream result {job_id} --wait")
}
