//! A snapshot as lines for a terminal, as text and as JSON.

use std::time::Duration;

use jobstream::proto::v1::{GetStatsResponse, Quantiles, Queue, StatsPoint, Worker, WorkerState};
use serde_json::{Value, json};

use super::{RATE_SECONDS, Snapshot};
use crate::connect::Client;
use crate::error::Result;
use crate::info;
use crate::output::style::{Color, Style};
use crate::output::table::{Column, Columns, Field};
use crate::output::{json as to_json, screen, text};

const QUEUES: [Column; 8] = [
    Column::new("QUEUE").shortened_to(12),
    Column::new("BLOCKED").shortened_to(8).dropped(1),
    Column::new("WAITING"),
    Column::new("RUNNING"),
    Column::new("IN/S"),
    Column::new("OUT/S"),
    Column::new("FAILED").dropped(2),
    Column::new("OLDEST"),
];

const WORKERS: [Column; 6] = [
    Column::new("WORKER").shortened_to(12),
    Column::new("STATE"),
    Column::new("SLOTS"),
    Column::new("KINDS").shortened_to(16),
    Column::new("SDK").dropped(2),
    Column::new("ADDRESS").dropped(1),
];

/// Lines above the tables, and the blank lines and headers of both.
const OTHER_LINES: usize = 4 + 4;

/// Writes the snapshot to stdout.
pub(super) fn print(client: &Client, snapshot: &Snapshot) -> Result<()> {
    if client.output.format.is_json() {
        return client.output.json(&value(snapshot)?);
    }
    let lines = all_lines(client, snapshot, None, usize::MAX, client.output.width);
    client.output.raw(format!("{}\n", lines.join("\n")).as_bytes())
}

/// The snapshot as one JSON object.
fn value(snapshot: &Snapshot) -> Result<Value> {
    let list = |name, values: Vec<Result<Value>>| -> Result<(String, Value)> {
        Ok((String::from(name), Value::Array(values.into_iter().collect::<Result<_>>()?)))
    };
    let mut object = serde_json::Map::new();
    object.insert("server".to_owned(), to_json::message("GetServerInfoResponse", &snapshot.server)?);
    if let Some(stats) = &snapshot.stats {
        object.insert("stats".to_owned(), to_json::message("GetStatsResponse", stats)?);
    }
    if let Some(queues) = &snapshot.queues {
        object.extend([list("queues", queues.iter().map(|q| to_json::message("Queue", q)).collect())?]);
    }
    if let Some(workers) = &snapshot.workers {
        object.extend([list("workers", workers.iter().map(|w| to_json::message("Worker", w)).collect())?]);
    }
    Ok(json!(object))
}

/// The lines that fit the terminal. A problem is why the snapshot is not current.
pub(super) fn lines(
    client: &Client,
    snapshot: &Snapshot,
    problem: Option<&str>,
    (rows, width): (u16, u16),
) -> Vec<String> {
    let mut lines = all_lines(client, snapshot, problem, usize::from(rows), Some(width));
    lines.truncate(rows.into());
    lines
}

fn all_lines(
    client: &Client,
    snapshot: &Snapshot,
    problem: Option<&str>,
    rows: usize,
    width: Option<u16>,
) -> Vec<String> {
    let style = client.output.style;
    let mut lines = vec![fitted(&server_line(client, snapshot), width)];
    match &snapshot.stats {
        Some(stats) => {
            lines.extend([rate_line(stats, snapshot), time_line(stats)].map(|line| fitted(&line, width)));
        }
        None => lines.push("rates: need the grant list".to_owned()),
    }
    lines.extend(problem.map(|problem| style.paint(Color::Red, &fitted(problem, width))));
    lines.extend(snapshot.narrowed.as_ref().map(|narrowed| fitted(narrowed, width)));
    let rows = rows.saturating_sub(OTHER_LINES + usize::from(snapshot.narrowed.is_some()));
    let (queues, workers) = (snapshot.queues.as_deref(), snapshot.workers.as_deref());
    let workers_len = workers.map_or(0, <[Worker]>::len);
    let for_queues = rows.saturating_sub(workers_len).max(rows / 2);
    match queues {
        Some(queues) => lines.extend(section(queue_table(queues), queues.len(), for_queues, style, width)),
        None => lines.extend([String::new(), "queues: needs the grant list".to_owned()]),
    }
    let for_workers = rows.saturating_sub(queues.map_or(0, <[Queue]>::len).min(for_queues));
    match workers {
        Some(workers) => lines.extend(section(worker_table(workers), workers_len, for_workers, style, width)),
        None => lines.extend([String::new(), "workers: needs the grant admin".to_owned()]),
    }
    lines
}

/// A blank line and the table, with at most so many rows, and how many more there are.
fn section(
    table: Columns,
    len: usize,
    rows_max: usize,
    style: Style,
    width: Option<u16>,
) -> impl Iterator<Item = String> {
    let rows = if len > rows_max { rows_max.saturating_sub(1) } else { len };
    let text = table.aligned(style, width);
    let mut lines: Vec<_> = text.lines().take(rows + 1).map(str::to_owned).collect();
    if len > rows {
        lines.push(style.paint(Color::Dim, &format!("and {} more", len - rows)));
    }
    std::iter::once(String::new()).chain(lines)
}

