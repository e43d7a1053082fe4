//! `jobstream whoami`: shows who the server takes the caller for, and what it may do.

use clap::Args;
use jobstream::proto::v1::{CredentialType, WhoAmIResponse};

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Field;
use crate::output::{GlobalArgs, json, text};

const EXAMPLES: &str = "\
Examples:
  jobstream whoami
  jobstream whoami -o json | jq .grants";

/// Show who the server takes you for, and your grants
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WhoAmI {
    #[command(flatten)]
    client: ClientArgs,
}

impl WhoAmI {
    /// Runs the command.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let caller = client.call(client.api.who_am_i()).await?;
        client.output.object(&pairs(&caller), || json::message("WhoAmIResponse", &caller))?;
        Ok(Exit::Ok)
    }
}

fn pairs(caller: &WhoAmIResponse) -> Vec<(&'static str, Field)> {
    let credential = match caller.credential_type() {
        CredentialType::Unspecified | CredentialType::Anonymous => "none",
        CredentialType::Token => "static token",
        CredentialType::Jwt => "JSON Web Token",
        CredentialType::Certificate => "client certificate",
        CredentialType::Minted => "minted token",
    };
    let name = if caller.principal.is_empty() { "(anonymous)" } else { &caller.principal };
    let mut pairs = vec![("principal", Field::from(name)), ("credential", credential.into())];
    if !caller.job_id.is_empty() {
        pairs.push(("reads job", caller.job_id.as_str().into()));
    }
    pairs.extend(caller.grants.iter().map(|grant| ("grant", grant.as_str().into())));
    pairs.extend(caller.expire_time.as_ref().map(|time| ("expires", text::time(Some(time)).into())));
    pairs
}
