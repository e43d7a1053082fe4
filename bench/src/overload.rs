//! Ten times as many jobs as a small server can run, sent at a fixed rate (an open loop).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::calls::{self, Check, Load};
use super::child::ServerProcess;
use super::jobs::{self, JOB_TIME};
use super::sample::{Sample, WARM_UP, Window};
use super::wire::{Call, Connection, Refused};
use super::{Failed, Result};

/// Jobs that the small server runs at a time.
pub(super) const SLOTS: u32 = 64;
/// Jobs that the small server accepts: as many queued as running.
pub(super) const JOBS_MAX: u32 = 2 * SLOTS;
/// The rate of jobs, divided by the rate that the small server can run.
const OVERLOAD: f64 = 10.0;
/// Interval at which due calls are sent.
const TICK: Duration = Duration::from_millis(1);

/// The calls that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Accepted,
    Refused,
}

/// Keeps the server at its capacity.
pub(super) async fn at_capacity(server: &ServerProcess, load: Load) -> Result<Sample> {
    let (call, check) = jobs::run_slow()?;
    calls::measure(server, Load { in_flight: JOBS_MAX as usize, ..load }, call, check).await
}

/// A latency counts from the time at which the call was due.
pub(super) async fn overloaded(server: &ServerProcess, load: Load, part: Part) -> Result<Sample> {
    let connections = Connection::open_many(server.port(), load.connections).await?;
    let (call, check) = jobs::run_slow()?;
    let answers = SharedAnswers::default();
    let sending = tokio::spawn(send(connections, call, check, answers.clone()));
    tokio::time::sleep(WARM_UP).await;
    answers.take(part)?;
    let window = Window::begin(server, 0)?;
    tokio::time::sleep(Duration::from_secs_f64(load.seconds)).await;
    let latencies = answers.take(part)?;
    let mut sample = window.end(server, latencies.len() as u64)?;
    sending.abort();
    sample.add_latencies(&latencies);
    sample.sort_latencies();
    Ok(sample)
}

async fn send(connections: Vec<Connection>, call: Call, check: Check, answers: SharedAnswers) {
    let interval = JOB_TIME.div_f64(f64::from(SLOTS) * OVERLOAD);
    let mut due = Instant::now();
    let mut in_turn = connections.iter().cycle();
    loop {
        while due <= Instant::now() {
            let Some(connection) = in_turn.next() else { return };
            tokio::spawn(call_once(connection.clone(), call.clone(), check, due, answers.clone()));
            due += interval;
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn call_once(
    mut connection: Connection,
    call: Call,
    check: Check,
    due: Instant,
    answers: SharedAnswers,
) {
    let answer = connection.call(&call).await.and_then(|answer| check(&answer));
    let nanos = due.elapsed().as_nanos() as u64;
    let mut answers = answers.lock();
    match answer {
        Ok(()) => answers.accepted.push(nanos),
        Err(error) if error.downcast_ref().is_some_and(Refused::is_for_capacity) => {
            answers.refused.push(nanos);
        }
        Err(error) => answers.failed = Some(error.to_string()),
    }
}

/// The answers since the last [`SharedAnswers::take`].
#[derive(Clone, Default)]
struct SharedAnswers(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    /// Latencies in nanoseconds.
    accepted: Vec<u64>,
    refused: Vec<u64>,
    failed: Option<String>,
}

impl SharedAnswers {
    fn lock(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, part: Part) -> Result<Vec<u64>> {
        let answers = std::mem::take(&mut *self.lock());
        match answers.failed {
            Some(error) => Err(Failed::new(error).into()),
            None if part == Part::Accepted => Ok(answers.accepted),
            None => Ok(answers.refused),
        }
    }
}
