//! `jobstream jobs`: the jobs a server holds. One file a verb.

mod cancel;
mod filter;
mod get;
mod ls;
mod retry;
mod rm;
mod selection;

use clap::{Args, Subcommand};
use jobstream::job::JobId;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::GlobalArgs;

const EXAMPLES: &str = "\
Examples:
  jobstream jobs ls --state failed --since 1h
  jobstream jobs retry --state failed --since 1h --dry-run
  jobstream jobs ls --state failed --since 1h | jobstream jobs retry -";

/// List, show, cancel, retry and remove jobs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Ls(ls::Ls),
    Get(get::Get),
    Cancel(cancel::Cancel),
    Retry(retry::Retry),
    Rm(rm::Rm),
}

impl Jobs {
    /// Runs the verb.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        match self.verb {
            Verb::Ls(ls) => ls.run(global).await,
            Verb::Get(get) => get.run(global).await,
            Verb::Cancel(cancel) => cancel.run(global).await,
            Verb::Retry(retry) => retry.run(global).await,
            Verb::Rm(rm) => rm.run(global).await,
        }
    }
}

/// Does something to each job in turn. An error does not stop the others: it is printed at once, and the last one ends
/// the command.
async fn for_each(global: GlobalArgs, ids: &[JobId], act: impl AsyncFn(JobId) -> Result<()>) -> Result<Exit> {
    let mut failed: Option<Error> = None;
    for id in ids {
        if let Err(error) = act(*id).await {
            let is_lasting = matches!(error.exit, Exit::Unreachable | Exit::Auth) || error.message.is_empty();
            if let Some(earlier) = failed.replace(error) {
                earlier.print(global.stderr_style());
            }
            // The next job would get the same error.
            if is_lasting {
                break;
            }
        }
    }
    failed.map_or(Ok(Exit::Ok), Err)
}
