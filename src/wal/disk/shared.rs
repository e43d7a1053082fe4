//! The [`Log`](wal::Log) on a disk: appends block the caller's thread, preallocation has a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{DiskLog, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::wal::{self, Batch, Limits, LogMeter, Space, SpaceLevel, TrimPoint};

/// After so long without an append, all of the next segment is preallocated.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// How far preallocation may be behind its goal before an append waits for it, in bytes.
const DEBT_BYTES_MAX: u64 = 8 << 20;
/// How often preallocation is retried on a full disk.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// A log on disk that several threads share.
pub(crate) struct SharedLog {
    shared: Arc<Shared>,
    reader: Reader,
    entry_bytes_max: usize,
    meter: Arc<LogMeter>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when there is something to preallocate, or the log ends.
    changed: Condvar,
}

struct State {
    /// `None` once the log is closed.
    log: Option<DiskLog>,
    /// Whether entries were appended since the last round of the preallocation thread.
    was_used: bool,
}

impl SharedLog {
    /// # Errors
    ///
    /// `LogFailed` if the system refuses a thread.
    pub(crate) fn new(log: DiskLog) -> Result<Self> {
        let (entry_bytes_max, reader) = (log.tail.options.entry_bytes_max(), log.reader());
        let meter = log.tail.meter.clone();
        let state = State { log: Some(log), was_used: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("log-prealloc".to_owned());
        thread.spawn(move || of_thread.preallocate()).map_err(|error| {
            Error::new(ErrorKind::LogFailed, format!("the log cannot start its thread: {error}"))
        })?;
        Ok(Self { shared, reader, entry_bytes_max, meter })
    }

    /// Calls `run` with the log; an error once it is closed.
    fn with<T>(&self, run: impl FnOnce(&mut DiskLog) -> Result<T>) -> Result<T> {
        match &mut self.shared.state.lock().log {
            Some(log) => run(log),
            None => Err(Error::new(ErrorKind::LogFailed, "the log is closed")),
        }
    }

    fn append_now(&self, batch: &Batch) -> Result<u64> {
        let entries: Vec<_> = batch.iter().collect();
        let mut state = self.shared.state.lock();
        let State { log: Some(log), was_used } = &mut *state else {
            return Err(Error::new(ErrorKind::LogFailed, "the log is closed"));
        };
        // A full disk has to be detected before the end of this segment.
        while log.preallocation_debt(false) > DEBT_BYTES_MAX && log.preallocate(false) {}
        match log.append(&entries) {
            Err(error) if *error.kind() == ErrorKind::DiskFull => {
                log.retry_full_disk();
                log.append(&entries)?;
            }
            appended => drop(appended?),
        }
        if !*was_used && log.preallocation_debt(false) > 0 {
            *was_used = true;
            self.shared.changed.notify_one();
        }
        Ok(log.next_sequence() - 1)
    }
}

impl wal::Log for SharedLog {
    fn limits(&self) -> Limits {
        Limits { entry_bytes_max: self.entry_bytes_max, in_flight_max: 1 }
    }

    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move { self.append_now(&batch) })
    }

    fn read(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        let (reader, meter) = (self.reader.clone(), self.meter.clone());
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || meter.read(|| reader.read(sequence))).await;
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
        self.with(|log| {
            let space = log.space()?;
            self.meter.set_size(space.bytes, log.segments().len());
            Ok(space)
        })
    }

    fn meter(&self) -> Option<&LogMeter> {
        Some(&self.meter)
    }

    fn trim_points(&self) -> Vec<TrimPoint> {
        self.shared.state.lock().log.as_ref().map(DiskLog::trim_points).unwrap_or_default()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let log = self.shared.state.lock().log.take();
            self.shared.changed.notify_one();
            log.map_or(Ok(()), DiskLog::close)
        })
    }
}

impl Drop for SharedLog {
    fn drop(&mut self) {
        self.shared.state.lock().log = None;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// Runs the preallocation thread until the log is closed. A failure is the error of the next append.
    fn preallocate(&self) {
        let mut state = self.state.lock();
        loop {
            let timeout = match &state.log {
                None => return,
                Some(log) if log.space().is_ok_and(|space| space.level >= SpaceLevel::Full) => FULL_RETRY,
                Some(_) => IDLE_AFTER,
            };
            let is_unchanged = |state: &mut State| !state.was_used && state.log.is_some();
            let is_idle = self.changed.wait_while_for(&mut state, is_unchanged, timeout).timed_out();
            state.was_used = false;
            while state.log.as_mut().is_some_and(|log| log.preallocate(is_idle)) {
                // Lets an append go first.
                MutexGuard::unlocked(&mut state, std::thread::yield_now);
            }
        }
    }
}
