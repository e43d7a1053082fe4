//! `jobstream queues`: the queues of a server. One file a verb.

mod ls;
mod pause;
mod purge;
mod resume;

use clap::{Args, Subcommand};
use jobstream::proto::v1::Queue;

use crate::connect::Client;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::Voice;
use crate::output::table::{Columns, Field};
use crate::output::{json, text};

const EXAMPLES: &str = "\
Examples:
  jobstream queues ls
  jobstream queues pause default; jobstream queues resume default";

/// List, pause, resume and purge queues
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Queues {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Ls(ls::Ls),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Purge(purge::Purge),
}

impl Queues {
    /// Runs the verb.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit> {
        match self.verb {
            Verb::Ls(ls) => ls.run(voice).await,
            Verb::Pause(pause) => pause.run(voice).await,
            Verb::Resume(resume) => resume.run(voice).await,
            Verb::Purge(purge) => purge.run(voice).await,
        }
    }
}

/// Writes the queues to stdout.
fn show(client: &Client, queues: &[Queue]) -> Result<()> {
    let header =
        ["QUEUE", "PAUSED", "SCHEDULED", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "OLDEST"];
    let mut columns = Columns::new(header);
    for queue in queues {
        columns.row(row(queue));
    }
    client.output.list(&columns, queues.iter().map(|queue| json::message("Queue", queue)))
}

fn row(queue: &Queue) -> Vec<Field> {
    let counts = queue.counts.unwrap_or_default();
    let oldest = queue.oldest_queued_age.and_then(|age| age.try_into().ok()).map(text::duration);
    let mut row = vec![Field::from(&queue.queue), if queue.paused { "yes" } else { "no" }.into()];
    let of_states =
        [counts.scheduled, counts.queued, counts.running, counts.succeeded, counts.failed, counts.cancelled];
    row.extend(of_states.map(|count| Field::from(count.to_string())));
    row.push(oldest.unwrap_or_default().into());
    row
}
