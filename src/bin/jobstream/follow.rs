//! Shows a job's events until it ends. The watch behind it resumes after lost connections by itself.

mod display;
mod lines;

use jobstream::client::Watch;
use jobstream::proto::v1::CancelRequest;
use jobstream::proto::v1::watch_result_response::Message;

use crate::connect::{Client, retry_line};
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::{self, Interrupts};
use crate::outcome::{self, JobResult};

pub(crate) use display::{EventDisplay, Stdout};
pub(crate) use lines::progress_line;

/// Shows a job's events and its outcome. An interrupt ends the command and not the job, unless `cancel_on_interrupt` lets
/// the first interrupt cancel the job.
///
/// # Errors
///
/// If the job is unknown or did not succeed, the server stays unavailable, or stdout cannot be written.
pub(crate) async fn follow(
    client: &Client,
    mut watch: Watch,
    cancel_on_interrupt: bool,
    display: &mut EventDisplay<'_>,
    interrupts: &mut Interrupts,
) -> Result<Exit> {
    let ended = to_the_end(client, &mut watch, cancel_on_interrupt, display, interrupts).await;
    display.finish()?;
    let (job_id, last) = (watch.job_id(), watch.last_sequence());
    let resume = format!("jobstream watch {job_id} --after-sequence {last}");
    match ended {
        Ok(Some(result)) if display.stdout == Stdout::Events => outcome::exit_code(&client.address, &result),
        Ok(Some(result)) => outcome::show(client, &result),
        Ok(None) => Ok(interrupt::detached(client, job_id, &resume)),
        Err(error) => Err(client.resumable(error, &resume)),
    }
}

/// Shows events up to the end of the job; `None` if an interrupt came first.
async fn to_the_end(
    client: &Client,
    watch: &mut Watch,
    mut cancel_on_interrupt: bool,
    display: &mut EventDisplay<'_>,
    interrupts: &mut Interrupts,
) -> Result<Option<JobResult>> {
    let mut retries = client.api.retries();
    loop {
        tokio::select! {
            message = watch.next_message() => {
                let Some(message) = message else { return Ok(None) };
                let message = message.map_err(|error| client.error(&error))?;
                display.message(&message)?;
                if let Some(result) = end_of(watch, &message) {
                    return Ok(Some(result));
                }
            }
            Ok(()) = retries.changed() => {
                let line = retries.borrow_and_update().as_ref().map(retry_line);
                display.notice(&line.unwrap_or_default())?;
            }
            () = interrupts.next() => {
                if !cancel_on_interrupt {
                    return Ok(None);
                }
                cancel_on_interrupt = false;
                display.finish()?;
                client.output.report("interrupted: cancelling the job; interrupt again to leave it");
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
