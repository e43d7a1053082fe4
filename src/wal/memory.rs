//! A log in memory behind a faulty network, for tests: it stalls, fills up and fails on request, and with a seed it delays,
//! reorders, refuses and loses requests and answers as a broker does.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::{Batch, Limits, Log, LogMeter, Space, SpaceLevel, TrimPoint};
use crate::error::{Error, ErrorKind, Result};

/// Most appends under way.
const IN_FLIGHT_MAX: usize = 4;
/// Longest delay of a request or an answer, in turns of the other tasks.
const DELAY_MAX: u32 = 5;

/// Clones are handles of one log.
#[derive(Clone, Default)]
pub(crate) struct MemoryLog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    meter: LogMeter,
    changed: Notify,
}

#[derive(Default)]
pub(crate) struct State {
    /// Requests wait.
    pub(crate) is_held: bool,
    /// A request waits because of that.
    pub(crate) is_waiting: bool,
    /// New jobs are to be refused.
    pub(crate) is_full: bool,
    /// Appends are refused with `DiskFull`.
    pub(crate) is_exhausted: bool,
    /// Appends fail.
    pub(crate) is_broken: bool,
    /// The level that is answered instead of the true one; the log has a bound then.
    pub(crate) level: Option<SpaceLevel>,
    /// Entries with the batch that each belongs to, and its sequence.
    pub(crate) entries: Vec<(u64, u64, Vec<u8>)>,
    /// The last sequence.
    pub(crate) last: u64,
    /// Requests that the store answered.
    pub(crate) requests: usize,
    /// Batches that are stored.
    batches: u64,
    /// Batches that were sent.
    sent: u64,
    network: Option<StdRng>,
}

/// What the store answers to the append of a batch at an index.
enum Stored {
    /// It is there, now or since an earlier request.
    At(u64),
    /// Not yet: an earlier batch is missing.
    NotNext,
}

impl MemoryLog {
    /// A log whose requests and answers are delayed, reordered and lost at random.
    pub(crate) fn with_faults(seed: u64) -> Self {
        let log = Self::default();
        log.change(|state| state.network = Some(StdRng::seed_from_u64(seed)));
        log
    }

    /// A log of its own with the same content and without faults.
    pub(crate) fn copy(&self) -> Self {
        let (entries, last, batches) = self.read(|state| (state.entries.clone(), state.last, state.batches));
        let log = Self::default();
        log.change(|state| {
            (state.entries, state.last, state.batches, state.sent) = (entries, last, batches, batches)
        });
        log
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let answer = change(&mut self.0.state.lock());
        self.0.changed.notify_waiters();
        answer
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.state.lock())
    }

    /// Bytes of all entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.read(|state| state.entries.iter().map(|(.., entry)| entry.len() as u64).sum())
    }

    async fn released(&self) {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut state = self.0.state.lock();
                if !state.is_held {
                    return;
                }
                state.is_waiting = true;
            }
            changed.await;
        }
    }

    /// A request or an answer on its way. Answers whether it arrives.
    async fn travel(&self) -> bool {
        let drawn = self.change(|state| {
            state
                .network
                .as_mut()
                .map(|network| (network.random_range(0..DELAY_MAX), network.random_bool(0.8)))
        });
        let Some((delay, arrives)) = drawn else { return true };
        for _ in 0..delay {
            yield_now().await;
        }
        arrives
    }

    async fn send(&self, index: u64, batch: Arc<Batch>) -> Result<u64> {
        loop {
            self.released().await;
            if !self.travel().await {
                continue;
            }
            let stored = self.change(|state| state.store(index, &batch));
            if !self.travel().await {
                continue;
            }
            match stored? {
                Stored::At(last) => return Ok(last),
                Stored::NotNext => yield_now().await,
            }
        }
    }
}

impl State {
    /// Stores the batch if it is the next one.
    fn store(&mut self, index: u64, batch: &Batch) -> Result<Stored> {
        self.requests += 1;
        if self.is_broken {
            return Err(broken());
        }
        if index < self.batches {
            let last = self.entries.iter().rev().find(|(of, ..)| *of == index).map(|(_, last, _)| *last);
            return Ok(Stored::At(last.unwrap_or_default()));
        }
        if index > self.batches {
            return Ok(Stored::NotNext);
        }
        if self.is_exhausted {
            return Err(Error::new(ErrorKind::DiskFull, "no space at all"));
        }
        for entry in batch.iter() {
            self.last += 1;
            self.entries.push((index, self.last, entry.to_vec()));
        }
        self.batches += 1;
        Ok(Stored::At(self.last))
    }
}

pub(crate) fn broken() -> Error {
    Error::new(ErrorKind::LogFailed, "the log is broken")
}

impl Log for MemoryLog {
    fn limits(&self) -> Limits {
        let in_flight_max = if Self::read(self, |state| state.network.is_some()) { IN_FLIGHT_MAX } else { 1 };
        Limits { entry_bytes_max: super::disk::ENTRY_BYTES_MAX, in_flight_max }
    }

    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<u64>> {
        let index = self.change(|state| {
            // A batch that was refused for want of space is sent again at its index.
            let index =
                if state.is_exhausted || state.network.is_none() { state.batches } else { state.sent };
            state.sent = index + 1;
            index
        });
        Box::pin(self.send(index, batch))
    }

    fn read(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        let entry = Self::read(self, |state| {
            state.entries.iter().find(|(_, at, _)| *at == sequence).map(|(.., entry)| entry.clone())
        });
        Box::pin(std::future::ready(Ok(entry)))
    }

    fn trim(&self, before: u64) -> BoxFuture<'_, Result<()>> {
        self.change(|state| state.entries.retain(|(_, sequence, _)| *sequence >= before));
        Box::pin(std::future::ready(Ok(())))
    }

    fn space(&self) -> Result<Space> {
        let bytes = self.bytes();
        Self::read(self, |state| {
            let level = if state.is_full { SpaceLevel::Full } else { SpaceLevel::Free };
            Ok(Space { bytes, is_bounded: state.level.is_some(), level: state.level.unwrap_or(level) })
        })
    }

    fn meter(&self) -> Option<&LogMeter> {
        Some(&self.0.meter)
    }

    fn trim_points(&self) -> Vec<TrimPoint> {
        let (mut trim_points, mut bytes, mut last) = (Vec::new(), 0, None);
        Self::read(self, |state| {
            for (batch, sequence, entry) in &state.entries {
                if last.replace(*batch).is_some_and(|last| last != *batch) {
                    trim_points.push(TrimPoint { sequence: *sequence, bytes });
                }
                bytes += entry.len() as u64;
            }
        });
        trim_points
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
