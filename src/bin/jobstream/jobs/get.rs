//! `jobstream jobs get`: shows all fields of jobs.

use std::time::SystemTime;

use clap::Args;
use jobstream::job::JobId;
use jobstream::proto::v1::outcome::End;
use jobstream::proto::v1::{Attempt, GetJobRequest, GetJobResponse, Job, Outcome};
use prost_types::Timestamp;

use crate::connect::{Client, ClientArgs};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::job_id::{self, IdArg};
use crate::output::table::{self, Column, Columns, Field};
use crate::output::{Format, GlobalArgs, json, text};
use crate::units;

/// Most characters of a payload or outcome on a terminal.
const TERMINAL_CHARS_MAX: usize = 2_000;

const ATTEMPTS: [Column; 5] = [
    Column::new("ATTEMPT"),
    Column::new("STARTED").dropped(1),
    Column::new("TOOK"),
    Column::new("WORKER").shortened_to(12),
    Column::new("FAILURE").shortened_to(30),
];

const EXAMPLES: &str = "\
Payload and outcome are shown by content type: JSON, text, or the size of other
bytes. A terminal shortens the failures of attempts to its width. In a pipe each
line is a name and a value; an attempt has its start, end, worker and failure.

Examples:
  id=$(jobstream submit demo.flaky --max-attempts 4)
  jobstream jobs get $id
  jobstream jobs get $id -o json | jq .attempts";

/// Show all fields of jobs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Get {
    /// Ids, or at least their last 8 characters
    #[arg(required = true, value_name = "ID")]
    ids: Vec<IdArg>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Get {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let jobs = job_id::resolve(&client, &self.ids).await?;
        let several = jobs.len() > 1;
        let get = |id: JobId| client.api.rpc().get_job(GetJobRequest { job_id: id.to_string() });
        super::for_each(&client, &jobs, get, |id, answer| show(&client, id, answer, several)).await
    }
}

fn show(client: &Client, id: JobId, answer: GetJobResponse, several: bool) -> Result<()> {
    let job =
        answer.job.ok_or_else(|| Error::new(Exit::Other, format!("the server sent no job for {id}")))?;
    let output = &client.output;
    output.object(&pairs(&job, output.format, output.stdout_is_terminal), || json::message("Job", &job))?;
    match output.format {
        Format::Table if !job.attempts.is_empty() => {
            output.line("")?;
            output.raw(attempts(&job).aligned(output.style, output.width).as_bytes())?;
        }
        Format::Tabs => output.raw(attempt_lines(&job).tab_separated().as_bytes())?,
        Format::Table | Format::Json | Format::Jsonl => {}
    }
    match output.format {
        Format::Table if several => output.line(""),
        _ => Ok(()),
    }
}

fn pairs(job: &Job, format: Format, is_terminal: bool) -> Vec<(&'static str, Field)> {
    let spec = job.spec.clone().unwrap_or_default();
    let now = units::now();
    let time = |time: Option<&Timestamp>| match (format, time) {
        (Format::Table, Some(_)) => format!("{} ({})", text::time(time), text::relative(time, now)),
        _ => text::time(time),
    };
    let content = |text: Option<String>| match text.unwrap_or_default() {
        text if is_terminal => shortened(text),
        text => text,
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
        ("labels", Field::from(labels.join(", ")).wrapped()),
        ("owner", job.owner.as_str().into()),
        ("made from", job.origin_job_id.as_str().into()),
        ("created", time(job.create_time.as_ref()).into()),
        ("next attempt", time(job.next_attempt_time.as_ref()).into()),
        ("started", time(job.start_time.as_ref()).into()),
        ("finished", time(job.finish_time.as_ref()).into()),
        ("expires", time(job.expire_time.as_ref()).into()),
        ("events", job.sequence.to_string().into()),
        ("payload", content(spec.payload.as_ref().map(text::payload)).into()),
        ("outcome", content(job.outcome.as_ref().map(end)).into()),
    ]
}

fn end(outcome: &Outcome) -> String {
    match &outcome.end {
        Some(End::Result(result)) => text::payload(result),
        Some(End::Failure(failure)) => text::failure(failure),
        Some(End::Cancellation(end)) => text::cancellation(end),
        None => String::new(),
    }
}

/// A long text with its end left out.
fn shortened(mut text: String) -> String {
    let Some((cut, _)) = text.char_indices().nth(TERMINAL_CHARS_MAX) else { return text };
    let size = text::bytes(text.len() as u64);
    text.truncate(cut);
    format!("{text}.. ({size} in all, see -o json)")
}

fn attempts(job: &Job) -> Columns {
    let mut columns = Columns::new(ATTEMPTS);
    let now = units::now();
    for attempt in &job.attempts {
        columns.row([
            attempt.attempt.to_string().into(),
            text::relative(attempt.start_time.as_ref(), now).into(),
            took(attempt).unwrap_or_default().into(),
            attempt.worker.as_str().into(),
            Field::from(attempt.failure.as_ref().map(text::failure).unwrap_or_default()),
        ]);
    }
    columns
}

fn took(attempt: &Attempt) -> Option<String> {
    let time = |time: Option<Timestamp>| SystemTime::try_from(time?).ok();
    time(attempt.finish_time)?.duration_since(time(attempt.start_time)?).ok().map(text::duration)
}

/// A line an attempt for scripts: its number, start, end, worker and failure.
fn attempt_lines(job: &Job) -> Columns {
    let mut columns = Columns::new([]);
    for attempt in &job.attempts {
        columns.row([
            format!("attempt {}", attempt.attempt).into(),
            text::time(attempt.start_time.as_ref()).into(),
            text::time(attempt.finish_time.as_ref()).into(),
            attempt.worker.as_str().into(),
            Field::from(attempt.failure.as_ref().map(text::failure).unwrap_or_default()),
        ]);
    }
    columns
}
