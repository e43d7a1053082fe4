//! Keeps a key set up to date: in an interval, and early if a token names an unknown key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::source::LOAD_TIMEOUT;
use super::{KeySet, Source};
use crate::client::RetryOptions;
use crate::client::backoff::Backoff;

/// Minimum time between two early refreshes.
const EARLY_REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// Most calls that wait for a refresh. Further tokens with an unknown key are refused at once.
const WAITERS_MAX: usize = 1_000;
/// Bounds of the pause after a failed load.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A key set that was loaded.
#[derive(Debug)]
pub(in super::super) struct Loaded {
    pub(in super::super) set: KeySet,
    /// Grows with each change of the keys.
    pub(in super::super) generation: u64,
}

/// The current keys of an issuer.
#[derive(Debug)]
pub(in super::super) struct Keys {
    source: Source,
    interval: Duration,
    current: watch::Sender<State>,
    /// The generation of the current keys; 0 without keys.
    generation: AtomicU64,
    demand: Mutex<Demand>,
    /// An early refresh is requested.
    early: Notify,
    waiters: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<Loaded>>,
    /// How many loads have ended.
    loads: u64,
}

/// Whether a call with an unknown key can wait for a load.
#[derive(Debug)]
struct Demand {
    is_loading: bool,
    /// Monotonic time of the last early refresh.
    last_early: Option<Duration>,
}

impl Keys {
    /// The keys of a source, which [`keep_fresh`](Self::keep_fresh) loads. Those of a file are loaded here.
    ///
    /// # Errors
    ///
    /// A message if the file cannot be read or is no key set.
    pub(in super::super) fn new(source: Source, interval: Duration) -> Result<Arc<Self>, String> {
        let file = source.load_file().transpose()?;
        Ok(Self::with(source, interval, file))
    }

    /// The keys of a source, loaded here, also those of a URL. It blocks its thread.
    ///
    /// # Errors
    ///
    /// A message if they cannot be loaded.
    pub(in super::super) fn loaded_from(source: Source, interval: Duration) -> Result<Arc<Self>, String> {
        let set = source.load_blocking()?;
        Ok(Self::with(source, interval, Some(set)))
    }

    fn with(source: Source, interval: Duration, set: Option<KeySet>) -> Arc<Self> {
        let keys = Arc::new(Self {
            source,
            interval,
            current: watch::Sender::default(),
            generation: AtomicU64::new(0),
            // The first load is due: tokens wait for it.
            demand: Mutex::new(Demand { is_loading: set.is_none(), last_early: None }),
            early: Notify::new(),
            waiters: Arc::new(Semaphore::new(WAITERS_MAX)),
        });
        if let Some(set) = set {
            keys.publish(Ok(set), None);
        }
        keys
    }

    /// Reads a file again, for [`replace`](Self::replace). `None` for a URL. It blocks its thread.
    ///
    /// # Errors
    ///
    /// A message if the file cannot be read or is no key set.
    pub(in super::super) fn read_again(&self) -> Result<Option<KeySet>, String> {
        self.source.load_file().transpose()
    }

    /// Makes the keys of a file the current ones. Those of a URL are loaded again soon. Returns whether they have changed.
    pub(in super::super) fn replace(&self, read: Option<KeySet>) -> bool {
        let former = self.generation();
        match read {
            Some(set) => drop(self.publish(Ok(set), None)),
            None => self.early.notify_one(),
        }
        self.generation() != former
    }

    /// The current keys; `None` if none were loaded yet.
    pub(in super::super) fn current(&self) -> Option<Arc<Loaded>> {
        self.current.borrow().keys.clone()
    }

