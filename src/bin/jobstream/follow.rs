//! Shows a job's events until it ends. The watch behind it resumes after lost connections by itself.

mod lines;
mod show;

use jobstream::client::Watch;
use jobstream::proto::v1::CancelRequest;
use jobstream::proto::v1::watch_result_response::Message;

use crate::connect::{Client, retry_line};
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::{self, Interrupts};
use crate::outcome::JobResult;

pub(crate) use lines::progress_line;
pub(crate) use show::{Show, Stdout};

/// How following a job ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The job ended.
    Ended(JobResult),
    /// An interrupt came first and was reported.
    Left(Exit),
}

/// Shows a job's events until it ends or an interrupt comes. `cancel_on_interrupt` lets the first interrupt cancel the
/// job instead.
///
/// # Errors
///
/// If the job is unknown, the server stays away, or stdout cannot be written.
pub(crate) async fn follow(
    client: &Client,
    mut watch: Watch,
    cancel_on_interrupt: bool,
    show: &mut Show<'_>,
    interrupts: &mut Interrupts,
) -> Result<Followed> {
    let ended = to_the_end(client, &mut watch, cancel_on_interrupt, show, interrupts).await;
    show.finish()?;
    let (job_id, last) = (watch.job_id(), watch.last_sequence());
    let resume = format!("jobstream watch {job_id} --after-sequence {last}");
    match ended {
        Ok(Some(result)) => Ok(Followed::Ended(result)),
        Ok(None) => Ok(Followed::Left(interrupt::detached(client, job_id, &resume))),
        Err(error) => Err(client.resumable(error, &resume)),
    }
}

/// Shows events up to the end of the job; `None` if an interrupt came first.
async fn to_the_end(
    client: &Client,
    watch: &mut Watch,
    mut cancel_on_interrupt: bool,
    show: &mut Show<'_>,
    interrupts: &mut Interrupts,
) -> Result<Option<JobResult>> {
    let mut retries = client.api.retries();
    loop {
        tokio::select! {
            message = watch.next_message() => {
                let Some(message) = message else { return Ok(None) };
                let message = message.map_err(|error| client.error(&error))?;
                show.message(&message)?;
                if let Some(result) = end_of(watch, &message) {
                    return Ok(Some(result));
                }
            }
            Ok(()) = retries.changed() => {
                let line = retries.borrow_and_update().as_ref().map(retry_line);
                show.notice(&line.unwrap_or_default())?;
            }
            () = interrupts.next() => {
                if !cancel_on_interrupt {
                    return Ok(None);
                }
                cancel_on_interrupt = false;
                show.finish()?;
                client.output.tell("interrupted: cancelling the job; interrupt again to leave it");
                let (job_id, reason) = (watch.job_id().to_string(), "interrupted".to_owned());
                client.call(client.api.rpc().cancel(CancelRequest { job_id, reason, grace: None })).await?;
            }
        }
    }
}

/// The end of the watched job, if this message is it.
pub(crate) fn end_of(watch: &Watch, message: &Message) -> Option<JobResult> {
    match message {
        Message::Event(event) => JobResult::at_end(watch.job_id(), event),
        Message::Gap(_) | Message::Heartbeat(_) => None,
    }
}
