//! `jobstream workers`: the workers of a server. One file a verb.

mod drain;
mod ls;

use std::time::Duration;

use clap::{Args, Subcommand};
use jobstream::proto::v1::{Worker, WorkerState};

use crate::connect::Client;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::style::Color;
use crate::output::table::{Column, Columns, Field};
use crate::output::{Format, GlobalArgs, json, text};

/// Kinds or queues of one worker in a table; other formats show all.
const NAMES_SHOWN: usize = 6;

const HEADER: [Column; 10] = [
    Column::new("ID"),
    Column::new("NAME").shortened_to(12),
    Column::new("LINK").dropped(2),
    Column::new("STATE"),
    Column::new("SLOTS"),
    Column::new("KINDS").shortened_to(16),
    Column::new("QUEUES").shortened_to(8).dropped(1),
    Column::new("SEEN").dropped(3),
    Column::new("SDK").dropped(5),
    Column::new("ADDRESS").dropped(4),
];

const EXAMPLES: &str = "\
Examples:
  jobstream workers ls
  jobstream workers drain w7 --within 1m";

/// List and drain workers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Workers {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Ls(ls::Ls),
    Drain(drain::Drain),
}

impl Workers {
    /// Runs the verb.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        match self.verb {
            Verb::Ls(ls) => ls.run(global).await,
            Verb::Drain(drain) => drain.run(global).await,
        }
    }
}

/// Writes the workers to stdout.
fn show(client: &Client, workers: &[Worker]) -> Result<()> {
    let mut columns = Columns::new(HEADER);
    let shown = if client.output.format == Format::Table { NAMES_SHOWN } else { usize::MAX };
    for worker in workers {
        columns.row(row(worker, shown));
    }
    client.output.list(&columns, workers.iter().map(|worker| json::message("Worker", worker)))
}

fn row(worker: &Worker, shown: usize) -> Vec<Field> {
    // `*` is no name of a queue.
    let queues = if worker.queues.is_empty() { "*".to_owned() } else { names(&worker.queues, shown) };
    let last_seen = worker.last_heard_age.and_then(|age| Duration::try_from(age).ok()).map(text::duration);
    vec![
        Field::from(&worker.worker_id),
        Field::from(&worker.name),
        text::worker_link(worker.link()).into(),
        state(worker.state()),
        format!("{}/{}", worker.slots_taken, worker.slots).into(),
        names(&worker.kinds, shown).into(),
        queues.into(),
        last_seen.unwrap_or_default().into(),
        Field::from(&worker.sdk),
        Field::from(&worker.address),
    ]
}

fn state(state: WorkerState) -> Field {
    let field = Field::from(text::worker_state(state));
    match state {
        WorkerState::Draining => field.color(Color::Yellow),
        WorkerState::Disconnected => field.color(Color::Red),
        WorkerState::Connected | WorkerState::Unspecified => field,
    }
}

/// The first names, and how many more there are.
fn names(names: &[String], shown: usize) -> String {
    let mut line = names.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(",");
    if names.len() > shown {
        line += &format!(",+{}", names.len() - shown);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_shown_some_names_and_how_many_more() {
        let kinds: Vec<_> = ["a", "b", "c"].map(String::from).to_vec();
        assert_eq!(names(&kinds, 3), "a,b,c");
        assert_eq!(names(&kinds, 2), "a,b,+1");
        assert_eq!(names(&[], 2), "");
    }
}
