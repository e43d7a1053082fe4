//! Reports attempts of the in-process pool to the engine. While the engine's log exerts backpressure, progress is
//! delayed, and log lines are dropped and counted.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::report_sink::dropped_lines;
use super::settled;
use crate::client;
use crate::engine::Reporter;
use crate::error::Result;
use crate::job::{AttemptEnd, LeaseId, Log, Output, Progress, Report};
use crate::proto::status::to_status;

/// Time for the log to sync the ends of attempts after the worker was stopped.
const STOPPED_SYNC_TIME_MAX: Duration = Duration::from_millis(300);

/// Reports to the in-process engine.
pub(super) struct EngineSink {
    reporter: Reporter,
    /// Cancelled when the worker is stopped.
    stop: CancellationToken,
    deferred: Mutex<HashMap<LeaseId, Deferred>>,
}

/// Reports of one attempt that backpressure held up.
#[derive(Default)]
struct Deferred {
    /// The newest progress.
    progress: Option<Progress>,
    /// Number of dropped log lines.
    dropped_lines: u32,
}

impl EngineSink {
    pub(super) fn new(reporter: Reporter, stop: CancellationToken) -> Self {
        Self { reporter, stop, deferred: Mutex::default() }
    }

    /// Reports progress; under backpressure, with a later report of the attempt.
    pub(super) fn progress(&self, lease: LeaseId, progress: Progress) {
        if !self.reporter.has_capacity() {
            self.deferred.lock().entry(lease).or_default().progress = Some(progress);
            return;
        }
        self.flush_deferred(lease);
        self.report(lease, Report::Progress(progress));
    }

    /// Reports a log line. Under backpressure the line is dropped, and a later line has the number of dropped ones.
    pub(super) fn log(&self, lease: LeaseId, log: Log) {
        if !self.reporter.has_capacity() {
            self.deferred.lock().entry(lease).or_default().dropped_lines += 1;
            return;
        }
        self.flush_deferred(lease);
        self.report(lease, Report::Log(log));
    }

    /// Waits for the end of backpressure.
    pub(super) async fn wait_for_capacity(&self) {
        self.reporter.admission().await;
    }

    /// Reports a chunk of output after the end of backpressure.
    pub(super) async fn output(&self, lease: LeaseId, output: Output) -> Result<()> {
        self.wait_for_capacity().await;
        self.flush_deferred(lease);
        self.reporter.report(lease, Report::Output(output))
    }

    pub(super) fn end(&self, lease: LeaseId, end: AttemptEnd) {
        self.flush_deferred(lease);
        drop(self.reporter.end(lease, end));
    }

    /// Ends the attempt and returns once that is durable.
    ///
    /// # Errors
    ///
    /// That of the engine, such as LEASE_LOST; `Unreachable` if the log is not done soon after the worker stopped.
    pub(super) async fn end_durably(&self, lease: LeaseId, end: AttemptEnd) -> client::Result<()> {
        self.flush_deferred(lease);
        let stopped = async {
            self.stop.cancelled().await;
            sleep(STOPPED_SYNC_TIME_MAX).await;
        };
        tokio::select! {
            biased;
            ended = self.reporter.end_durably(lease, end) => {
                ended.map_err(|error| client::Error::from_status(&to_status(&error, ""), "of this process"))
            }
            () = stopped => Err(settled::unknown()),
        }
    }

    fn flush_deferred(&self, lease: LeaseId) {
        let deferred = self.deferred.lock().remove(&lease).unwrap_or_default();
        if let Some(progress) = deferred.progress {
            self.report(lease, Report::Progress(progress));
        }
        if deferred.dropped_lines > 0 {
            self.report(lease, Report::Log(dropped_lines(deferred.dropped_lines)));
        }
    }

