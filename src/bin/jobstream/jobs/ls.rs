//! `jobstream jobs ls`: lists the jobs that match, newest first.

use std::time::SystemTime;

use clap::Args;
use jobstream::proto::v1::outcome::End;
use jobstream::proto::v1::{Job, JobState, ListJobsRequest};
use prost_types::Timestamp;

use crate::connect::{Client, ClientArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::{self, Columns, Field};
use crate::output::{Format, GlobalArgs, json, text};
use crate::units;

/// The server's limit of jobs on a page.
const PAGE_SIZE_MAX: u32 = 1_000;

/// The values of `--state`, in lower case as they are typed.
const STATES: [&str; 6] = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled"];

const EXAMPLES: &str = "\
Columns: id, kind, queue, state, attempt, created, detail.

Examples:
  jobstream jobs ls --state running,queued --kind demo.sleep
  jobstream jobs ls --label team=web --since 15m -o jsonl";

/// List jobs, newest first
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Ls {
    /// Only in these states: scheduled, queued, running, succeeded,
    /// failed, cancelled
    #[arg(long = "state", value_name = "STATES", value_delimiter = ',', ignore_case = true)]
    #[arg(value_parser = STATES, hide_possible_values = true)]
    states: Vec<String>,
    /// Only of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only in this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Only with this label; repeatable
    #[arg(long = "label", value_name = "K=V", value_parser = units::pair)]
    labels: Vec<(String, String)>,
    /// Only accepted since then: 15m ago, or a time
    #[arg(long, value_name = "WHEN", value_parser = units::past)]
    since: Option<Timestamp>,
    /// Only accepted before then: 15m ago, or a time
    #[arg(long, value_name = "WHEN", value_parser = units::past)]
    before: Option<Timestamp>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// With payloads and results, for -o json
    #[arg(long)]
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
        let mut columns = Columns::new(["ID", "KIND", "QUEUE", "STATE", "ATTEMPT", "CREATED", "DETAIL"]);
        for job in &jobs {
            columns.row(row(job, client.output.format, now));
        }
        client.output.list(&columns, jobs.iter().map(|job| json::message("Job", job)))?;
        if jobs.is_empty() {
            client.output.notice("no jobs match");
        } else if more {
            client.output.notice(&format!("these are the newest {}; see more with --limit", jobs.len()));
        }
        Ok(Exit::Ok)
    }

    /// Up to `limit` jobs, and whether there may be more. Only a page without a token is the last one.
    async fn collect(&self, client: &Client) -> Result<(Vec<Job>, bool)> {
        let mut request = self.request();
        let mut jobs = Vec::new();
        loop {
            let left = self.limit as usize - jobs.len();
            request.page_size = u32::try_from(left).unwrap_or(PAGE_SIZE_MAX).min(PAGE_SIZE_MAX);
            let page = client.call(client.api.rpc().list_jobs(request.clone())).await?;
            jobs.extend(page.jobs.into_iter().take(left));
            if page.next_page_token.is_empty() || jobs.len() == self.limit as usize {
                return Ok((jobs, !page.next_page_token.is_empty()));
            }
            request.page_token = page.next_page_token;
        }
    }

    fn request(&self) -> ListJobsRequest {
        ListJobsRequest {
            states: self.states.iter().filter_map(|name| state(name)).map(i32::from).collect(),
            kind: self.kind.clone().unwrap_or_default(),
            queue: self.queue.clone().unwrap_or_default(),
            labels: units::pairs(&self.labels),
            create_time_from: self.since,
            create_time_before: self.before,
            include_payloads: self.payloads,
            ..ListJobsRequest::default()
        }
    }
}

fn state(name: &str) -> Option<JobState> {
    JobState::from_str_name(&format!("JOB_STATE_{}", name.to_uppercase()))
}

fn row(job: &Job, format: Format, now: SystemTime) -> Vec<Field> {
    let spec = job.spec.clone().unwrap_or_default();
    let created = match format {
        Format::Table => text::relative(job.create_time.as_ref(), now),
        _ => text::time(job.create_time.as_ref()),
    };
    vec![
        job.job_id.as_str().into(),
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

    use super::*;

    #[test]
    fn a_row_says_what_people_look_for() {
        let spec = JobSpec { kind: "resize".into(), queue: "media".into(), ..JobSpec::default() };
        let mut job = Job { job_id: "id".into(), spec: Some(spec), ..Job::default() };
        job.create_time = Some(Timestamp { seconds: 0, nanos: 0 });
        job.set_state(JobState::Queued);
        job.set_wait_reason(WaitReason::NoWorker);
        let mut columns = Columns::new([]);
        columns.row(row(&job, Format::Tabs, SystemTime::UNIX_EPOCH));
        assert_eq!(
            columns.tab_separated(),
            "id\tresize\tmedia\tQUEUED\t0\t1970-01-01T00:00:00Z\tNO_WORKER\n"
        );
    }
}
