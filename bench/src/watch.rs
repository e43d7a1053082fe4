//! Many watchers of one job: the cost of an idle watch, and the latency of an event to all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::BytesMut;
use jobstream::proto::v1;
use prost::Message;
use tokio::task::JoinSet;

use super::child::ServerProcess;
use super::jobs::{self, expect};
use super::sample::{Sample, WARM_UP, Window};
use super::wire::{Call, Connection};
use super::{Failed, Result};

/// Streams opened on one connection: just below the server's limit.
const STREAMS_PER_CONNECTION: usize = 1_000;
/// Wait after the streams are open, until memory no longer changes.
const SETTLE: Duration = Duration::from_millis(300);
/// Interval and number of checks whether all streams are open.
const OPEN_CHECK: Duration = Duration::from_millis(5);
const OPEN_CHECKS_MAX: u32 = 6_000;

/// Memory counts as freed at this many times its size before, and within a minute.
const FREED_FACTOR: f64 = 1.5;
const FREED_CHECK: Duration = Duration::from_millis(100);
const FREED_CHECKS_MAX: u32 = 600;

/// Opens this many watches of a queued job and measures the cost of each.
pub(super) async fn idle(server: &ServerProcess, watchers: usize) -> Result<Sample> {
    let job_id = submit_idle_job(server).await?;
    let (_streams, sample) = open(server, watchers, jobs::watch(&job_id)?).await?;
    Ok(sample)
}

/// Opens this many silent streams of the echo service: the lower bound for a watch.
pub(super) async fn idle_echo(server: &ServerProcess, streams: usize) -> Result<Sample> {
    let (_streams, sample) = open(server, streams, jobs::pending()?).await?;
    Ok(sample)
}

/// Cancels a job with this many watchers and measures until the last of them has received the event.
pub(super) async fn fan_out(server: &ServerProcess, watchers: usize) -> Result<Sample> {
    let job_id = submit_idle_job(server).await?;
    let (mut streams, _) = open(server, watchers, jobs::watch(&job_id)?).await?;
    let mut connection = Connection::open(server.port()).await?;
    let (cancel, check) = jobs::cancel(&job_id)?;
    let window = Window::begin(server, 0)?;
    check(&connection.call(&cancel).await?)?;
    while let Some(last) = streams.join_next().await {
        check_end(last??)?;
    }
    window.end(server, watchers as u64)
}

/// Opens this many watches, drops them, and measures until the server has freed their memory.
pub(super) async fn left(server: &ServerProcess, watchers: usize) -> Result<Sample> {
    let job_id = submit_idle_job(server).await?;
    // Pages of the program are resident only after their first use.
    drop(open(server, STREAMS_PER_CONNECTION, jobs::watch(&job_id)?).await?);
    tokio::time::sleep(WARM_UP).await;
    let begin = server.usage()?.resident_bytes;
    drop(open(server, watchers, jobs::watch(&job_id)?).await?);
    let window = Window::begin(server, 0)?;
    let limit = (begin as f64 * FREED_FACTOR) as u64;
    let mut checks = FREED_CHECKS_MAX;
    while server.usage()?.resident_bytes > limit {
        checks = checks.checked_sub(1).ok_or_else(|| {
            let bytes = server.usage().map(|usage| usage.resident_bytes).unwrap_or_default();
            Failed::new(format!("the server holds {bytes} bytes, at the start it held {begin}"))
        })?;
        tokio::time::sleep(FREED_CHECK).await;
    }
    Ok(window.end(server, watchers as u64)?.once())
}

async fn submit_idle_job(server: &ServerProcess) -> Result<String> {
    let (submit, _) = jobs::submit(jobs::IDLE_KIND)?;
    jobs::submitted_id(&Connection::open(server.port()).await?.call(&submit).await?)
}

/// Opens the streams. The task of each reads until the end and returns the last message.
async fn open(
    server: &ServerProcess,
    count: usize,
    call: Call,
) -> Result<(JoinSet<Result<Option<BytesMut>>>, Sample)> {
    let connections = Connection::open_many(server.port(), count.div_ceil(STREAMS_PER_CONNECTION)).await?;
    let opened = Arc::new(AtomicUsize::new(0));
    let window = Window::begin(server, 0)?;
    let mut streams = JoinSet::new();
    for index in 0..count {
        let mut connection = connections[index / STREAMS_PER_CONNECTION].clone();
        let (call, opened) = (call.clone(), opened.clone());
        streams.spawn(async move {
            let mut answer = connection.begin(&call).await?;
            opened.fetch_add(1, Relaxed);
            let mut last = None;
            while answer.read().await? {
                while let Some(message) = answer.next_message() {
                    last = Some(message);
                }
            }
            Ok(last)
        });
    }
    for _ in 0..OPEN_CHECKS_MAX {
        if opened.load(Relaxed) == count {
            break;
        }
        tokio::time::sleep(OPEN_CHECK).await;
    }
    if opened.load(Relaxed) < count {
        return Err(Failed::new(format!("only {} of {count} streams opened", opened.load(Relaxed))).into());
    }
    tokio::time::sleep(SETTLE).await;
    Ok((streams, window.end(server, count as u64)?))
}

fn check_end(last: Option<BytesMut>) -> Result<()> {
    let last = last.ok_or(Failed::new("a watcher received no message"))?;
    let response = v1::WatchResultResponse::decode(last)?;
    let Some(v1::watch_result_response::Message::Event(event)) = response.message else {
        return Err(Failed::new("a watcher's last message is no event").into());
    };
    let is_end = matches!(
        event.event,
        Some(v1::job_event::Event::StateChange(change)) if change.state() == v1::JobState::Cancelled
    );
    expect(is_end, "a watcher did not receive the end")
}