    /// Ignores `LeaseLost`: the handler of such an attempt is already being stopped.
    fn report(&self, lease: LeaseId, report: Report) {
        drop(self.reporter.report(lease, report));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use futures_util::FutureExt;
    use tokio::time::timeout;

    use super::*;
    use crate::core::Caller;
    use crate::engine::{Batch, Engine, EngineOptions, OpenLog, Session, StreamBatch, SubmitStream};
    use crate::job::{
        EventBody, EventTypes, JobId, Kind, LogLevel, LogStream, NewJob, Order, Payload, SessionSpec,
        WatchItem,
    };
    use crate::wal::memory::MemoryLog;

    const TIME_MAX: Duration = Duration::from_secs(10);

    fn job(kind: &str, payload: Vec<u8>) -> NewJob {
        let mut job = NewJob::new(Kind::parse("kind", kind).unwrap(), Payload::data(payload));
        job.id = Some(JobId::mint());
        job
    }

    fn line(text: &str) -> Log {
        Log { level: LogLevel::Info, text: text.into(), stream: LogStream::Log }
    }

    #[tokio::test]
    async fn under_backpressure_progress_is_delayed_and_log_lines_are_counted() {
        let log = MemoryLog::default();
        let (engine, session, id, lease) = running(&log).await;
        let sink = EngineSink::new(session.reporter(), CancellationToken::new());
        log.change(|state| state.is_held = true);
        let mut stream = SubmitStream::new(engine.clone());
        let mut more = || {
            let batch = Batch { caller: Caller::Embedder, jobs: vec![Ok(job("other", vec![0; 1 << 20]))] };
            stream.submit(vec![StreamBatch { number: 0, batch, outcomes: false }]);
        };
        more();
        // Once an append waits, queued records stay queued.
        while !log.read(|state| state.is_waiting) {
            tokio::task::yield_now().await;
        }
        while engine.has_capacity() {
            more();
        }
        for number in 0..3 {
            sink.log(lease, line(&number.to_string()));
            sink.progress(lease, Progress { fraction: Some(f64::from(number) / 4.0), ..Progress::default() });
        }
        log.change(|state| state.is_held = false);
        timeout(TIME_MAX, sink.wait_for_capacity()).await.unwrap();
        sink.log(lease, line("after"));
        sink.end(lease, AttemptEnd::Success(Payload::data(Vec::new())));
        let mut watch = engine.watch(id, 0, EventTypes::ALL).await.unwrap();
        let items = timeout(TIME_MAX, watch.next()).await.unwrap().unwrap();
        let reported: Vec<_> = items.into_iter().filter_map(report_text).collect();
        assert_eq!(reported, ["0.5", "3 log lines were dropped here: the send buffer was full", "after"]);
    }

    /// An engine whose log waits while it is held, and the running attempt of a job.
    async fn running(log: &MemoryLog) -> (Engine, Session, JobId, LeaseId) {
        let open = OpenLog { log: Arc::new(log.clone()), next_sequence: 1 };
        let engine = Engine::open_by(EngineOptions::default(), Path::new("held"), |_| Ok(open)).unwrap();
        let kinds = vec![Kind::parse("kind", "k").unwrap()];
        let spec = SessionSpec { name: "w".to_owned(), kinds, queues: None, slots: 1 };
        let mut session = engine.open_session(&spec, None);
        let id = engine.submit(job("k", Vec::new())).await.unwrap().id;
        let order = timeout(TIME_MAX, session.orders()).await.unwrap().pop_front();
        let Some(Order::Run(assignment)) = order else { panic!("{order:?}") };
        (engine, session, id, assignment.lease)
    }

    #[tokio::test]
    async fn an_end_is_settled_once_it_is_durable() {
        let log = MemoryLog::default();
        let (_engine, session, _, lease) = running(&log).await;
        let sink = EngineSink::new(session.reporter(), CancellationToken::new());
        log.change(|state| state.is_held = true);
        let end = AttemptEnd::Success(Payload::data(Vec::new()));
        let mut ended = Box::pin(sink.end_durably(lease, end.clone()));
        assert!((&mut ended).now_or_never().is_none(), "the log is held");
        log.change(|state| state.is_held = false);
        assert_eq!(timeout(TIME_MAX, ended).await.unwrap(), Ok(()));
        let again = sink.end_durably(lease, end).await.unwrap_err();
        assert_eq!(again.reason(), client::reason::LEASE_LOST);
    }

    #[tokio::test]
    async fn an_end_that_is_not_durable_soon_after_the_stop_is_unknown() {
        let log = MemoryLog::default();
        let (_engine, session, _, lease) = running(&log).await;
        let stop = CancellationToken::new();
        let sink = EngineSink::new(session.reporter(), stop.clone());
        log.change(|state| state.is_held = true);
        stop.cancel();
        let end = AttemptEnd::Success(Payload::data(Vec::new()));
        let error = timeout(TIME_MAX, sink.end_durably(lease, end)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), client::ErrorKind::Unreachable);
        log.change(|state| state.is_held = false);
    }

    fn report_text(item: WatchItem) -> Option<String> {
        let WatchItem::Event(event) = item else { return None };
        match event.body {
            EventBody::Progress(progress) => progress.fraction.map(|fraction| fraction.to_string()),
            EventBody::Log(log) => Some(log.text.to_string()),
            _ => None,
        }
    }
}
