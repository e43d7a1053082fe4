//! Handlers in this process that report their events to the test.

use std::time::Instant;

use jobstream::job::Payload;
use jobstream::worker::{JobContext, JobError, Worker};
use tokio::sync::mpsc;

use crate::support::{Gate, wait_for};

/// The capacity of the channel, above the number of events in any test.
const OBSERVATIONS_MAX: usize = 10_000;

/// An event of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandlerEvent {
    Started,
    /// The handler observed a cancel and stopped.
    Cancelled,
    /// The handler was dropped before its end.
    Dropped,
}

/// An event with its attempt and time.
#[derive(Debug, Clone)]
pub(super) struct Observation {
    job: String,
    pub(super) attempt: u32,
    what: HandlerEvent,
    pub(super) at: Instant,
}

/// Receives the events of the handlers of one worker.
pub(super) struct HandlerObserver {
    observations: mpsc::Receiver<Observation>,
    pending: Vec<Observation>,
    /// The gate at which the handlers wait.
    pub(super) gate: Gate,
}

impl HandlerObserver {
    /// Returns a worker of two kinds. Both wait at the gate and return their attempt and the worker's name. `hold` stops
    /// on a cancel, `stubborn` ignores it.
    pub(super) fn of(name: &'static str) -> (Worker, Self) {
        let (sender, observations) = mpsc::channel(OBSERVATIONS_MAX);
        let gate = Gate::new();
        let (holding, stubborn) = ((sender.clone(), gate.clone()), (sender, gate.clone()));
        let worker = Worker::new()
            .name(name)
            .raw_handler("hold", move |context| hold(context, name, holding.clone()))
            .raw_handler("stubborn", move |context| pass(context, name, stubborn.clone()));
        (worker, Self { observations, pending: Vec::new(), gate })
    }

    /// Waits for this event of the handler of a job.
    pub(super) async fn wait_for_event(&mut self, what: HandlerEvent, job: &str) -> Observation {
        loop {
            if let Some(at) =
                self.pending.iter().position(|observation| observation.what == what && observation.job == job)
            {
                return self.pending.remove(at);
            }
            let next = wait_for(&format!("{what:?} of {job}"), self.observations.recv()).await;
            self.pending.push(next.expect("the worker runs"));
        }
    }

    /// Returns whether there is such an event that no wait has taken.
    pub(super) fn has_seen_event(&mut self, what: HandlerEvent) -> bool {
        while let Ok(observation) = self.observations.try_recv() {
            self.pending.push(observation);
        }
        self.pending.iter().any(|observation| observation.what == what)
    }
}

type HandlerState = (mpsc::Sender<Observation>, Gate);

/// Reports the events of one attempt, also a drop before its end.
struct AttemptObserver {
    job: String,
    attempt: u32,
    observations: mpsc::Sender<Observation>,
    has_ended: bool,
}

impl AttemptObserver {
    fn of(context: &JobContext, observations: mpsc::Sender<Observation>) -> Self {
        let (job, attempt) = (context.job_id().to_string(), context.attempt());
        let attempt = Self { job, attempt, observations, has_ended: false };
        attempt.send(HandlerEvent::Started);
        attempt
    }

    fn send(&self, what: HandlerEvent) {
        let observation =
            Observation { job: self.job.clone(), attempt: self.attempt, what, at: Instant::now() };
        // The receiver is dropped after the end of the test.
        let _ = self.observations.try_send(observation);
    }
}

impl Drop for AttemptObserver {
    fn drop(&mut self) {
        if !self.has_ended {
            self.send(HandlerEvent::Dropped);
        }
    }
}

async fn hold(
    context: JobContext,
    name: &str,
    (observations, gate): HandlerState,
) -> Result<Payload, JobError> {
    let mut attempt = AttemptObserver::of(&context, observations);
    let passed = context.unless_cancelled(gate.pass()).await;
    attempt.has_ended = true;
    passed.inspect_err(|_| attempt.send(HandlerEvent::Cancelled))?;
    Ok(Payload::text(format!("{} {name}", context.attempt())))
}

async fn pass(
    context: JobContext,
    name: &str,
    (observations, gate): HandlerState,
) -> Result<Payload, JobError> {
    let mut attempt = AttemptObserver::of(&context, observations);
    gate.pass().await;
    attempt.has_ended = true;
    Ok(Payload::text(format!("{} {name}", context.attempt())))
}
