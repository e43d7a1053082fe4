//! The disk log behind the contract: appends block the caller's thread, preallocation has a thread of its own.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{DiskLog, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::wal::{self, Batch, Cut, Limits, Space, SpaceLevel};

/// After so long without an append the next segment is preallocated whole.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// How far preallocation may be behind its goal before an append waits for it, in bytes.
const DEBT_BYTES_MAX: u64 = 8 << 20;
/// How often a full disk is tried again.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// A log on disk that several threads share.
pub(crate) struct SharedLog {
    shared: Arc<Shared>,
    reader: Reader,
    limits: Limits,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when there is something to preallocate, or the log ends.
    changed: Condvar,
}

struct State {
    /// `None` once the log is closed.
    log: Option<DiskLog>,
    /// Whether entries were appended since the preallocation thread looked.
    was_used: bool,
}

impl SharedLog {
    /// # Errors
    ///
    /// `LogFailed` if the system refuses a thread.
    pub(crate) fn new(log: DiskLog) -> Result<Self> {
        let limits = Limits { entry_bytes_max: log.entry_bytes_max(), in_flight_max: 1 };
        let reader = log.reader();
        let state = State { log: Some(log), was_used: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("log-prealloc".to_owned());
        thread.spawn(move || of_thread.preallocate()).map_err(|error| {
            Error::new(ErrorKind::LogFailed, format!("the log cannot start its thread: {error}"))
        })?;
        Ok(Self { shared, reader, limits })
    }

    /// Runs on the log; an error once it is closed.
    fn with<T>(&self, run: impl FnOnce(&mut DiskLog) -> Result<T>) -> Result<T> {
        match &mut self.shared.lock().log {
            Some(log) => run(log),
            None => Err(Error::new(ErrorKind::LogFailed, "the log is closed")),
        }
    }

    fn append_now(&self, batch: &Batch) -> Result<u64> {
        let entries: Vec<_> = batch.iter().collect();
        let mut state = self.shared.lock();
        let State { log: Some(log), was_used } = &mut *state else {
            return Err(Error::new(ErrorKind::LogFailed, "the log is closed"));
        };
        // A full disk has to be noticed before the end of this segment.
        while log.preallocation_debt() > DEBT_BYTES_MAX && log.preallocate_step() {}
        let appended = log.append_alone(&entries).or_else(|error| {
            if *error.kind() != ErrorKind::DiskFull {
                return Err(error);
            }
            if log.level() == SpaceLevel::Critical {
                // The compaction that frees the oldest segment is behind this batch.
                log.exceed_bound_once();
            }
            log.retry_full_disk();
            log.append_alone(&entries)
        });
        appended?;
        if !*was_used && log.has_to_preallocate() {
            *was_used = true;
            self.shared.changed.notify_one();
        }
        Ok(log.next_sequence() - 1)
    }
}

impl wal::Log for SharedLog {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move { self.append_now(&batch) })
    }

    fn read(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        let reader = self.reader.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || reader.read(sequence)).await;
            read.map_err(|error| Error::new(ErrorKind::Internal, format!("reading the log: {error}")))?
        })
    }

    fn trim(&self, before: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.with(|log| {
                let is_before = |number: &u64| log.first_sequence(*number) <= before;
                let segment = log.segments().map(|segment| segment.number).filter(is_before).last();
                segment.map_or(Ok(()), |segment| log.trim(segment))
            })
        })
    }

    fn space(&self) -> Result<Space> {
        self.with(|log| log.space())
    }

    fn cuts(&self) -> Vec<Cut> {
        self.shared.lock().log.as_ref().map(DiskLog::cuts).unwrap_or_default()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let log = self.shared.lock().log.take();
            self.shared.changed.notify_one();
            log.map_or(Ok(()), DiskLog::close)
        })
    }
}

impl Drop for SharedLog {
    fn drop(&mut self) {
        self.shared.lock().log = None;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The preallocation thread, until the log is closed. A failure is the answer of the next append.
    fn preallocate(&self) {
        let mut state = self.lock();
        loop {
            let timeout = match &state.log {
                None => return,
                Some(log) if log.space().is_ok_and(|space| space.level >= SpaceLevel::Full) => FULL_RETRY,
                Some(_) => IDLE_AFTER,
            };
            let is_unchanged = |state: &mut State| !state.was_used && state.log.is_some();
            let (locked, waited) = self
                .changed
                .wait_timeout_while(state, timeout, is_unchanged)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
            let is_idle = waited.timed_out();
            state.was_used = false;
            while let Some(log) = &mut state.log {
                let is_more = if is_idle { log.prepare().unwrap_or(false) } else { log.preallocate_step() };
                if !is_more {
                    break;
                }
                // An append goes first.
                drop(state);
                std::thread::yield_now();
                state = self.lock();
            }
        }
    }
}