/// One line of at most this width, without characters that affect the terminal.
fn fitted(line: &str, width: Option<u16>) -> String {
    screen::clean(line).chars().take(width.map_or(usize::MAX, usize::from)).collect()
}

fn server_line(client: &Client, snapshot: &Snapshot) -> String {
    let server = &snapshot.server;
    let uptime = server.uptime.and_then(|uptime| uptime.try_into().ok()).unwrap_or_default();
    let draining = if server.draining { "  DRAINING" } else { "" };
    let totals = match info::shows_totals(server) {
        true => {
            let [jobs, watches] = [server.jobs, server.watchers].map(|total| text::count(total.into()));
            format!("  {jobs} jobs  {watches} watches")
        }
        false => String::new(),
    };
    format!(
        "jobstream {}  {}  up {}{totals}  {}{draining}",
        server.version,
        server.mode,
        text::duration(uptime),
        client.address.url(),
    )
}

fn rate_line(stats: &GetStatsResponse, snapshot: &Snapshot) -> String {
    let total = stats.total.unwrap_or_default();
    let uptime = snapshot.server.uptime.map_or(u64::MAX, |uptime| uptime.seconds.unsigned_abs());
    let seconds = uptime.clamp(1, RATE_SECONDS.into()) as f64;
    let rate = |count: u64| rate(count as f64 / seconds);
    let StatsPoint { submitted, started, succeeded, failed, cancelled, .. } = total;
    format!(
        "per second  submitted {}  started {}  succeeded {}  failed {}  cancelled {}",
        rate(submitted),
        rate(started),
        rate(succeeded),
        rate(failed),
        rate(cancelled)
    )
}

fn time_line(stats: &GetStatsResponse) -> String {
    let total = stats.total.unwrap_or_default();
    format!(
        "now  waiting {}  running {}  wait {}  run {}",
        text::count(total.waiting),
        text::count(total.running),
        quantiles(total.wait),
        quantiles(total.run)
    )
}

/// `p50 2ms p99 1.5s`.
fn quantiles(quantiles: Option<Quantiles>) -> String {
    let quantiles = quantiles.unwrap_or_default();
    let show = |quantile: Option<prost_types::Duration>| {
        quantile.and_then(|quantile| Duration::try_from(quantile).ok()).map(short)
    };
    match (show(quantiles.p50), show(quantiles.p99)) {
        (Some(p50), Some(p99)) => format!("p50 {p50} p99 {p99}"),
        _ => "-".to_owned(),
    }
}

/// A duration. The server's histograms do not distinguish durations below 1 ms.
fn short(duration: Duration) -> String {
    match duration < Duration::from_millis(1) {
        true => "<1ms".to_owned(),
        false => text::duration(duration),
    }
}

/// A rate with one decimal place below 100.
fn rate(rate: f64) -> String {
    match rate {
        100.0.. => text::count(rate.round() as u64),
        _ => format!("{rate:.1}"),
    }
}

/// The queues, those with the most waiting jobs first.
fn queue_table(queues: &[Queue]) -> Columns {
    let waiting = |queue: &Queue| {
        let counts = queue.counts.unwrap_or_default();
        counts.scheduled + counts.queued
    };
    let mut sorted: Vec<_> = queues.iter().collect();
    sorted.sort_by_key(|queue| std::cmp::Reverse(waiting(queue)));
    let mut table = Columns::new(QUEUES);
    for queue in sorted {
        let counts = queue.counts.unwrap_or_default();
        let oldest = queue.oldest_queued_age.and_then(|age| age.try_into().ok()).map(text::duration);
        table.row([
            Field::from(&queue.queue),
            blocked(queue),
            text::count(waiting(queue).into()).into(),
            text::count(counts.running.into()).into(),
            rate(queue.accepted_per_second).into(),
            rate(queue.finished_per_second).into(),
            text::count(counts.failed.into()).into(),
            oldest.unwrap_or_default().into(),
        ]);
    }
    table
}

/// What keeps waiting jobs of a queue from running.
fn blocked(queue: &Queue) -> Field {
    match (queue.paused, queue.unserved_kinds.is_empty()) {
        (true, _) => Field::from("paused").color(Color::Yellow),
        (false, false) => {
            Field::from(format!("no worker: {}", queue.unserved_kinds.join(","))).color(Color::Red)
        }
        (false, true) => Field::from(""),
    }
}

fn worker_table(workers: &[Worker]) -> Columns {
    let mut table = Columns::new(WORKERS);
    for worker in workers {
        let state = Field::from(text::worker_state(worker.state()));
        let state = match worker.state() {
            WorkerState::Draining => state.color(Color::Yellow),
            WorkerState::Disconnected => state.color(Color::Red),
            WorkerState::Connected | WorkerState::Unspecified => state,
        };
        table.row([
            Field::from(&worker.name),
            state,
            format!("{}/{}", worker.slots_taken, worker.slots).into(),
            worker.kinds.join(",").into(),
            Field::from(&worker.sdk),
            Field::from(&worker.address),
        ]);
    }
    table
}
