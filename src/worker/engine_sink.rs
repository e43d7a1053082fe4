//! What handlers of the pool report while the disk does not keep up: told later, and what cannot be is counted.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::link::missing_lines;
use crate::engine::Reporter;
use crate::error::Result;
use crate::job::{AttemptEnd, LeaseId, Log, Output, Progress, Report};

/// The way to the engine of this process, which may be held up by the disk.
pub(super) struct PoolLink {
    reporter: Reporter,
    missed: Mutex<HashMap<LeaseId, Missed>>,
}

/// Of an attempt: the newest progress, and how many lines are lost.
#[derive(Default)]
struct Missed {
    progress: Option<Progress>,
    lines: u32,
}

impl PoolLink {
    pub(super) fn new(reporter: Reporter) -> Self {
        Self { reporter, missed: Mutex::default() }
    }

    /// Tells how far the attempt is; later if there is no room.
    pub(super) fn progress(&self, lease: LeaseId, progress: Progress) {
        if !self.reporter.has_room() {
            self.missed.lock().entry(lease).or_default().progress = Some(progress);
            return;
        }
        self.catch_up(lease);
        self.tell(lease, Report::Progress(progress));
    }

    /// Adds a log line, if there is room; else a later line tells how many are missing.
    pub(super) fn log(&self, lease: LeaseId, log: Log) {
        if !self.reporter.has_room() {
            self.missed.lock().entry(lease).or_default().lines += 1;
            return;
        }
        self.catch_up(lease);
        self.tell(lease, Report::Log(log));
    }

    /// Waits for room if there is none.
    pub(super) async fn room(&self) {
        self.reporter.room().await;
    }

    /// Adds a chunk of output, once there is room.
    pub(super) async fn output(&self, lease: LeaseId, output: Output) -> Result<()> {
        self.room().await;
        self.catch_up(lease);
        self.reporter.report(lease, Report::Output(output))
    }

    pub(super) fn end(&self, lease: LeaseId, end: AttemptEnd) {
        self.catch_up(lease);
        drop(self.reporter.end(lease, end));
    }

    fn catch_up(&self, lease: LeaseId) {
        let missed = self.missed.lock().remove(&lease).unwrap_or_default();
        if let Some(progress) = missed.progress {
            self.tell(lease, Report::Progress(progress));
        }
        if missed.lines > 0 {
            self.tell(lease, Report::Log(missing_lines(missed.lines)));
        }
    }

    /// If the attempt no longer stands, its handler is being stopped anyway: no answer is needed.
    fn tell(&self, lease: LeaseId, report: Report) {
        drop(self.reporter.report(lease, report));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use parking_lot::{Condvar, Mutex};
    use tokio::time::timeout;

    use super::*;
    use crate::core::Caller;
    use crate::engine::{self, Engine, EngineOptions, LogCut};
    use crate::job::{
        EventBody, EventTypes, JobId, Kind, LogLevel, LogStream, NewJob, Order, Payload, SessionSpec,
    };
    use crate::log::Nearness;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A log that takes nothing while it is held.
    #[derive(Clone, Default)]
    struct HeldLog(Arc<(Mutex<Hold>, Condvar)>);

    #[derive(Default)]
    struct Hold {
        is_held: bool,
        /// Somebody waits with something to write.
        is_felt: bool,
    }

    impl HeldLog {
        fn hold(&self, is_held: bool) {
            self.0.0.lock().is_held = is_held;
            self.0.1.notify_all();
        }
    }

    impl engine::Reader for HeldLog {
        fn read(&self, _: u64) -> Result<Option<Vec<u8>>> {
            Ok(None)
        }
    }

    impl engine::Log for HeldLog {
        fn append(&mut self, _: &[&[u8]]) -> Result<()> {
            let mut hold = self.0.0.lock();
            hold.is_felt = hold.is_held;
            self.0.1.wait_while(&mut hold, |hold| hold.is_held);
            Ok(())
        }

        fn prepare(&mut self) -> Result<bool> {
            Ok(false)
        }

        fn has_room(&self) -> bool {
            true
        }

        fn bytes(&self) -> u64 {
            0
        }

        fn nearness(&self) -> Nearness {
            Nearness::Far
        }

        fn is_bounded(&self) -> bool {
            false
        }

        fn overdraw(&mut self) {}

        fn cuts(&self) -> Vec<LogCut> {
            Vec::new()
        }

        fn next_sequence(&self) -> u64 {
            1
        }

        fn reader(&self) -> Box<dyn engine::Reader> {
            Box::new(self.clone())
        }

        fn entry_bytes_max(&self) -> usize {
            crate::log::ENTRY_BYTES_MAX
        }

        fn trim(&mut self, _: u64) -> Result<()> {
            Ok(())
        }

        fn close(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    fn job(kind: &str, payload: Vec<u8>) -> NewJob {
        let mut job = NewJob::new(Kind::parse("kind", kind).unwrap(), Payload::data(payload));
        job.id = Some(JobId::mint());
        job
    }

    fn line(text: &str) -> Log {
        Log { level: LogLevel::Info, text: text.into(), stream: LogStream::Log }
    }

    #[tokio::test]
    async fn what_a_slow_disk_does_not_take_is_told_later_or_counted() {
        let log = HeldLog::default();
        let options = EngineOptions::default();
        let engine = Engine::open_by(options, Path::new("held"), |_| Ok(Box::new(log.clone()))).unwrap();
        let kinds = vec![Kind::parse("kind", "k").unwrap()];
        let spec = SessionSpec { name: "w".to_owned(), kinds, queues: None, slots: 1 };
        let mut session = engine.open_session(&spec, None);
        let id = engine.submit(job("k", Vec::new())).await.unwrap().id;
        let order = timeout(PATIENCE, session.orders()).await.unwrap().pop_front();
        let Some(Order::Run(assignment)) = order else { panic!("{order:?}") };
        let (link, lease) = (PoolLink::new(session.reporter()), assignment.lease);
        log.hold(true);
        let more = || engine.submit_each(Caller::NOBODY, vec![Ok(job("other", vec![0; 1 << 20]))], None);
        more();
        // From then on nothing is taken of what is queued.
        while !log.0.0.lock().is_felt {
            tokio::task::yield_now().await;
        }
        while engine.has_room() {
            more();
        }
        for number in 0..3 {
            link.log(lease, line(&number.to_string()));
            link.progress(lease, Progress { fraction: Some(f64::from(number) / 4.0), ..Progress::default() });
        }
        log.hold(false);
        timeout(PATIENCE, link.room()).await.unwrap();
        link.log(lease, line("after"));
        link.end(lease, AttemptEnd::Success(Payload::data(Vec::new())));
        let mut watch = engine.watch(id, 0, EventTypes::ALL).unwrap();
        let items = timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
        let told: Vec<_> = items.into_iter().filter_map(told).collect();
        assert_eq!(
            told,
            ["0.5", "3 log lines were dropped here: they came faster than they could be sent", "after"]
        );
    }

    fn told(item: crate::job::WatchItem) -> Option<String> {
        let crate::job::WatchItem::Event(event) = item else { return None };
        match event.body {
            EventBody::Progress(progress) => progress.fraction.map(|fraction| fraction.to_string()),
            EventBody::Log(log) => Some(log.text.to_string()),
            _ => None,
        }
    }
}
