//! `jobstream submit`: submits a job, and waits for its end or watches it if requested.

use std::time::Duration;

use clap::Args;
use jobstream::client::{Watch, WatchOptions};
use jobstream::job::EventTypes;
use jobstream::proto::v1::{Disposition, JobSpec, RunResponse, SubmitRequest, SubmitResponse, run_response};

use crate::connect::{Client, ClientArgs, ReconnectArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::follow::{EventDisplay, Stdout, follow};
use crate::interrupt::{self, Interrupts};
use crate::output::{Format, GlobalArgs, json, text};
use crate::served;
use crate::spec::JobArgs;
use crate::units;
use crate::wait::wait_on_stream;

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
    /// Submit only if a connected worker serves the kind
    #[arg(long)]
    require_worker: bool,
    /// Only validate the job; it is not stored
    #[arg(long, conflicts_with_all = ["wait", "watch"])]
    validate_only: bool,
    #[command(flatten, next_help_heading = "Waiting")]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl Submit {
    /// Runs the command.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let spec = self.job.spec()?;
        let client = self.client.reconnecting(global, self.reconnect).await?;
        if self.require_worker {
            served::require_worker(&client, &spec).await?;
        }
        if self.watch {
            let interrupts = interrupt::listen(Exit::Interrupted, None)?;
            return watch_to_end(&client, spec, false, interrupts).await;
        }
        match self.wait {
            None => {
                let request = SubmitRequest { job: Some(spec.clone()), validate_only: self.validate_only };
                let answer = client.call(client.api.rpc().submit(request)).await?;
                report_existing(&client, &answer);
                let exit = print_answer(&client, &answer)?;
                served::warn_if_unserved(&client, &spec, &answer).await;
                Ok(exit)
            }
            Some(limit) => wait_for_end(&client, spec, limit).await,
        }
    }
}

/// Submits the job, waits for its end at most this long, and shows it.
async fn wait_for_end(client: &Client, spec: JobSpec, limit: Option<Duration>) -> Result<Exit> {
    let mut interrupts = interrupt::listen(Exit::Interrupted, None)?;
    match submit_and_watch(client, spec, EventTypes::NONE, &mut interrupts).await? {
        Some((_, watch)) => wait_on_stream(client, watch, limit, &mut interrupts).await,
        None => Ok(Exit::Interrupted),
    }
}

/// Submits the job, watches it and shows its end.
///
/// # Errors
///
/// If it is refused, cannot be followed to its end, or did not succeed.
pub(crate) async fn watch_to_end(
    client: &Client,
    spec: JobSpec,
    cancel_on_interrupt: bool,
    mut interrupts: Interrupts,
) -> Result<Exit> {
    let begun = submit_and_watch(client, spec, EventTypes::ALL, &mut interrupts).await?;
    let Some((answer, watch)) = begun else {
        return Ok(Exit::Interrupted);
    };
    let stdout = match client.output.format {
        Format::Table | Format::Tabs => Stdout::Chunks,
        Format::Json => Stdout::Nothing,
        Format::Jsonl => Stdout::Events,
    };
    if stdout == Stdout::Events {
        let message = Some(run_response::Message::Submitted(answer.clone()));
        client.output.json_line(&json::message("RunResponse", &RunResponse { message })?)?;
    } else {
        client.output.notice(&format!("job {}", answer.job_id));
    }
    let mut display = EventDisplay::new(&client.output, stdout);
    follow(client, watch, cancel_on_interrupt, &mut display, &mut interrupts).await
}

/// Submits the job and opens its stream; `None` if an interrupt came first and was reported.
async fn submit_and_watch(
    client: &Client,
    spec: JobSpec,
    types: EventTypes,
    interrupts: &mut Interrupts,
) -> Result<Option<(SubmitResponse, Watch)>> {
    let mut options = WatchOptions::default();
    options.types = types;
    let (answer, watch) = tokio::select! {
        run = client.call(client.api.rpc().run(spec.clone(), options)) => run?,
        () = interrupts.next() => {
            report_interrupted_submit(client, &spec.job_id);
            return Ok(None);
        }
    };
    report_existing(client, &answer);
    served::warn_if_unserved(client, &spec, &answer).await;
    Ok(Some((answer, watch)))
}

fn report_existing(client: &Client, answer: &SubmitResponse) {
    if answer.disposition() == Disposition::Existing {
        let state = text::state(answer.state());
        client.output.notice(&format!("job {} existed already: it is {state}", answer.job_id));
    }
}

fn print_answer(client: &Client, answer: &SubmitResponse) -> Result<Exit> {
    let output = &client.output;
    if output.format.is_json() {
        output.json(&json::message("SubmitResponse", answer)?)?;
    } else {
        output.line(&answer.job_id)?;
    }
    if answer.disposition() == Disposition::Validated {
        output.notice("the job is valid; it was not stored");
    } else {
        output.tip(&format!(
            "follow it with `jobstream watch {}{}`",
            answer.job_id,
            client.address.as_flag()
        ));
    }
    Ok(Exit::Ok)
}

fn report_interrupted_submit(client: &Client, job_id: &str) {
    client.output.report(&format!("interrupted while submitting job {job_id}: it may have been accepted"));
    client.output.help(&format!("find out with `jobstream jobs get {job_id}{}`", client.address.as_flag()));
}
