//! Who is told of a job's news: wakers of watches, and streams that wait for its outcome.
//!
//! A watch is a cursor and a waker, never a queue. Waking takes all wakers at once; a watch that still waits puts
//! its waker back when it looks.

use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use super::Position;
use super::outcomes::{OutcomeQueue, OutcomeWaiter};
use crate::core::{Core, JobKey};
use crate::job::Outcome;

/// Room for watched jobs that is kept while there are none.
const KEPT_OBSERVERS_MAX: usize = 4_096;

/// Wakers to be woken after the lock is gone.
pub(super) type Wakers = Slab<Waker>;

/// Where a watch's waker is: it is there as long as the round is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WakerPlace {
    observer: u32,
    round: u64,
    index: usize,
}

#[derive(Default)]
struct Observer {
    key: Option<JobKey>,
    /// Counts how often the wakers were taken; never repeats, even when the place of an observer is used again.
    round: u64,
    wakers: Wakers,
    /// Watches that are open. A finished job is kept for them.
    watches: u32,
    /// The stream that waits for the outcome; rarely, the same job was submitted through more.
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
    /// The observer of this job, made if there is none.
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

    /// Keeps a waker for the job's next news, in place of the one this watch has there.
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

    /// Counts a watch of the job, until [`Observers::detach`]. Answers the job's observer.
    pub(super) fn attach(&mut self, core: &mut Core, key: JobKey) -> u32 {
        let observer = self.of(core, key);
        self.observers[observer as usize - 1].watches += 1;
        core.set_observer(key, observer, true);
        observer
    }

    /// Whether the job that it observed was removed.
    pub(super) fn is_without_job(&self, observer: u32) -> bool {
        self.observers[observer as usize - 1].key.is_none()
    }

    /// The job was removed.
    pub(super) fn job_removed(&mut self, observer: u32) {
        self.observers[observer as usize - 1].key = None;
    }

    /// A watch is gone, with its waker; so is the observer if nobody else needs it.
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

    /// The observer's place is free. After a peak the last one gives back the memory of all.
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

    /// The wakers to wake because the job has news.
    pub(super) fn wake(&mut self, observer: u32) -> Wakers {
        self.rounds += 1;
        let observer = &mut self.observers[observer as usize - 1];
        observer.round = self.rounds;
        std::mem::take(&mut observer.wakers)
    }

    /// The job ended: tells who waits for its outcome and answers the wakers to wake. Without an open watch the observer is
    /// forgotten.
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

    /// Marks every waker to be woken; [`Observers::take_woken`] answers them.
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