    /// The generation of the current keys; 0 without keys.
    pub(in super::super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Waits for the end of a refresh that may bring an unknown key. `None` if none is due: at most one early refresh a
    /// minute is made, and at most [`WAITERS_MAX`] calls wait. `now` is the monotonic time.
    pub(in super::super) fn early_refresh(
        self: &Arc<Self>,
        now: Duration,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let permit = self.waiters.clone().try_acquire_owned().ok()?;
        let mut demand = self.demand.lock();
        if !demand.is_loading {
            if demand.last_early.is_some_and(|last| now.saturating_sub(last) < EARLY_REFRESH_INTERVAL) {
                return None;
            }
            demand.last_early = Some(now);
            demand.is_loading = true;
            self.early.notify_one();
        }
        // Under the lock: the load has not ended.
        let awaited = self.current.borrow().loads + 1;
        drop(demand);
        let mut current = self.current.subscribe();
        Some(async move {
            let _permit = permit;
            // At the timeout the caller looks at the current keys once more.
            let _ = timeout(LOAD_TIMEOUT, current.wait_for(|state| state.loads >= awaited)).await;
        })
    }

    /// Loads the keys until it is dropped.
    pub(in super::super) async fn keep_fresh(self: Arc<Self>) {
        let mut retry = RetryOptions::default();
        (retry.first_pause, retry.longest_pause) = (FIRST_PAUSE, LONGEST_PAUSE);
        let mut backoff = Backoff::new(retry);
        let mut failure = None;
        if self.current().is_some() {
            self.pause(self.interval).await;
        }
        loop {
            self.demand.lock().is_loading = true;
            let loaded = self.source.load().await;
            let is_loaded = loaded.is_ok();
            failure = self.publish(loaded, failure);
            if is_loaded {
                backoff.reset();
                self.pause(self.interval).await;
            } else {
                self.pause(backoff.pause(Some(SHORTEST_PAUSE)).min(self.interval)).await;
            }
        }
    }

    /// Waits this long, or until an early refresh is requested.
    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.early.notified() => {}
        }
    }

    /// Ends a load: makes its set the current one, and wakes the calls that wait. Returns the message if the load failed.
    /// `before` is the message of the previous load, if that failed.
    fn publish(&self, loaded: Result<KeySet, String>, before: Option<String>) -> Option<String> {
        let mut demand = self.demand.lock();
        let current = self.current();
        let (next, failure) = match loaded {
            Ok(set) => {
                let next = self.next(set, current.as_deref(), before.is_some());
                (next.map(Arc::new).or(current), None)
            }
            Err(error) => {
                if before.as_ref() != Some(&error) {
                    self.log_failure(&error, current.is_some());
                }
                (current, Some(error))
            }
        };
        let generation = next.as_ref().map_or(0, |loaded| loaded.generation);
        self.generation.store(generation, Ordering::Release);
        demand.is_loading = false;
        self.current.send_modify(|state| {
            state.keys = next;
            state.loads += 1;
        });
        failure
    }

    /// The set as the next current one; `None` if the keys are the same.
    fn next(&self, set: KeySet, current: Option<&Loaded>, has_failed: bool) -> Option<Loaded> {
        let source = &self.source;
        if current.is_some_and(|current| current.set == set) {
            if has_failed {
                tracing::info!("loaded the keys of JWTs from {source} again: they are the same");
            }
            return None;
        }
        let KeySet { keys, skipped } = &set;
        let (keys, skipped) = (keys.len(), *skipped);
        if keys == 0 {
            tracing::warn!(
                skipped,
                "{source} has no key for RS256, ES256 or EdDSA: JWTs are refused until it has one"
            );
        } else if current.is_none() {
            tracing::info!(keys, skipped, "loaded the keys of JWTs from {source}");
        } else {
            tracing::info!(keys, skipped, "the keys of JWTs from {source} have changed");
        }
        Some(Loaded { set, generation: current.map_or(0, |current| current.generation) + 1 })
    }

    fn log_failure(&self, error: &str, has_keys: bool) {
        let consequence = match has_keys {
            true => "the former keys are used until the next success",
            false => "JWTs are refused until the keys are loaded",
        };
        tracing::warn!(%error, "cannot load the keys of JWTs from {}: {consequence}", self.source);
    }
}

#[cfg(test)]
impl Keys {
    /// Waits until keys of such a generation are loaded.
    pub(in super::super) async fn loaded(&self, is_awaited: impl Fn(u64) -> bool) {
        let mut current = self.current.subscribe();
        let is_loaded =
            |state: &State| state.keys.as_ref().is_some_and(|loaded| is_awaited(loaded.generation));
        let loaded = timeout(LONGEST_PAUSE, current.wait_for(is_loaded)).await.expect("keys in time");
        loaded.expect("the sender lives as long as self");
    }
}
