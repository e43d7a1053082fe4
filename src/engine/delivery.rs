//! Delivery of effects: sorted under the lock, delivered after it. Waiters are woken once the effects are durable.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use hashbrown::HashMap;

use super::feed::Feed;
use super::observers::Observers;
use super::outcomes::{OutcomeQueue, OutcomeWaiter};
use super::session::{Disconnect, Inline, Outbox, OutboxState};
use super::{Engine, Position};
use crate::clock::Now;
use crate::core::{Core, Effect, Effects, LogLine, LogPosition, SessionKey, Submitted, SubmittedJob};
use crate::job::{Assignment, AttemptEnd, JobId, JobState, LeaseId, Order, Timestamp, WaitReason};

/// Most inline attempts that one command runs on the dispatching thread. The rest go to the worker, so that one call does not
/// run the jobs of many others.
const INLINE_RUNS_MAX: usize = 2_048;

/// The state under the engine's lock.
pub(super) struct State {
    pub(super) core: Core,
    pub(super) observers: Observers,
    pub(super) feed: Arc<Feed>,
    pub(super) outboxes: HashMap<SessionKey, Arc<Outbox>>,
    /// Monotonic time until which the ticker sleeps.
    pub(super) ticker_sleeps_until: Duration,
    /// The earliest wall clock start when the ticker went to sleep.
    pub(super) ticker_wall_start: Option<Timestamp>,
    /// Whether the engine was stopped: every watch ends.
    pub(super) stopped: bool,
    /// The numbers of effects and records of the last command: the capacity for those of the next.
    last_command: (usize, usize),
}

/// Most effects or records that a command has capacity for at its start.
const EFFECTS_CAPACITY_MAX: usize = 4_096;

/// The result of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The job's id.
    pub id: JobId,
    /// Whether it existed before with the same spec.
    pub existing: bool,
    /// Its state.
    pub state: JobState,
    /// The sequence of its newest event; 0 if the job ended and was removed before.
    pub sequence: u32,
    /// Why it waits, while it is scheduled or queued.
    pub wait_reason: Option<WaitReason>,
}

/// Effects to deliver after the lock is released.
#[derive(Default)]
pub(super) struct Delivery {
    wakers: Vec<Waker>,
    outboxes: Vec<Arc<Outbox>>,
    queues: Vec<Arc<OutcomeQueue>>,
    inline: Vec<(Inline, Assignment)>,
    log_lines: Vec<LogLine>,
    ticker: bool,
    idle: bool,
}

impl State {
    pub(super) fn new(core: Core, feed: Arc<Feed>) -> Self {
        Self {
            core,
            observers: Observers::default(),
            feed,
            outboxes: HashMap::new(),
            ticker_sleeps_until: Duration::MAX,
            ticker_wall_start: None,
            stopped: false,
            last_command: (0, 0),
        }
    }

    /// Effects for a command. Growing a large buffer costs more than the command itself.
    pub(super) fn new_effects(&self, has_log: bool) -> Effects {
        let (items, records) = self.last_command;
        Effects::with_capacity(items, has_log.then_some(records))
    }

    /// Remembers the size of a command's effects.
    pub(super) fn command_ended(&mut self, effects: &Effects) {
        let records = effects.records.as_ref().map_or(0, Vec::len);
        let bounded = |len: usize| len.min(EFFECTS_CAPACITY_MAX);
        self.last_command = (bounded(effects.items.len()), bounded(records));
    }

