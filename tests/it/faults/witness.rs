//! Handlers in this process that tell the test what they live through, as soon as it happens.

use std::time::Instant;

use jobstream::job::Payload;
use jobstream::worker::{JobContext, JobError, Worker};
use tokio::sync::mpsc;

use crate::support::{Gate, wait_for};

/// Room for all that any test's handlers have to tell.
const SIGHTS_MAX: usize = 10_000;

/// What a handler may live through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Began,
    /// It was told to stop, and does.
    Told,
    /// It was dropped before its end.
    Dropped,
}

/// What a handler lived through.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    job: String,
    pub(super) attempt: u32,
    what: Seen,
    pub(super) at: Instant,
}

/// Hears the handlers of one worker.
pub(super) struct Witness {
    sights: mpsc::Receiver<Sight>,
    unasked: Vec<Sight>,
    /// Where they wait.
    pub(super) gate: Gate,
}

impl Witness {
    /// A worker of two kinds, both of which wait at the gate and answer their attempt and the worker's name: `hold`
    /// stops when it is told to, `deaf` does not listen.
    pub(super) fn of(name: &'static str) -> (Worker, Self) {
        let (sender, sights) = mpsc::channel(SIGHTS_MAX);
        let gate = Gate::new();
        let (holding, deaf) = ((sender.clone(), gate.clone()), (sender, gate.clone()));
        let worker = Worker::new()
            .name(name)
            .raw_handler("hold", move |context| hold(context, name, holding.clone()))
            .raw_handler("deaf", move |context| pass(context, name, deaf.clone()));
        (worker, Self { sights, unasked: Vec::new(), gate })
    }

    /// Waits until the handler of this job has told this.
    pub(super) async fn sees(&mut self, what: Seen, job: &str) -> Sight {
        loop {
            if let Some(at) = self.unasked.iter().position(|sight| sight.what == what && sight.job == job) {
                return self.unasked.remove(at);
            }
            let next = wait_for(&format!("{what:?} of {job}"), self.sights.recv()).await;
            self.unasked.push(next.expect("the worker runs"));
        }
    }

    /// Whether any handler has told this and nobody has asked for it.
    pub(super) fn has_seen(&mut self, what: Seen) -> bool {
        while let Ok(sight) = self.sights.try_recv() {
            self.unasked.push(sight);
        }
        self.unasked.iter().any(|sight| sight.what == what)
    }
}

type Place = (mpsc::Sender<Sight>, Gate);

/// Tells of one attempt; dropped before its end, that too.
struct Voice {
    job: String,
    attempt: u32,
    sights: mpsc::Sender<Sight>,
    has_ended: bool,
}

impl Voice {
    fn of(context: &JobContext, sights: mpsc::Sender<Sight>) -> Self {
        let (job, attempt) = (context.job_id().to_string(), context.attempt());
        let voice = Self { job, attempt, sights, has_ended: false };
        voice.tell(Seen::Began);
        voice
    }

    fn tell(&self, what: Seen) {
        let sight = Sight { job: self.job.clone(), attempt: self.attempt, what, at: Instant::now() };
        // The test may have ended.
        let _ = self.sights.try_send(sight);
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        if !self.has_ended {
            self.tell(Seen::Dropped);
        }
    }
}

async fn hold(context: JobContext, name: &str, (sights, gate): Place) -> Result<Payload, JobError> {
    let mut voice = Voice::of(&context, sights);
    let passed = context.unless_cancelled(gate.pass()).await;
    voice.has_ended = true;
    passed.inspect_err(|_| voice.tell(Seen::Told))?;
    Ok(Payload::text(format!("{} {name}", context.attempt())))
}

async fn pass(context: JobContext, name: &str, (sights, gate): Place) -> Result<Payload, JobError> {
    let mut voice = Voice::of(&context, sights);
    gate.pass().await;
    voice.has_ended = true;
    Ok(Payload::text(format!("{} {name}", context.attempt())))
}
