//! `jobstream jobs get`: shows all fields of jobs.

use clap::Args;
use jobstream::job::JobId;
use jobstream::proto::v1::outcome::End;
use jobstream::proto::v1::{GetJobRequest, Job, Outcome};
use prost_types::Timestamp;

use crate::connect::{Client, ClientArgs};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::table::{self, Columns, Field};
use crate::output::{Format, GlobalArgs, json, text};
use crate::units;

const EXAMPLES: &str = "\
Examples:
  id=$(jobstream submit demo.flaky --retries 3)
  jobstream jobs get $id
  jobstream jobs get $id -o json | jq .attempts";

/// EventDisplay all fields of jobs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Get {
    /// UUIDs of the jobs
    #[arg(required = true, value_name = "ID", value_parser = units::job_id)]
    ids: Vec<JobId>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Get {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let several = self.ids.len() > 1;
        super::for_each(global, &self.ids, async |id| get(&client, id, several).await).await
    }
}

async fn get(client: &Client, id: JobId, several: bool) -> Result<()> {
    let request = GetJobRequest { job_id: id.to_string() };
    let answer = client.call(client.api.rpc().get_job(request)).await?;
    let job =
        answer.job.ok_or_else(|| Error::new(Exit::Other, format!("the server sent no job for {id}")))?;
    let output = &client.output;
    output.object(&pairs(&job, output.format), || json::message("Job", &job))?;
    if output.format == Format::Table {
        if !job.attempts.is_empty() {
            output.line("")?;
            output.raw(attempts(&job).aligned(output.style).as_bytes())?;
        }
        if several {
            output.line("")?;
        }
    }
    Ok(())
}

fn pairs(job: &Job, format: Format) -> Vec<(&'static str, Field)> {
    let spec = job.spec.clone().unwrap_or_default();
    let now = units::now();
    let time = |time: Option<&Timestamp>| match (format, time) {
        (Format::Table, Some(_)) => format!("{} ({})", text::time(time), text::relative(time, now)),
        _ => text::time(time),
    };
    let mut labels: Vec<_> = spec.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort();
    vec![
        ("id", job.job_id.as_str().into()),
        ("kind", spec.kind.into()),
        ("queue", spec.queue.into()),
        ("state", table::state(job.state())),
        ("waits for", text::wait_reason(job.wait_reason()).into()),
        ("cancel requested", if job.cancel_requested { "yes" } else { "" }.into()),
        ("attempt", job.attempt.to_string().into()),
        ("priority", spec.priority.to_string().into()),
        ("progress", job.progress.as_ref().map(crate::follow::progress_line).unwrap_or_default().into()),
        ("labels", labels.join(", ").into()),
        ("made from", job.origin_job_id.as_str().into()),
        ("created", time(job.create_time.as_ref()).into()),
        ("next attempt", time(job.next_attempt_time.as_ref()).into()),
        ("started", time(job.start_time.as_ref()).into()),
        ("finished", time(job.finish_time.as_ref()).into()),
        ("expires", time(job.expire_time.as_ref()).into()),
        ("events", job.sequence.to_string().into()),
        ("payload", spec.payload.as_ref().map(text::payload).unwrap_or_default().into()),
        ("outcome", job.outcome.as_ref().map(end).unwrap_or_default().into()),
    ]
}

fn end(outcome: &Outcome) -> String {
    match &outcome.end {
        Some(End::Result(result)) => text::payload(result),
        Some(End::Failure(failure)) => text::failure(failure),
        Some(End::Cancellation(end)) if end.reason.is_empty() => "cancelled".to_owned(),
        Some(End::Cancellation(end)) => format!("cancelled: {}", end.reason),
        None => String::new(),
    }
}

fn attempts(job: &Job) -> Columns {
    let mut columns = Columns::new(["ATTEMPT", "STARTED", "FINISHED", "WORKER", "FAILURE"]);
    for attempt in &job.attempts {
        columns.row([
            attempt.attempt.to_string().into(),
            text::time(attempt.start_time.as_ref()).into(),
            text::time(attempt.finish_time.as_ref()).into(),
            attempt.worker.as_str().into(),
            Field::from(attempt.failure.as_ref().map(text::failure).unwrap_or_default()),
        ]);
    }
    columns
}
