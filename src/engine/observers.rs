//! The observers of jobs: open watches with their wakers, and streams that wait for outcomes.
//!
//! A watch is a cursor and a waker, never a queue. Waking takes all wakers at once; a watch that still waits registers its
//! waker again when it is polled.

use std::sync::Arc;
use std::task::Waker;

use slab::Slab;
use smallvec::SmallVec;

use super::Position;
use super::outcomes::{OutcomeQueue, OutcomeWaiter};
use crate::core::{Core, JobKey};
use crate::job::Outcome;

/// Largest capacity that is retained while no job is observed.
const CAPACITY_MAX: usize = 4_096;

/// The key of an open watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WatchKey {
    observer: u32,
    index: usize,
}

#[derive(Default)]
struct Observer {
    /// `None` once the job was removed.
    key: Option<JobKey>,
    /// Open watches, each with its waker while it waits. A finished job is retained for them.
    watches: Slab<Option<Waker>>,
    /// The streams that wait for the outcome; several if the same job was submitted through several.
    outcome_waiters: SmallVec<[OutcomeWaiter; 1]>,
}

#[derive(Default)]
pub(super) struct Observers {
    observers: Slab<Observer>,
    /// Wakers to be woken after the lock is released.
    woken: Vec<Waker>,
}

impl Observers {
    fn get(&mut self, observer: u32) -> &mut Observer {
        &mut self.observers[observer as usize - 1]
    }

    /// The observer of this job, created if there is none.
    fn get_or_create(&mut self, core: &mut Core, key: JobKey) -> u32 {
        match core.observer(key) {
            0 => {
                let observer = Observer { key: Some(key), ..Observer::default() };
                let observer = self.observers.insert(observer) as u32 + 1;
                core.set_observer(key, observer, false);
                observer
            }
            observer => observer,
        }
    }

    /// Adds a watch of the job, until [`Observers::remove_watch`].
    pub(super) fn add_watch(&mut self, core: &mut Core, key: JobKey) -> WatchKey {
        let observer = self.get_or_create(core, key);
        core.set_observer(key, observer, true);
        WatchKey { observer, index: self.get(observer).watches.insert(None) }
    }

    /// Registers the waker of a watch for the job's next event.
    pub(super) fn set_waker(&mut self, watch: WatchKey, waker: &Waker) {
        self.get(watch.observer).watches[watch.index] = Some(waker.clone());
    }

    /// Whether the watched job was removed.
    pub(super) fn is_job_removed(&self, watch: WatchKey) -> bool {
        self.observers[watch.observer as usize - 1].key.is_none()
    }

    /// The job was removed.
    pub(super) fn job_removed(&mut self, observer: u32) {
        self.get(observer).key = None;
    }

    /// Removes a watch and its waker, and the observer if it has no other user.
    pub(super) fn remove_watch(&mut self, core: &mut Core, watch: WatchKey) {
        let observer = self.get(watch.observer);
        observer.watches.remove(watch.index);
        if !observer.watches.is_empty() {
            return;
        }
        let is_used = !observer.outcome_waiters.is_empty();
        if let Some(key) = observer.key {
            core.set_observer(key, if is_used { watch.observer } else { 0 }, false);
        }
        if !is_used {
            self.remove(watch.observer);
        }
    }

    /// Removes the observer. When the last one is removed after a peak, the memory of all is freed.
    fn remove(&mut self, observer: u32) {
        self.observers.remove(observer as usize - 1);
        if self.observers.is_empty() && self.observers.capacity() > CAPACITY_MAX {
            self.observers = Slab::new();
        }
    }

    pub(super) fn add_outcome_waiter(&mut self, core: &mut Core, key: JobKey, waiter: OutcomeWaiter) {
        let observer = self.get_or_create(core, key);
        self.get(observer).outcome_waiters.push(waiter);
    }

    /// Wakes the watches, because the job has a new event.
    pub(super) fn wake(&mut self, observer: u32) {
        let observer = &mut self.observers[observer as usize - 1];
        self.woken.extend(observer.watches.iter_mut().filter_map(|(_, waker)| waker.take()));
    }

    /// Passes the outcome of a job that ended to the waiting streams, and wakes the watches. Without an open watch the observer
    /// is removed.
    pub(super) fn end(
        &mut self,
        observer: u32,
        outcome: &Outcome,
        position: Position,
        queues: &mut Vec<Arc<OutcomeQueue>>,
    ) {
        for waiter in std::mem::take(&mut self.get(observer).outcome_waiters) {
            let queue = waiter.end(outcome.clone(), position);
            if queues.last().is_none_or(|last| !Arc::ptr_eq(last, &queue)) {
                queues.push(queue);
            }
        }
        if self.get(observer).watches.is_empty() {
            self.remove(observer);
        } else {
            self.wake(observer);
        }
    }

    /// Wakes every watch.
    pub(super) fn wake_all(&mut self) {
        let watches = self.observers.iter_mut().flat_map(|(_, observer)| &mut observer.watches);
        self.woken.extend(watches.filter_map(|(_, waker)| waker.take()));
    }

    /// Takes the wakers to be woken.
    pub(super) fn take_woken(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.woken)
    }

    /// Takes the wakers of the streams that wait for outcomes.
    pub(super) fn take_outcome_wakers(&self) -> impl Iterator<Item = Waker> {
        let waiters = self.observers.iter().flat_map(|(_, observer)| &observer.outcome_waiters);
        waiters.filter_map(OutcomeWaiter::take_waker)
    }
}
