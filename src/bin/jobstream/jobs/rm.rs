//! `jobstream jobs rm`: removes finished jobs and their results.

use clap::Args;
use jobstream::job::JobId;
use serde_json::json;

use crate::connect::{Client, ClientArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::GlobalArgs;
use crate::units;

const EXAMPLES: &str = "\
Prints the ids of the removed jobs. Cancel a job that has not ended first.

Examples:
  id=$(jobstream submit demo.echo); jobstream result $id --wait
  jobstream jobs rm $id";

/// Remove finished jobs and their results
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rm {
    /// UUIDs of the jobs
    #[arg(required = true, value_name = "ID", value_parser = units::job_id)]
    ids: Vec<JobId>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Rm {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        super::for_each(global, &self.ids, async |id| remove(&client, id).await).await
    }
}

async fn remove(client: &Client, id: JobId) -> Result<()> {
    client.call(client.api.delete(id)).await?;
    match client.output.format.is_json() {
        true => client.output.json(&json!({ "jobId": id.to_string() })),
        false => client.output.line(&id.to_string()),
    }
}
