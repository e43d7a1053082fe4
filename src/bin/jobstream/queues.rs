//! `jobstream queues`: the queues of a server. The longer verbs have files of their own.

mod ls;
mod purge;

use clap::{Args, Subcommand};
use jobstream::client;
use jobstream::proto::v1::Queue;

use crate::connect::{Client, ClientArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::GlobalArgs;
use crate::output::table::{Column, Columns, Field};
use crate::output::{json, text};

const HEADER: [Column; 9] = [
    Column::new("QUEUE").shortened_to(12),
    Column::new("PAUSED").dropped(2),
    Column::new("SCHEDULED").dropped(3),
    Column::new("QUEUED"),
    Column::new("RUNNING"),
    Column::new("SUCCEEDED").dropped(4),
    Column::new("FAILED").dropped(1),
    Column::new("CANCELLED").dropped(5),
    Column::new("OLDEST"),
];

const EXAMPLES: &str = "\
Examples:
  jobstream queues ls
  jobstream queues pause default; jobstream queues resume default";

const PAUSE_EXAMPLES: &str = "\
Running attempts continue; jobs are still accepted.

Examples:
  jobstream queues pause default
  jobstream queues pause media/high media/low";

const RESUME_EXAMPLES: &str = "\
Resuming a queue that is not paused changes nothing.

Examples:
  jobstream queues resume default
  jobstream queues resume media/high media/low";

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
    /// Pause queues: start no further attempts
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(Names),
    /// Resume queues: start attempts again
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(Names),
    Purge(purge::Purge),
}

impl Queues {
    /// Runs the verb.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        match self.verb {
            Verb::Ls(ls) => ls.run(global).await,
            Verb::Pause(names) => names.for_each(global, async |api, name| api.pause_queue(name).await).await,
            Verb::Resume(names) => {
                names.for_each(global, async |api, name| api.resume_queue(name).await).await
            }
            Verb::Purge(purge) => purge.run(global).await,
        }
    }
}

#[derive(Debug, Args)]
struct Names {
    /// Names of the queues
    #[arg(required = true, value_name = "QUEUE")]
    queues: Vec<String>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Names {
    /// Changes each queue in turn and shows all of them.
    async fn for_each(
        self,
        global: GlobalArgs,
        change: impl AsyncFn(&client::Client, String) -> client::Result<Queue>,
    ) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let mut changed = Vec::new();
        for queue in self.queues {
            changed.push(client.call(change(&client.api, queue)).await?);
        }
        show(&client, &changed)?;
        Ok(Exit::Ok)
    }
}

/// Writes the queues to stdout.
fn show(client: &Client, queues: &[Queue]) -> Result<()> {
    let mut columns = Columns::new(HEADER);
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
