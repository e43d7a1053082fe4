//! `jobstream jobs rm`: removes finished jobs and their results.

use clap::Args;
use jobstream::job::JobId;
use jobstream::proto::v1::JobState;
use serde_json::json;

use super::selection::{Action, Selection};
use crate::connect::{Client, ClientArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::GlobalArgs;

const ACTION: Action =
    Action { verb: "rm", states: &[JobState::Succeeded, JobState::Failed, JobState::Cancelled] };

const EXAMPLES: &str = "\
Prints the ids of the removed jobs. Cancel a job that has not ended first.
Filters select finished jobs.

Examples:
  id=$(jobstream submit demo.echo); jobstream result $id --wait
  jobstream jobs rm $id
  jobstream jobs rm --state succeeded --before 30m --yes";

/// Remove finished jobs and their results
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rm {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    client: ClientArgs,
}

impl Rm {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let jobs = self.selection.jobs(&client, ACTION).await?;
        let remove = |id| client.api.delete(id);
        super::for_each(&client, &jobs, remove, |id, ()| show(&client, id)).await
    }
}

fn show(client: &Client, id: JobId) -> Result<()> {
    match client.output.format.is_json() {
        true => client.output.json(&json!({ "jobId": id.to_string() })),
        false => client.output.line(&id.to_string()),
    }
}
