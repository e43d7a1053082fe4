//! `jobstream token mint`: a token with which its holder may read one job.

use std::time::Duration;

use clap::Args;

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::job_id::{self, IdArg};
use crate::output::{Format, GlobalArgs, json};
use crate::units;

const EXAMPLES: &str = "\
The server signs the token and stores nothing. Its holder may read the job, and
nothing else: as a bearer token, or as access_token in the address of the job's
events or result.

Examples:
  id=$(jobstream submit demo.count)
  jobstream token mint $id --for 10m";

/// Make a token that reads one job
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Mint {
    /// Id, or at least its last 8 characters
    id: IdArg,
    /// How long the token is valid, at most 24h
    #[arg(long = "for", value_name = "SPAN", value_parser = units::duration, default_value = "1h")]
    lifetime: Duration,
    #[command(flatten)]
    client: ClientArgs,
}

impl Mint {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let job_id = job_id::resolve_one(&client, &self.id).await?;
        let minted = client.call(client.api.mint_token(job_id, self.lifetime)).await?;
        match client.output.format {
            Format::Json | Format::Jsonl => {
                client.output.json(&json::message("MintTokenResponse", &minted)?)?
            }
            Format::Table | Format::Tabs => client.output.line(&minted.token)?,
        }
        Ok(Exit::Ok)
    }
}
