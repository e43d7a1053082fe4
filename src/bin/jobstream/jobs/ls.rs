//! `jobstream jobs ls`: lists the jobs that match, newest first.

use std::time::SystemTime;

use clap::Args;
use jobstream::proto::v1::outcome::End;
use jobstream::proto::v1::{Job, JobState};
use tokio_stream::StreamExt;

use super::filter::Filter;
use crate::connect::{Client, ClientArgs, PAGE_JOBS_MAX};
use crate::error::Result;
use crate::exit::Exit;
use crate::job_id;
use crate::narrowed::{self, List};
use crate::output::table::{self, Column, Columns, Field};
use crate::output::{Format, GlobalArgs, json, text};
use crate::units;

const HEADER: [Column; 7] = [
    Column::new("ID"),
    Column::new("KIND").shortened_to(12).dropped(1),
    Column::new("QUEUE").shortened_to(8).dropped(3),
    Column::new("STATE"),
    Column::new("ATTEMPT").dropped(4),
    Column::new("CREATED").dropped(2),
    Column::new("DETAIL").shortened_to(16),
];

const EXAMPLES: &str = "\
Columns: id, kind, queue, state, attempt, created, detail. A terminal shows the
last 8 characters of ids, which commands accept, and leaves out what does not
fit; a pipe gets everything, in lines separated by tabs.

Examples:
  jobstream jobs ls --state running,queued --kind demo.sleep
  jobstream jobs ls --label team=web --since 15m -o jsonl";

/// List jobs, newest first
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Ls {
    #[command(flatten)]
    filter: Filter,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(help_heading = None::<&str>)]
    limit: u32,
    /// With payloads and results, for -o json
    #[arg(long, help_heading = None::<&str>)]
    payloads: bool,
    #[command(flatten)]
    client: ClientArgs,
}

impl Ls {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let (jobs, more) = self.collect(&client).await?;
        let now = units::now();
        let id_chars = match client.output.width {
            Some(_) => job_id::distinct_end_chars(jobs.iter().map(|job| job.job_id.as_str())),
            None => usize::MAX,
        };
        let mut columns = Columns::new(HEADER);
        for job in &jobs {
            columns.row(row(job, id_chars, client.output.format, now));
        }
        client.output.list(&columns, jobs.iter().map(|job| json::message("Job", job)))?;
        if jobs.is_empty() {
            client.output.notice("no jobs match");
        } else if more {
            client.output.notice(&format!("these are the newest {}; see more with --limit", jobs.len()));
        }
        narrowed::notice(&client, List::Jobs).await;
        Ok(Exit::Ok)
    }

    /// Up to `limit` jobs, and whether there are more.
    async fn collect(&self, client: &Client) -> Result<(Vec<Job>, bool)> {
        let mut request = self.filter.request();
        request.include_payloads = self.payloads;
        // One more job shows that there are more.
        request.page_size = self.limit.saturating_add(1).min(PAGE_JOBS_MAX);
        let mut matching = client.api.rpc().jobs(request);
        let mut jobs = Vec::new();
        while let Some(job) = client.call(matching.try_next()).await? {
            if jobs.len() == self.limit as usize {
                return Ok((jobs, true));
            }
            jobs.push(job);
        }
        Ok((jobs, false))
    }
}

fn row(job: &Job, id_chars: usize, format: Format, now: SystemTime) -> Vec<Field> {
    let spec = job.spec.clone().unwrap_or_default();
    let created = match format {
        Format::Table => text::relative(job.create_time.as_ref(), now),
        _ => text::time(job.create_time.as_ref()),
    };
    vec![
        job_id::end(&job.job_id, id_chars).into(),
        spec.kind.into(),
        spec.queue.into(),
        table::state(job.state()),
        job.attempt.to_string().into(),
        created.into(),
        detail(job).into(),
    ]
}

/// The most important fact besides the state: the failure, the cancellation, the progress or why the job waits.
fn detail(job: &Job) -> String {
    match job.outcome.as_ref().and_then(|outcome| outcome.end.as_ref()) {
        Some(End::Failure(failure)) => return text::failure(failure),
        Some(End::Cancellation(cancellation)) => return cancellation.reason.clone(),
        Some(End::Result(_)) => return String::new(),
        None => {}
    }
    if job.cancel_requested {
        return "cancel requested".to_owned();
    }
    match &job.progress {
        Some(progress) if job.state() == JobState::Running => crate::follow::progress_line(progress),
        _ => text::wait_reason(job.wait_reason()).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jobstream::proto::v1::{JobSpec, WaitReason};
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn a_row_says_what_people_look_for() {
        let spec = JobSpec { kind: "resize".into(), queue: "media".into(), ..JobSpec::default() };
        let mut job = Job { job_id: "id".into(), spec: Some(spec), ..Job::default() };
        job.create_time = Some(Timestamp { seconds: 0, nanos: 0 });
        job.set_state(JobState::Queued);
        job.set_wait_reason(WaitReason::NoWorker);
        let mut columns = Columns::new(HEADER);
        columns.row(row(&job, usize::MAX, Format::Tabs, SystemTime::UNIX_EPOCH));
        assert_eq!(
            columns.tab_separated(),
            "id\tresize\tmedia\tQUEUED\t0\t1970-01-01T00:00:00Z\tNO_WORKER\n"
        );
    }
}
