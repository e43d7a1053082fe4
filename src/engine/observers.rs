//! Who is told of a job's news: wakers of watches, and streams that wait for its outcome.
//!
//! A watch is a cursor and a waker, never a queue. Waking takes all wakers at once; a watch that still waits puts
//! its waker back when it looks.

use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

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
                core.set_observer(key, observer);
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

    /// Forgets a waker whose watch is gone, and the observer if it was the last.
    pub(super) fn remove_waker(&mut self, core: &mut Core, place: WakerPlace) {
        let Some(observer) = self.observers.get_mut(place.observer as usize - 1) else { return };
        if observer.round != place.round {
            return;
        }
        observer.wakers.remove(place.index);
        if observer.wakers.is_empty() && observer.outcome_waiter.is_none() {
            if let Some(key) = observer.key {
                core.set_observer(key, 0);
            }
            self.forget(place.observer);
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

    /// The job ended: tells who waits for its outcome, answers the wakers to wake and forgets the observer.
    pub(super) fn end(
        &mut self,
        observer: u32,
        outcome: &Outcome,
        queues: &mut Vec<Arc<OutcomeQueue>>,
    ) -> Wakers {
        let observer = self.forget(observer);
        for waiter in observer.outcome_waiter.into_iter().chain(observer.more_outcome_waiters) {
            let queue = waiter.tell(outcome.clone());
            if queues.last().is_none_or(|last| !Arc::ptr_eq(last, &queue)) {
                queues.push(queue);
            }
        }
        observer.wakers
    }

    /// Marks every waker to be woken; [`Observers::take_woken`] answers them.
    pub(super) fn wake_all(&mut self) {
        for (_, observer) in &mut self.observers {
            self.rounds += 1;
            observer.round = self.rounds;
            self.woken.push(std::mem::take(&mut observer.wakers));
        }
    }

    pub(super) fn take_woken(&mut self) -> Vec<Wakers> {
        std::mem::take(&mut self.woken)
    }
}
