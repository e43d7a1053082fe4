//! `jobstream jobs retry`: submits finished jobs again, as new jobs.

use clap::Args;
use jobstream::job::JobId;
use jobstream::proto::v1::{JobState, RetryRequest, RetryResponse};

use super::selection::{Action, Selection};
use crate::connect::{Client, ClientArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{GlobalArgs, json};
use crate::payload::json_argument;

const ACTION: Action = Action { verb: "retry", states: &[JobState::Failed] };

const EXAMPLES: &str = "\
Prints the new ids. The finished jobs do not change. Filters select FAILED
jobs, unless --state is set.

Examples:
  id=$(jobstream submit demo.fail); jobstream result $id --wait
  jobstream jobs retry $id
  jobstream jobs retry $id --new-kind demo.echo --payload '{\"fixed\": true}'
  jobstream jobs retry --kind demo.fail --since 1h --yes
  jobstream jobs ls --state failed | jobstream jobs retry -";

/// Submit finished jobs again, as new jobs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Retry {
    #[command(flatten)]
    selection: Selection,
    /// Run the new jobs as another kind
    #[arg(long, value_name = "KIND", help_heading = None::<&str>)]
    new_kind: Option<String>,
    /// Payload of the new jobs: JSON, @file, or - for stdin
    #[arg(long, value_name = "JSON", allow_hyphen_values = true, help_heading = None::<&str>)]
    payload: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Retry {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let payload = self.payload.as_deref().map(json_argument).transpose()?;
        let client = self.client.connect(global).await?;
        let jobs = self.selection.jobs(&client, ACTION).await?;
        let retry = |id: JobId| {
            client.api.rpc().retry(RetryRequest {
                job_id: id.to_string(),
                payload: payload.clone(),
                kind: self.new_kind.clone().unwrap_or_default(),
                ..RetryRequest::default()
            })
        };
        super::for_each(&client, &jobs, retry, |id, answer| show(&client, id, &answer)).await
    }
}

fn show(client: &Client, id: JobId, answer: &RetryResponse) -> Result<()> {
    match client.output.format.is_json() {
        true => {
            let origin = ("originJobId", id.to_string());
            client.output.json(&json::message_of(origin, "RetryResponse", answer)?)
        }
        false => client.output.line(&answer.job_id),
    }
}