    /// Sorts the effects of a command, which are durable once `position` is. Assignments and stops are added to the outbox of
    /// their session here, under the lock, so that a stop never overtakes its assignment.
    pub(super) fn sort(
        &mut self,
        effects: Effects,
        now: Now,
        position: Position,
        may_run_inline: bool,
    ) -> Delivery {
        let (mut delivery, mut changes) = (Delivery::default(), Vec::new());
        if may_run_inline {
            delivery.inline.reserve_exact(effects.items.len().min(INLINE_RUNS_MAX));
        }
        for effect in effects.items {
            match effect {
                Effect::Assign(session, assignment) => {
                    self.assign(session, assignment, position, may_run_inline, &mut delivery);
                }
                Effect::Stop(session, lease, stop) => {
                    self.order(session, &mut delivery, |outbox| {
                        outbox.orders.push_back((position, Order::Stop(lease, stop)));
                    });
                }
                Effect::Drain(session, drain) => {
                    self.order(session, &mut delivery, |outbox| outbox.drain = Some(drain));
                }
                Effect::Disconnect(session) => {
                    self.order(session, &mut delivery, |outbox| {
                        outbox.disconnect = Some(Disconnect::TimedOut);
                    });
                    self.outboxes.remove(&session);
                }
                Effect::Wake(observer) => self.observers.wake(observer),
                Effect::Ended(observer, outcome) => {
                    self.observers.end(observer, &outcome, position, &mut delivery.queues);
                }
                Effect::Removed(observer) => self.observers.job_removed(observer),
                Effect::Changed(change) => changes.push(change),
                Effect::Log(line) => delivery.log_lines.push(*line),
            }
        }
        delivery.wakers = self.observers.take_woken();
        let feed_due = match changes.is_empty() {
            true => None,
            false => self.feed.add(now.monotonic, changes, position, &mut delivery.wakers),
        };
        delivery.ticker = self.is_due_before_ticker(feed_due);
        delivery.idle = self.core.is_draining() && self.core.counts().get(JobState::Running) == 0;
        if delivery.idle || self.stopped {
            self.feed.lock().end(&mut delivery.wakers);
        }
        delivery
    }

    /// Whether something is due before the ticker wakes by itself.
    fn is_due_before_ticker(&self, feed_due: Option<Duration>) -> bool {
        let known = self.ticker_wall_start;
        self.core
            .next_deadline()
            .into_iter()
            .chain(feed_due)
            .min()
            .is_some_and(|deadline| deadline < self.ticker_sleeps_until)
            || self.core.next_wall_start().is_some_and(|start| known.is_none_or(|known| start < known))
    }

    /// Whether this is the session's current outbox.
    pub(super) fn is_outbox(&self, session: SessionKey, outbox: &Arc<Outbox>) -> bool {
        self.outboxes.get(&session).is_some_and(|current| Arc::ptr_eq(current, outbox))
    }

    /// Gives the session another outbox. Returns the waker of the receiver of the former one, which it disconnects.
    pub(super) fn replace_outbox(&mut self, session: SessionKey, outbox: Arc<Outbox>) -> Option<Waker> {
        let before = self.outboxes.insert(session, outbox)?;
        before.add(&mut Vec::new(), |outbox| outbox.disconnect = Some(Disconnect::Replaced));
        before.take_waker()
    }

    fn order(&self, session: SessionKey, delivery: &mut Delivery, add: impl FnOnce(&mut OutboxState)) {
        if let Some(outbox) = self.outboxes.get(&session) {
            outbox.add(&mut delivery.outboxes, add);
        }
    }

    fn assign(
        &self,
        session: SessionKey,
        assignment: Assignment,
        position: Position,
        may_run_inline: bool,
        delivery: &mut Delivery,
    ) {
        let Some(outbox) = self.outboxes.get(&session) else { return };
        match &outbox.inline {
            Some(inline) if may_run_inline && delivery.inline.len() < INLINE_RUNS_MAX => {
                delivery.inline.push((inline.clone(), assignment));
            }
            _ => outbox.add(&mut delivery.outboxes, |outbox| {
                outbox.orders.push_back((position, Order::Run(Box::new(assignment))));
            }),
        }
    }

