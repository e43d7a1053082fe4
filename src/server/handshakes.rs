//! The TLS handshakes of a connection thread: how many may be open, and when each is continued.
//!
//! A handshake costs as much CPU time as many requests. Its steps alternate with the requests of the thread's connections, so
//! that a flood of handshakes does not delay them. Module `connection` does the handshakes.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::yield_now;
use tokio_util::sync::PollSemaphore;

use super::limits::ListenerLimits;

/// Most bytes that an unfinished handshake holds in memory: the limit of rustls.
const HANDSHAKE_BYTES_MAX: usize = 64 << 10;

/// All handshakes together may take this fraction of `connections_bytes_max`: an eighth.
const HANDSHAKES_SHARE: usize = 8;

/// The handshakes of one thread.
#[derive(Debug)]
pub(super) struct Handshakes {
    max: usize,
    /// One permit: a step of one handshake.
    step: Arc<Semaphore>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next_number: u64,
    /// By number, the oldest first. A handshake ends when its sender is dropped.
    senders: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Handshakes {
    /// The share of one of `threads` threads.
    pub(super) fn new(limits: &ListenerLimits, threads: usize) -> Arc<Self> {
        let affordable = limits.connections_bytes_max / HANDSHAKES_SHARE / HANDSHAKE_BYTES_MAX;
        let max = limits.max_tls_handshakes.min(affordable).div_ceil(threads).max(1);
        Arc::new(Self { max, step: Arc::new(Semaphore::new(1)), open: Mutex::default() })
    }

    /// Runs a handshake. `None` if it was the oldest one when another needed its slot.
    pub(super) async fn run<F: Future + Unpin>(self: &Arc<Self>, handshake: F) -> Option<F::Output> {
        let mut slot = self.begin();
        let steps = Steps { handshake, step: PollSemaphore::new(self.step.clone()) };
        tokio::select! {
            biased;
            output = steps => Some(output),
            _ = &mut slot.lost => None,
        }
    }

    fn begin(self: &Arc<Self>) -> Slot {
        let (sender, lost) = oneshot::channel();
        let mut open = self.open.lock();
        if open.senders.len() >= self.max {
            open.senders.pop_first();
        }
        let number = open.next_number;
        open.next_number += 1;
        open.senders.insert(number, sender);
        Slot { number, lost, handshakes: self.clone() }
    }
}

/// The slot of an open handshake. Dropping it frees the slot.
struct Slot {
    number: u64,
    lost: oneshot::Receiver<()>,
    handshakes: Arc<Handshakes>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.handshakes.open.lock().senders.remove(&self.number);
    }
}

/// Polls a handshake when no other one of the thread was polled since the thread last polled its sockets.
struct Steps<F> {
    handshake: F,
    step: PollSemaphore,
}

impl<F: Future + Unpin> Future for Steps<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let permit = ready!(this.step.poll_acquire(context));
        let polled = Pin::new(&mut this.handshake).poll(context);
        // A task that yields runs again after the sockets were polled and the tasks that were ready then have run.
        tokio::spawn(async move {
            yield_now().await;
            drop(permit);
        });
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, poll_fn};
    use std::rc::Rc;

    use tokio::task::{JoinSet, LocalSet};

    use super::*;

    fn handshakes(
        max_tls_handshakes: usize,
        connections_bytes_max: usize,
        threads: usize,
    ) -> Arc<Handshakes> {
        let limits =
            ListenerLimits { max_tls_handshakes, connections_bytes_max, ..ListenerLimits::default() };
        Handshakes::new(&limits, threads)
    }

    #[tokio::test]
    async fn a_further_handshake_ends_the_oldest() {
        let handshakes = handshakes(4, 1 << 30, 2);
        let run =
            |handshakes: Arc<Handshakes>| async move { handshakes.run(Box::pin(pending::<()>())).await };
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            tasks.spawn(run(handshakes.clone()));
            yield_now().await;
        }
        assert!(tasks.try_join_next().is_none());
        assert_eq!(handshakes.run(std::future::ready(7)).await, Some(7));
        assert_eq!(tasks.join_next().await.expect("a task").expect("no panic"), None);
        assert_eq!(handshakes.open.lock().senders.len(), 1);
    }

    #[test]
    fn a_small_memory_budget_has_few_handshakes() {
        let max = |bytes| handshakes(1_024, bytes, 2).max;
        assert_eq!([max(1 << 30), max(64 << 20), max(0)], [512, 64, 1]);
    }

    #[tokio::test]
    async fn other_tasks_run_between_the_steps_of_handshakes() {
        let steps = Rc::new(RefCell::new(String::new()));
        let handshakes = handshakes(64, 1 << 30, 1);
        let local = LocalSet::new();
        for _ in 0..8 {
            let (steps, handshakes) = (steps.clone(), handshakes.clone());
            local.spawn_local(async move {
                let step = poll_fn(|_| {
                    steps.borrow_mut().push('h');
                    Poll::Ready(())
                });
                handshakes.run(step).await
            });
        }
        let requests = steps.clone();
        local.spawn_local(async move {
            while requests.borrow().matches('h').count() < 8 {
                requests.borrow_mut().push('r');
                yield_now().await;
            }
        });
        local.await;
        let steps = steps.borrow();
        assert!(!steps.contains("hh"), "{steps}");
    }
}
