//! `jobstream token`: tokens for the tokens file of a server, and for the readers of a job. One file a verb.

mod hash;
mod mint;
mod new;

use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::exit::Exit;
use crate::output::{GlobalArgs, Output};

const EXAMPLES: &str = "\
A server knows the SHA-256 of a token only: `jobstream serve` reads it from the
tokens file.

Examples:
  jobstream token new mail --grant 'submit queue=mail' --grant 'read own'
  jobstream token hash < billing.token
  jobstream token mint $id --for 10m";

/// Make tokens for callers of a server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Token {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    New(new::New),
    Hash(hash::Hash),
    Mint(mint::Mint),
}

impl Token {
    /// Runs the verb.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        match self.verb {
            Verb::New(new) => new.run(&Output::new(global, None)),
            Verb::Hash(hash) => hash.run(&Output::new(global, None)),
            Verb::Mint(mint) => mint.run(global).await,
        }
    }
}

/// The SHA-256 of a token in hexadecimal digits, as the tokens file holds it.
fn sha256(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
