//! `jobstream jobs retry`: submits finished jobs again, as new jobs.

use clap::Args;
use jobstream::job::JobId;
use jobstream::proto::v1::{Payload, RetryRequest};

use crate::connect::{Client, ClientArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{GlobalArgs, json};
use crate::payload::json_argument;
use crate::units;

const EXAMPLES: &str = "\
Prints the new ids. The finished jobs do not change.

Examples:
  id=$(jobstream submit demo.fail); jobstream result $id --wait
  jobstream jobs retry $id
  jobstream jobs retry $id --kind demo.echo --payload '{\"fixed\": true}'";

/// Submit finished jobs again, as new jobs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Retry {
    /// UUIDs of the finished jobs
    #[arg(required = true, value_name = "ID", value_parser = units::job_id)]
    ids: Vec<JobId>,
    /// Another kind
    #[arg(long)]
    kind: Option<String>,
    /// Another payload: JSON, @file, or - for stdin
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    payload: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Retry {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let payload = self.payload.as_deref().map(json_argument).transpose()?;
        let client = self.client.connect(global).await?;
        super::for_each(global, &self.ids, async |id| self.retry(&client, id, payload.clone()).await).await
    }

    async fn retry(&self, client: &Client, id: JobId, payload: Option<Payload>) -> Result<()> {
        let request = RetryRequest {
            job_id: id.to_string(),
            payload,
            kind: self.kind.clone().unwrap_or_default(),
            ..RetryRequest::default()
        };
        let answer = client.call(client.api.rpc().retry(request)).await?;
        match client.output.format.is_json() {
            true => {
                let origin = ("originJobId", id.to_string());
                client.output.json(&json::message_of(origin, "RetryResponse", &answer)?)
            }
            false => client.output.line(&answer.job_id),
        }
    }
}
