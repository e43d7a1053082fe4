//! The jobs that a command changes: ids as arguments or from stdin, or all that match filters.

use std::io::{self, IsTerminal, Read};
use std::str::FromStr;

use clap::Args;
use jobstream::job::JobId;
use jobstream::proto::v1::JobState;
use tokio_stream::StreamExt;

use super::filter::Filter;
use crate::connect::{Client, PAGE_JOBS_MAX};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::job_id::{self, IdArg};
use crate::narrowed::{self, List};
use crate::output::text;
use crate::stderr;

/// Most jobs of a command.
const JOBS_MAX: usize = 100_000;
/// Most bytes of ids from stdin.
const STDIN_BYTES_MAX: u64 = 16 << 20;

/// Which jobs a command changes.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Ids, or at least their last 8 characters; - reads them from
    /// stdin, the first word of each line
    #[arg(value_name = "ID")]
    ids: Vec<IdSource>,
    #[command(flatten)]
    filter: Filter,
    /// With filters: only print the ids
    #[arg(long, help_heading = None::<&str>)]
    dry_run: bool,
    /// With filters: do not ask; required without a terminal
    #[arg(long, help_heading = None::<&str>)]
    yes: bool,
}

/// Where ids come from.
#[derive(Debug, Clone)]
enum IdSource {
    Argument(IdArg),
    Stdin,
}

impl FromStr for IdSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "-" => Ok(Self::Stdin),
            id => id.parse().map(Self::Argument),
        }
    }
}

/// What a command does to jobs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Action {
    /// `cancel`.
    pub(super) verb: &'static str,
    /// The states of the jobs that filters select, unless `--state` is set.
    pub(super) states: &'static [JobState],
}

impl Selection {
    /// The jobs to change, and none if nothing is to be done.
    ///
    /// # Errors
    ///
    /// If an id is invalid, the selection was not confirmed, or it is too large.
    pub(super) async fn jobs(&self, client: &Client, action: Action) -> Result<Vec<JobId>> {
        if self.filter.is_empty() {
            let jobs = self.named(client).await?;
            if jobs.is_empty() {
                client.output.notice(&format!("no ids: there is nothing to {}", action.verb));
            }
            return self.unless_dry_run(client, jobs);
        }
        if !self.ids.is_empty() {
            return Err(Error::usage("ids and filters cannot be combined").hint("leave one of them out"));
        }
        let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
        if !self.yes && !self.dry_run && !can_ask {
            let message =
                format!("{} with filters cannot ask for confirmation without a terminal", action.verb);
            return Err(Error::usage(message).hint("confirm with --yes, or see the ids with --dry-run"));
        }
        let jobs = self.matching(client, action).await?;
        narrowed::notice(client, List::Jobs).await;
        if jobs.is_empty() {
            client.output.notice(&format!("no jobs match: there is nothing to {}", action.verb));
            return Ok(jobs);
        }
        if !self.yes && !self.dry_run && !confirm(jobs.len(), action)? {
            return Err(Error::new(Exit::Other, "not confirmed: no job was changed"));
        }
        self.unless_dry_run(client, jobs)
    }

    fn unless_dry_run(&self, client: &Client, jobs: Vec<JobId>) -> Result<Vec<JobId>> {
        if !self.dry_run {
            return Ok(jobs);
        }
        for id in jobs {
            match client.output.format.is_json() {
                true => client.output.json(&serde_json::json!({ "jobId": id.to_string() }))?,
                false => client.output.line(&id.to_string())?,
            }
        }
        Ok(Vec::new())
    }

    async fn named(&self, client: &Client) -> Result<Vec<JobId>> {
        let mut ids = Vec::new();
        for id in &self.ids {
            match id {
                IdSource::Stdin => ids.extend(from_lines(&stdin()?)?),
                IdSource::Argument(id) => ids.push(id.clone()),
            }
        }
        if ids.len() > JOBS_MAX {
            return Err(too_many());
        }
        job_id::resolve(client, &ids).await
    }

    /// The jobs that match, oldest first.
    async fn matching(&self, client: &Client, action: Action) -> Result<Vec<JobId>> {
        let mut request = self.filter.request();
        if request.states.is_empty() {
            request.states = action.states.iter().copied().map(i32::from).collect();
        }
        request.page_size = PAGE_JOBS_MAX;
        let mut matching = client.api.rpc().jobs(request);
        let mut jobs = Vec::new();
        while let Some(job) = client.call(matching.try_next()).await? {
            if jobs.len() == JOBS_MAX {
                return Err(too_many());
            }
            jobs.push(job_id::of_server(&job.job_id)?);
        }
        jobs.reverse();
        Ok(jobs)
    }
}

fn too_many() -> Error {
    Error::usage(format!("more than {JOBS_MAX} jobs are selected, the limit of a command"))
        .hint("select fewer with --kind, --queue, --label, --since and --before")
}

fn stdin() -> Result<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(STDIN_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| Error::usage(format!("cannot read ids from stdin: {error}")))?;
    match text.len() as u64 > STDIN_BYTES_MAX {
        true => Err(Error::usage("the ids on stdin are larger than 16 MiB").hint("split the list")),
        false => Ok(text),
    }
}

/// The first word of each line that has one.
fn from_lines(text: &str) -> Result<Vec<IdArg>> {
    let parse = |id: &str| id.parse().map_err(|problem: String| Error::usage(problem));
    text.lines().filter_map(|line| line.split_whitespace().next()).map(parse).collect()
}

fn confirm(jobs: usize, Action { verb, .. }: Action) -> Result<bool> {
    let question = format!("{verb} {}? [y/N] ", text::counted(jobs as u64, "job", "jobs"));
    stderr::confirm(&question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_a_list_is_a_list_of_ids() {
        let text = "01890000-0000-7000-8000-000000000001\tresize\tmedia\n\n  0000000a\n";
        let ids = from_lines(text).expect("ids");
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[1], IdArg::End("0000000a".to_owned()));
        assert_eq!(from_lines("").expect("no ids"), []);
        assert_eq!(from_lines("no jobs").expect_err("no id").exit, Exit::Usage);
    }
}