    pub(super) fn submission(&self, submitted: Submitted) -> Submission {
        let Submitted { id, job, existing } = submitted;
        let (state, sequence, wait_reason) = match job {
            SubmittedJob::Present(key) => {
                (self.core.state(key), self.core.sequence(key), self.core.wait_reason(key))
            }
            SubmittedJob::Removed(state) => (state, 0, None),
        };
        Submission { id, existing, state, sequence, wait_reason }
    }

    /// Registers a waiter for the job's end. If the job has ended, the waiter gets the outcome with `position` at once. Returns
    /// the location of an evicted outcome: the caller loads it for the waiter.
    pub(super) fn await_outcome(
        &mut self,
        job: SubmittedJob,
        waiter: OutcomeWaiter,
        position: Position,
    ) -> Option<(LogPosition, OutcomeWaiter)> {
        let key = match job {
            SubmittedJob::Present(key) => key,
            SubmittedJob::Removed(state) => {
                waiter.end_removed(state, position);
                return None;
            }
        };
        if let Some(location) = self.core.log_position(key) {
            return Some((location, waiter));
        }
        match self.core.outcome(key, None) {
            Some(outcome) => drop(waiter.end(outcome.clone(), position)),
            None => {
                self.observers.add_outcome_waiter(&mut self.core, key, waiter);
            }
        }
        None
    }

    /// Ends attempts. A lease that was lost is ignored: its worker was ordered to stop.
    pub(super) fn end_attempts(
        &mut self,
        now: Now,
        ends: impl IntoIterator<Item = (SessionKey, LeaseId, AttemptEnd)>,
        effects: &mut Effects,
    ) {
        for (session, lease, end) in ends {
            let _ = self.core.end_attempt(now, session, lease, end, effects);
        }
    }

    /// Wakes every watch.
    pub(super) fn wake_watches(&mut self) {
        self.observers.wake_all();
    }

    /// The wakers of every stream: of watches, workers and submit streams.
    pub(super) fn take_all_wakers(&mut self) -> Vec<Waker> {
        self.observers.wake_all();
        let mut wakers = self.observers.take_woken();
        self.feed.lock().take_wakers(&mut wakers);
        wakers.extend(self.outboxes.values().filter_map(|outbox| outbox.take_waker()));
        wakers.extend(self.observers.take_outcome_wakers());
        wakers
    }
}

impl Engine {
    /// Runs inline attempts, and those that their ends start. Wakes all waiters once `position` is durable.
    pub(super) fn deliver(&self, mut delivery: Delivery, position: Position) {
        let mut inline_runs = 0;
        loop {
            let inline = std::mem::take(&mut delivery.inline);
            self.wake(delivery, position);
            if inline.is_empty() {
                return;
            }
            inline_runs += inline.len();
            delivery = self.run_inline(inline, inline_runs < INLINE_RUNS_MAX);
        }
    }

    fn run_inline(&self, attempts: Vec<(Inline, Assignment)>, may_run_more: bool) -> Delivery {
        let ends: Vec<_> = attempts
            .into_iter()
            .map(|(inline, assignment)| (inline.session, assignment.lease, (inline.handler)(assignment)))
            .collect();
        let mut state = self.0.state.lock();
        let mut effects = state.new_effects(false);
        let now = self.now();
        state.end_attempts(now, ends, &mut effects);
        state.sort(effects, now, Position::default(), may_run_more)
    }

    fn wake(&self, delivery: Delivery, position: Position) {
        let wake = |waker: Waker| self.wake_at(position, waker);
        delivery.outboxes.iter().filter_map(|outbox| outbox.take_waker()).for_each(wake);
        delivery.queues.iter().filter_map(|queue| queue.take_waker()).for_each(wake);
        delivery.wakers.into_iter().for_each(wake);
        self.log_when_durable(delivery.log_lines, position);
        if delivery.ticker {
            self.0.timer_changed.notify_one();
        }
        if delivery.idle {
            self.0.idle.notify_waiters();
        }
    }
}
