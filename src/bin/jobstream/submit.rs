//! `jobstream submit`: gives a job to the server; on request waits for its end or watches it.

use std::time::Duration;

use clap::Args;
use jobstream::proto::v1::{Disposition, JobSpec, SubmitRequest, SubmitResponse};
use serde_json::json;

use crate::connect::{Client, ClientArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::follow::{FollowOptions, Followed, Run, Show, Stdout, begin, follow};
use crate::interrupt::{self, Interrupts};
use crate::outcome;
use crate::output::{Format, Voice, json, text};
use crate::spec::JobArgs;
use crate::units;
use crate::wait::{PatienceArgs, wait_on_stream};

const EXAMPLES: &str = "\
Prints the job's id; with --wait or --watch the result, and the exit code is
the job's outcome (see `jobstream --help`). JSON integers keep all digits.

Examples:
  jobstream submit demo.echo '{\"hi\": \"there\"}' --wait
  jobstream submit demo.count '{\"to\": 5}' --watch
  jobstream submit demo.echo @order.json --delay 5s --label team=web
  echo hello | jobstream submit demo.echo - --text --wait=30s";

/// Submit a job
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Submit {
    #[command(flatten)]
    job: JobArgs,
    /// Wait for the end, at most this long; print the result
    #[arg(long, value_name = "SPAN", value_parser = units::duration, help_heading = "Waiting")]
    #[arg(num_args = 0..=1, require_equals = true, conflicts_with = "watch")]
    wait: Option<Option<Duration>>,
    /// Show progress, output and logs as they come, then the result
    #[arg(long, help_heading = "Waiting")]
    watch: bool,
    /// Only check the job; nothing is kept
    #[arg(long, conflicts_with_all = ["wait", "watch"])]
    validate_only: bool,
    #[command(flatten, next_help_heading = "Waiting")]
    patience: PatienceArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl Submit {
    /// Runs the command.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit> {
        let spec = self.job.spec()?;
        let patience = self.patience.reconnect;
        let client = self.client.connect(voice).await?;
        if self.watch {
            let interrupts = interrupt::listen(Exit::Interrupted, None)?;
            return watch_to_end(&client, spec, patience, false, interrupts).await;
        }
        match self.wait {
            None => {
                let answer = submit(&client, spec, self.validate_only).await?;
                print_answer(&client, &answer)
            }
            Some(limit) => wait_for_end(&client, spec, limit, patience).await,
        }
    }
}

/// Submits the job, waits for its end at most this long, and shows it.
async fn wait_for_end(
    client: &Client,
    spec: JobSpec,
    limit: Option<Duration>,
    patience: Duration,
) -> Result<Exit> {
    let mut interrupts = interrupt::listen(Exit::Interrupted, None)?;
    let Some(run) = begin_or_leave(client, spec, true, &mut interrupts).await? else {
        return Ok(Exit::Interrupted);
    };
    wait_on_stream(client, run, limit, patience, &mut interrupts).await
}

/// Submits the job, watches it and shows its end.
///
/// # Errors
///
/// If it is refused, cannot be followed to its end, or did not succeed.
pub(crate) async fn watch_to_end(
    client: &Client,
    spec: JobSpec,
    patience: Duration,
    cancel_on_interrupt: bool,
    mut interrupts: Interrupts,
) -> Result<Exit> {
    let Some(Run { answer, messages }) = begin_or_leave(client, spec, false, &mut interrupts).await? else {
        return Ok(Exit::Interrupted);
    };
    let stdout = match client.output.format {
        Format::Table | Format::Tabs => Stdout::Chunks,
        Format::Json => Stdout::Nothing,
        Format::Jsonl => Stdout::Events,
    };
    if stdout == Stdout::Events {
        client.output.json_line(&json!({ "submitted": json::submitted(&answer) }))?;
    } else {
        client.output.notice(&format!("job {}", answer.job_id));
    }
    let options = FollowOptions {
        job_id: answer.job_id,
        after_sequence: 0,
        patience,
        end_only: false,
        cancel_on_interrupt,
    };
    let mut show = Show::new(&client.output, stdout);
    match follow(client, options, Some(messages), &mut show, &mut interrupts).await? {
        Followed::Left(exit) => Ok(exit),
        Followed::Ended(standing) if stdout == Stdout::Events => outcome::judge(&standing),
        Followed::Ended(standing) => outcome::conclude(&client.output, &standing),
    }
}

/// Submits the job and opens its stream; nothing if an interrupt came first, which has been told.
async fn begin_or_leave(
    client: &Client,
    spec: JobSpec,
    end_only: bool,
    interrupts: &mut Interrupts,
) -> Result<Option<Run>> {
    let job_id = spec.job_id.clone();
    let run = tokio::select! {
        run = begin(client, spec, end_only) => run?,
        () = interrupts.next() => {
            left_while_submitting(client, &job_id);
            return Ok(None);
        }
    };
    tell_existing(client, &run.answer);
    Ok(Some(run))
}

/// Submits the job, again if the server is unavailable: its id makes sure that it runs once.
async fn submit(client: &Client, job: JobSpec, validate_only: bool) -> Result<SubmitResponse> {
    let request = SubmitRequest { job: Some(job), validate_only };
    let answer = client.retried(request, async |request| client.jobs().submit(request).await).await?;
    tell_existing(client, &answer);
    Ok(answer)
}

fn tell_existing(client: &Client, answer: &SubmitResponse) {
    if answer.disposition() == Disposition::Existing {
        let state = text::state(answer.state());
        client.output.notice(&format!("job {} was there already: it is {state}", answer.job_id));
    }
}

fn print_answer(client: &Client, answer: &SubmitResponse) -> Result<Exit> {
    let output = &client.output;
    if output.format.is_json() {
        output.json(&json::submitted(answer))?;
    } else {
        output.line(&answer.job_id)?;
    }
    if answer.disposition() == Disposition::Validated {
        output.notice("the job is good; nothing was kept");
    } else {
        output.tip(&format!("follow it with `jobstream watch {}{}`", answer.job_id, client.address.again()));
    }
    Ok(Exit::Ok)
}

fn left_while_submitting(client: &Client, job_id: &str) {
    client.output.tell(&format!("interrupted while submitting job {job_id}: it may have been accepted"));
    client.output.help(&format!("find out with `jobstream jobs get {job_id}{}`", client.address.again()));
}
