//! `jobstream token hash`: prints the SHA-256 of a token.

use clap::Args;
use jobstream::access::Grants;
use jobstream::server::StaticToken;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::Output;
use crate::secret_input;

const EXAMPLES: &str = "\
Reads the token from stdin, without white space around it. On a terminal it
asks for the token and does not show it. A token has at least 32 characters.

Examples:
  jobstream token hash < billing.token";

/// Print the SHA-256 of a token, for the tokens file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Hash {}

impl Hash {
    /// Runs the command.
    pub(super) fn run(self, output: &Output) -> Result<Exit> {
        let token = secret_input::read("token")?;
        check_length(&token)?;
        output.line(&super::sha256(&token))?;
        Ok(Exit::Ok)
    }
}

/// Refuses a token that is short enough to be found by a search.
fn check_length(token: &str) -> Result<()> {
    StaticToken::new("name", token, Grants::default()).map_err(|error| {
        Error::usage(error.to_string()).hint("make one: `jobstream token new`, or `openssl rand -hex 32`")
    })?;
    Ok(())
}
