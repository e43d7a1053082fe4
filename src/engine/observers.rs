//! The observers of jobs: wakers of watches, and streams that wait for outcomes.
//!
//! A watch is a cursor and a waker, never a queue. Waking takes all wakers at once; a watch that still waits registers its
//! waker again when it is polled.

use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use super::Position;
use super::outcomes::{OutcomeQueue, OutcomeWaiter};
use crate::core::{Core, JobKey};
use crate::job::Outcome;

/// Largest capacity that is retained while no job is observed.
const KEPT_OBSERVERS_MAX: usize = 4_096;

/// Wakers to be woken after the lock is released.
pub(super) type Wakers = Slab<Waker>;

/// Where a watch's waker is registered; valid as long as the round is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WakerPlace {
    observer: u32,
    round: u64,
    index: usize,
}

#[derive(Default)]
struct Observer {
    key: Option<JobKey>,
    /// Counts how often the wakers were taken. Never repeats, even when the slot of an observer is reused.
    round: u64,
    wakers: Wakers,
    /// Open watches. A finished job is retained for them.
    watches: u32,
    /// The stream that waits for the outcome; further streams if the same job was submitted through several.
    outcome_waiter: Option<OutcomeWaiter>,
    more_outcome_waiters: Vec<OutcomeWaiter>,
}

#[derive(Default)]
pub(super) struct Observers {
    observers: Slab<Observer>,
    rounds: u64,
    woken: Vec<Wakers>,
}

impl Observers {
    /// The observer of this job, created if there is none.
    pub(super) fn of(&mut self, core: &mut Core, key: JobKey) -> u32 {
        match core.observer(key) {
            0 => {
                self.rounds += 1;
                let observer = Observer { key: Some(key), round: self.rounds, ..Observer::default() };
                let observer = self.observers.insert(observer) as u32 + 1;
                core.set_observer(key, observer, false);
                observer
            }
            observer => observer,
        }
    }

    /// Registers a waker for the job's next event, in place of the waker that this watch registered before.
    pub(super) fn add_waker(
        &mut self,
        observer: u32,
        before: Option<WakerPlace>,
        waker: &Waker,
    ) -> WakerPlace {
        let place = &mut self.observers[observer as usize - 1];
        if let Some(before) =
            before.filter(|before| before.observer == observer && before.round == place.round)
        {
            place.wakers[before.index].clone_from(waker);
            return before;
        }
        let index = place.wakers.insert(waker.clone());
        WakerPlace { observer, round: place.round, index }
    }

    /// Counts a watch of the job, until [`Observers::detach`]. Returns the job's observer.
    pub(super) fn attach(&mut self, core: &mut Core, key: JobKey) -> u32 {
        let observer = self.of(core, key);
        self.observers[observer as usize - 1].watches += 1;
        core.set_observer(key, observer, true);
        observer
    }

    /// Whether the observed job was removed.
    pub(super) fn is_without_job(&self, observer: u32) -> bool {
        self.observers[observer as usize - 1].key.is_none()
    }

    /// The job was removed.
    pub(super) fn job_removed(&mut self, observer: u32) {
        self.observers[observer as usize - 1].key = None;
    }

    /// Removes a watch and its waker, and the observer if it has no other user.
    pub(super) fn detach(&mut self, core: &mut Core, observer: u32, waker: Option<WakerPlace>) {
        let place = &mut self.observers[observer as usize - 1];
        if let Some(waker) = waker.filter(|waker| waker.round == place.round) {
            place.wakers.remove(waker.index);
        }
        place.watches -= 1;
        if place.watches > 0 {
            return;
        }
        let is_needed = place.outcome_waiter.is_some();
        if let Some(key) = place.key {
            core.set_observer(key, if is_needed { observer } else { 0 }, false);
        }
        if !is_needed {
            self.forget(observer);
        }
    }

    /// Frees the observer's slot. When the last one is freed after a peak, the memory of all is released.
    fn forget(&mut self, observer: u32) -> Observer {
        let gone = self.observers.remove(observer as usize - 1);
        if self.observers.is_empty() && self.observers.capacity() > KEPT_OBSERVERS_MAX {
            self.observers = Slab::new();
        }
        gone
    }

    pub(super) fn add_outcome_waiter(&mut self, observer: u32, waiter: OutcomeWaiter) {
        let observer = &mut self.observers[observer as usize - 1];
        match observer.outcome_waiter {
            None => observer.outcome_waiter = Some(waiter),
            Some(_) => observer.more_outcome_waiters.push(waiter),
        }
    }

    /// Takes the wakers, because the job has a new event.
    pub(super) fn wake(&mut self, observer: u32) -> Wakers {
        self.rounds += 1;
        let observer = &mut self.observers[observer as usize - 1];
        observer.round = self.rounds;
        std::mem::take(&mut observer.wakers)
    }

    /// Passes the outcome of a job that ended to the waiting streams, and takes the wakers. Without an open watch the observer
    /// is removed.
    pub(super) fn end(
        &mut self,
        observer: u32,
        outcome: &Outcome,
        position: Position,
        queues: &mut Vec<Arc<OutcomeQueue>>,
    ) -> Wakers {
        let place = &mut self.observers[observer as usize - 1];
        let waiters = (place.outcome_waiter.take(), std::mem::take(&mut place.more_outcome_waiters));
        let wakers = match place.watches {
            0 => self.forget(observer).wakers,
            _ => self.wake(observer),
        };
        for waiter in waiters.0.into_iter().chain(waiters.1) {
            let queue = waiter.end(outcome.clone(), position);
            if queues.last().is_none_or(|last| !Arc::ptr_eq(last, &queue)) {
                queues.push(queue);
            }
        }
        wakers
    }

    /// Marks every waker to be woken; [`Observers::take_woken`] returns them.
    pub(super) fn wake_all(&mut self) {
        for (_, observer) in &mut self.observers {
            self.rounds += 1;
            observer.round = self.rounds;
            self.woken.push(std::mem::take(&mut observer.wakers));
        }
    }

    /// The wakers of the streams that wait for outcomes.
    pub(super) fn outcome_wakers(&self) -> impl Iterator<Item = Waker> {
        let waiters = self
            .observers
            .iter()
            .flat_map(|(_, observer)| observer.outcome_waiter.iter().chain(&observer.more_outcome_waiters));
        waiters.filter_map(OutcomeWaiter::take_waker)
    }

    pub(super) fn take_woken(&mut self) -> Vec<Wakers> {
        std::mem::take(&mut self.woken)
    }
}
