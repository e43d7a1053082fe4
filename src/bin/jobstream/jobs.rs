//! `jobstream jobs`: the jobs a server holds. One file a verb.

mod cancel;
mod filter;
mod get;
mod ls;
mod retry;
mod rm;
mod selection;
mod watch;

use std::pin::pin;

use clap::{Args, Subcommand};
use futures_util::{Stream, StreamExt, stream};
use jobstream::client;
use jobstream::job::JobId;

use crate::connect::Client;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::GlobalArgs;

/// Most calls of a command that wait for their answers at the same time.
const CONCURRENT_CALLS_MAX: usize = 16;

const EXAMPLES: &str = "\
Examples:
  jobstream jobs ls --state failed --since 1h
  jobstream jobs retry --state failed --since 1h --dry-run
  jobstream jobs ls --state failed --since 1h | jobstream jobs retry -";

/// List, show, watch, cancel, retry and remove jobs
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
    Watch(Box<watch::Watch>),
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
            Verb::Watch(watch) => watch.run(global).await,
        }
    }
}

/// Calls the server for each job, several at a time, and shows the answers in the order of the jobs. An error does not stop
/// the others: it is printed in its turn, and the last one ends the command.
async fn for_each<T, F>(
    client: &Client,
    ids: &[JobId],
    call: impl Fn(JobId) -> F,
    show: impl Fn(JobId, T) -> Result<()>,
) -> Result<Exit>
where
    F: Future<Output = client::Result<T>>,
{
    let answers = stream::iter(ids).map(async |id| (*id, call(*id).await)).buffered(CONCURRENT_CALLS_MAX);
    client.showing_retries(show_all(client, answers, show)).await
}

async fn show_all<T>(
    client: &Client,
    answers: impl Stream<Item = (JobId, client::Result<T>)>,
    show: impl Fn(JobId, T) -> Result<()>,
) -> Result<Exit> {
    let mut answers = pin!(answers);
    let mut failed: Option<Error> = None;
    while let Some((id, answer)) = answers.next().await {
        let shown = answer.map_err(|error| client.error(&error)).and_then(|answer| show(id, answer));
        let Err(error) = shown else { continue };
        let is_lasting = matches!(error.exit, Exit::Unreachable | Exit::Auth) || error.message.is_empty();
        if let Some(earlier) = failed.replace(error) {
            earlier.print(client.output.stderr_style);
        }
        // The next job would get the same error.
        if is_lasting {
            break;
        }
    }
    failed.map_or(Ok(Exit::Ok), Err)
}
