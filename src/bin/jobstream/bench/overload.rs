//! Ten times as many jobs as a small server can run, sent on time whatever it answers.

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
/// Jobs that it takes: as many wait as run.
pub(super) const JOBS_MAX: u32 = 2 * SLOTS;
/// How many times too many there are.
const OVERLOAD: f64 = 10.0;
/// How often it is looked which calls are due.
const TICK: Duration = Duration::from_millis(1);

/// Which of the calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Taken,
    Refused,
}

/// Keeps the server full, and never fuller.
pub(super) async fn as_many_as_fit(server: &ServerProcess, load: Load) -> Result<Sample> {
    let (call, check) = jobs::run_slow()?;
    calls::measure(server, Load { in_flight: JOBS_MAX as usize, ..load }, call, check).await
}

/// Latencies count from when a call was due, not from when it was made.
pub(super) async fn too_many(server: &ServerProcess, load: Load, part: Part) -> Result<Sample> {
    let connections = Connection::open_many(server.port(), load.connections).await?;
    let (call, check) = jobs::run_slow()?;
    let told = Told::default();
    let sending = tokio::spawn(send(connections, call, check, told.clone()));
    tokio::time::sleep(WARM_UP).await;
    told.take(part)?;
    let window = Window::begin(server, 0)?;
    tokio::time::sleep(Duration::from_secs_f64(load.seconds)).await;
    let latencies = told.take(part)?;
    let mut sample = window.end(server, latencies.len() as u64)?;
    sending.abort();
    sample.add_latencies(&latencies);
    sample.sort_latencies();
    Ok(sample)
}

async fn send(connections: Vec<Connection>, call: Call, check: Check, told: Told) {
    let interval = JOB_TIME.div_f64(f64::from(SLOTS) * OVERLOAD);
    let mut due = Instant::now();
    let mut in_turn = connections.iter().cycle();
    loop {
        while due <= Instant::now() {
            let Some(connection) = in_turn.next() else { return };
            tokio::spawn(make(connection.clone(), call.clone(), check, due, told.clone()));
            due += interval;
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn make(mut connection: Connection, call: Call, check: Check, due: Instant, told: Told) {
    let answer = connection.call(&call).await.and_then(|answer| check(&answer));
    let nanos = due.elapsed().as_nanos() as u64;
    let mut told = told.lock();
    match answer {
        Ok(()) => told.taken.push(nanos),
        Err(error) if error.downcast_ref().is_some_and(Refused::is_for_want_of_room) => {
            told.refused.push(nanos);
        }
        Err(error) => told.failed = Some(error.to_string()),
    }
}

/// What the calls were told since it was last asked.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    /// How long they took, in nanoseconds.
    taken: Vec<u64>,
    refused: Vec<u64>,
    failed: Option<String>,
}

impl Told {
    fn lock(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, part: Part) -> Result<Vec<u64>> {
        let answers = std::mem::take(&mut *self.lock());
        match answers.failed {
            Some(error) => Err(Failed::new(error).into()),
            None if part == Part::Taken => Ok(answers.taken),
            None => Ok(answers.refused),
        }
    }
}
