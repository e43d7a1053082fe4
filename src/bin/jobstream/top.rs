//! `jobstream top`: queues, rates and workers, refreshed on a terminal.

mod terminal;
mod view;

use std::time::Duration;

use clap::Args;
use jobstream::client::{self, ErrorKind};
use jobstream::proto::v1::{GetServerInfoResponse, GetStatsRequest, GetStatsResponse, Queue, Worker};
use tokio::time::sleep;

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt;
use crate::narrowed::{self, List};
use crate::output::GlobalArgs;
use crate::units;
use terminal::Terminal;

/// Shortest time between two refreshes.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// The time of the rates and quantiles.
const RATE_SECONDS: u32 = 60;

const EXAMPLES: &str = "\
Rates and times are those of the last minute. Columns of queues: what keeps
waiting jobs from running (paused, or kinds without a worker), jobs that wait
and run, accepted and ended a second, retained failures, age of the oldest
queued job. Without a terminal it prints once. Ctrl-C ends it.

Examples:
  jobstream top
  jobstream top --interval 500ms
  jobstream top -o json | jq '.stats.total.wait'";

/// Watch queues, rates and workers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Top {
    /// Time between two refreshes, at least 50ms
    #[arg(long, value_name = "SPAN", value_parser = interval, default_value = "2s")]
    interval: Duration,
    /// Print once, also on a terminal
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// What the server said at one time. A part that the caller may not see is `None`.
#[derive(Debug, Clone)]
struct Snapshot {
    server: GetServerInfoResponse,
    stats: Option<GetStatsResponse>,
    queues: Option<Vec<Queue>>,
    workers: Option<Vec<Worker>>,
    /// Which of these parts the grants of the caller narrow, in words.
    narrowed: Option<String>,
}

impl Top {
    /// Runs the command.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let mut interrupts = interrupt::listen(Exit::Interrupted, None)?;
        let client = self.client.connect(global).await?;
        let mut snapshot = client.call(snapshot_of(&client.api, None)).await?;
        let is_live = client.output.stdout_is_terminal && !client.output.format.is_json() && !self.once;
        if !is_live {
            view::print(&client, &snapshot)?;
            return Ok(Exit::Ok);
        }
        let terminal = Terminal::open(&client.output)?;
        let mut problem = None;
        loop {
            terminal.show(&view::lines(&client, &snapshot, problem.as_deref(), terminal.size()))?;
            tokio::select! {
                () = interrupts.next() => return Ok(Exit::Ok),
                () = sleep(self.interval) => {}
            }
            let refreshed = tokio::select! {
                () = interrupts.next() => return Ok(Exit::Ok),
                refreshed = snapshot_of(&client.api, Some(&snapshot)) => refreshed,
            };
            match refreshed {
                Ok(refreshed) => (snapshot, problem) = (refreshed, None),
                Err(error) if is_transient(&error) => problem = Some(error.to_string()),
                Err(error) => return Err(client.error(&error)),
            }
        }
    }
}

fn interval(text: &str) -> std::result::Result<Duration, String> {
    match units::duration(text)? {
        interval if interval < INTERVAL_MIN => Err(format!("it must be at least {INTERVAL_MIN:?}")),
        interval => Ok(interval),
    }
}

/// A snapshot after the former one. A part that was denied is not requested again: the server logs each refused call.
async fn snapshot_of(api: &client::Client, former: Option<&Snapshot>) -> client::Result<Snapshot> {
    let range = Some(prost_types::Duration { seconds: RATE_SECONDS.into(), nanos: 0 });
    let request = GetStatsRequest { range, step: range, ..GetStatsRequest::default() };
    let (server, stats, queues, workers) = tokio::join!(
        api.server_info(),
        if_permitted(former.is_some_and(|former| former.stats.is_none()), api.stats(request)),
        if_permitted(former.is_some_and(|former| former.queues.is_none()), api.queues()),
        if_permitted(former.is_some_and(|former| former.workers.is_none()), api.workers()),
    );
    let mut snapshot =
        Snapshot { server: server?, stats: stats?, queues: queues?, workers: workers?, narrowed: None };
    snapshot.narrowed = match former {
        Some(former) => former.narrowed.clone(),
        None => narrowed::reason(api, &snapshot.lists()).await,
    };
    Ok(snapshot)
}

impl Snapshot {
    /// The lists that it has.
    fn lists(&self) -> Vec<List> {
        let jobs = self.stats.as_ref().map(|_| List::Jobs);
        let queues = self.queues.as_ref().map(|_| List::Queues);
        let workers = self.workers.as_ref().map(|_| List::Workers);
        [jobs, queues, workers].into_iter().flatten().collect()
    }
}

/// The answer of the call. `None` if it was denied before, the caller has no grant for it, or the server is older than it.
async fn if_permitted<T>(
    was_denied: bool,
    call: impl Future<Output = client::Result<T>>,
) -> client::Result<Option<T>> {
    if was_denied {
        return Ok(None);
    }
    match call.await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unimplemented) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether the next refresh may succeed.
fn is_transient(error: &client::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::DeadlineExceeded | ErrorKind::ResourceExhausted
    )
}
