//! An engine whose log fails, is full, or is slow.

mod compaction;
mod downtime;
mod embedder;
mod evicted;
mod fail_stop;
mod feed;
mod key_ids;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout;

use super::{QUEUE_BYTES_MAX, codec};
use crate::clock::{Clock, Now};
use crate::core::{Caller, Core};
use crate::engine::OpenLog;
use crate::engine::{Batch, Engine, EngineOptions, PageBounds, Submission};
use crate::error::{Error, ErrorKind, Result};
use crate::job::{JobId, JobState, Kind, NewJob, Order, Payload, SessionSpec, Timestamp};
use crate::wal::memory::{MemoryLog, State, broken};
use crate::wal::{Log, SpaceLevel, TrimPoint};

const TIMEOUT: Duration = Duration::from_secs(10);
const PAGE: PageBounds = PageBounds { jobs: 100, bytes: 1 << 20, with_payloads: true };

fn options() -> EngineOptions {
    EngineOptions::default()
}

fn engine() -> (Engine, MemoryLog) {
    engine_on(MemoryLog::default(), options())
}

fn engine_on(log: MemoryLog, options: EngineOptions) -> (Engine, MemoryLog) {
    let core = Core::new(options.core.clone(), [1; 32]);
    let start = Now { monotonic: Duration::ZERO, wall: Timestamp::default() };
    let clock = Clock::system_after(Duration::ZERO);
    (Engine::resume(clock, core, start, opened(&log), options).expect("a thread"), log)
}

fn opened(log: &MemoryLog) -> OpenLog {
    OpenLog { log: Arc::new(log.clone()), next_sequence: log.read(|state| state.last + 1) }
}

/// Returns the last position up to which the log can be trimmed.
fn all(log: &MemoryLog) -> TrimPoint {
    let none = TrimPoint { sequence: log.read(|state| state.last + 1), bytes: 0 };
    log.trim_points().pop().unwrap_or(none)
}

fn kind() -> Kind {
    Kind::parse("kind", "k").expect("a kind")
}

fn job(payload: impl Into<bytes::Bytes>) -> NewJob {
    let mut job = NewJob::new(kind(), Payload::data(payload));
    job.id = Some(JobId::mint());
    job
}

/// Submits jobs without waiting until they are durable.
fn submit_now(engine: &Engine, jobs: impl IntoIterator<Item = NewJob>) {
    let batch = Batch { caller: Caller::Embedder, jobs: jobs.into_iter().map(Ok).collect() };
    let submitted = engine.submit_batches(vec![(batch, None)]).value;
    assert!(submitted.iter().flatten().all(Result::is_ok), "{submitted:?}");
}

async fn submit_all(engine: &Engine, jobs: impl IntoIterator<Item = NewJob>) {
    submit_now(engine, jobs);
    engine.durable().await.expect("it is durable");
}

async fn submit(engine: &Engine, job: NewJob) -> Result<Submission> {
    timeout(TIMEOUT, engine.submit(job)).await.expect("it completes")
}

#[tokio::test]
async fn no_write_follows_a_failed_write() {
    let (engine, disk) = engine();
    submit(&engine, job("durable")).await.expect("it is durable");
    let requests = disk.read(|state| state.requests);
    disk.change(|state| state.is_broken = true);
    let error = submit(&engine, job("lost")).await.expect_err("the append fails");
    assert_eq!(*error.kind(), ErrorKind::LogFailed);
    assert_eq!(
        *timeout(TIMEOUT, engine.log_failure()).await.expect("the failure is reported").kind(),
        ErrorKind::LogFailed
    );
    // The disk works again.
    disk.change(|state| state.is_broken = false);
    let before = engine.counts().total();
    for _ in 0..3 {
        let error = submit(&engine, job("refused")).await.expect_err("nothing is accepted");
        assert_eq!(*error.kind(), ErrorKind::LogFailed);
    }
    assert_eq!(engine.counts().total(), before, "rejected at once");
    assert_eq!(disk.read(|state| state.requests), requests + 1, "no write is retried");
    assert_eq!(engine.close(), Err(broken()));
}

#[tokio::test]
async fn a_full_disk_rejects_only_new_jobs() {
    let (engine, disk) = engine();
    let known = job("known");
    let id = submit(&engine, known.clone()).await.expect("it is durable").id;
    disk.change(|state| state.is_full = true);
    // The writer detects it with the next batch, or when it polls.
    engine.pause_queue("q").await.expect("a name");
    let error = until_refused(&engine).await;
    assert_eq!(*error.kind(), ErrorKind::DiskFull);
    assert!(submit(&engine, known).await.expect("the job exists").existing);
    let ended = engine.cancel(id, "enough", Duration::ZERO).await.expect("a cancel is accepted");
    assert_eq!(ended.0, JobState::Cancelled);
    disk.change(|state| state.is_full = false);
    timeout(TIMEOUT, async {
        while submit(&engine, job("again")).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the writer polls the free space");
}

async fn until_refused(engine: &Engine) -> Error {
    loop {
        if let Err(error) = submit(engine, job("new")).await {
            return error;
        }
    }
}

#[tokio::test]
async fn a_compaction_preserves_all_jobs_and_trims_the_log() {
    let (engine, disk) = engine();
    let jobs: Vec<_> = (0..300).map(|_| job("before")).collect();
    let ids: Vec<_> = jobs.iter().filter_map(|job| job.id).collect();
    for part in jobs.chunks(30) {
        submit_all(&engine, part.iter().cloned()).await;
    }
    for id in &ids[..200] {
        engine.cancel(*id, "enough", Duration::ZERO).await.expect("the job waits");
    }
    for id in &ids[..100] {
        engine.delete(*id).await.expect("the job has ended");
    }
    engine.pause_queue("held").await.expect("a name");
    // Later entries are appended to the present segment.
    let before = disk.read(|state| state.entries.last().expect("entries").0);
    let meanwhile = async {
        for number in 0..100 {
            submit(&engine, job("meanwhile")).await.expect("commands are accepted");
            engine.cancel(ids[200 + number], "meanwhile", Duration::ZERO).await.expect("the job waits");
        }
    };
    let (written, ()) = tokio::join!(engine.compact(all(&disk)), meanwhile);
    written.expect("the log works");
    let is_trimmed = || disk.read(|state| state.entries.iter().all(|(batch, ..)| *batch >= before));
    timeout(TIMEOUT, async {
        while !is_trimmed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("earlier entries are trimmed");
    let again = recovered(&disk);
    assert_eq!((again.counts(), again.counts().total()), (engine.counts(), 300));
    for id in &ids {
        assert_eq!(again.job(*id).await, engine.job(*id).await);
    }
    let (queues, _) = again.queues("", 10).await.expect("queues are listed");
    assert!(queues.iter().any(|queue| &*queue.name == "held" && queue.paused));
}

/// Recovers an engine from the log.
fn recovered(disk: &MemoryLog) -> Engine {
    let options = EngineOptions::default();
    let mut core = Core::new(options.core.clone(), [2; 32]);
    let mut last = None;
    for (_, sequence, bytes) in disk.read(|state| state.entries.clone()) {
        let entry = codec::decode(&bytes).expect("an entry");
        core.set_log_entry(NonZeroU64::new(sequence).expect("from 1"));
        entry.records.into_iter().for_each(|record| core.replay(record));
        core.evict_replayed();
        last = Some(entry.now);
    }
    let last: Now = last.expect("entries");
    let clock = Clock::system_after(last.monotonic);
    Engine::resume(clock, core, last, opened(&disk.copy()), options).expect("a thread")
}

#[tokio::test]
async fn a_slow_disk_causes_backpressure() {
    let (engine, disk) = engine();
    let context = Context::from_waker(Waker::noop());
    disk.change(|state| state.is_held = true);
    assert_eq!(engine.poll_admission(&context), Poll::Ready(Ok(())));
    let payload = vec![0; 1 << 20];
    // The writer takes batches from the queue while few are in flight.
    let jobs_max = 8 * (QUEUE_BYTES_MAX >> 20);
    let is_refused = (0..jobs_max).any(|_| {
        submit_now(&engine, [job(payload.clone())]);
        engine.poll_admission(&context).is_pending()
    });
    assert!(is_refused, "{jobs_max} jobs were admitted");
    let waiting = engine.clone();
    let waiting = tokio::spawn(std::future::poll_fn(move |context| waiting.poll_admission(context)));
    disk.change(|state| state.is_held = false);
    timeout(TIMEOUT, waiting).await.expect("there is capacity").expect("no panic").expect("the log works");
    timeout(TIMEOUT, engine.durable()).await.expect("it is durable").expect("the log works");
}

/// Submits jobs of 1 MiB concurrently.
fn flood(engine: &Engine, jobs: usize) -> FuturesUnordered<impl Future<Output = Result<Submission>>> {
    let submit = |_| {
        let engine = engine.clone();
        async move { engine.submit(job(vec![0; 1 << 20])).await }
    };
    (0..jobs).map(submit).collect()
}

/// Checks that a stalled disk acknowledges no job, and that submits complete after the stall.
async fn check_stall(stall: impl Fn(&mut State, bool)) {
    const JOBS: usize = 100;
    let (engine, disk) = engine();
    // Records of the start.
    engine.durable().await.expect("the log works");
    let before = disk.read(|state| state.entries.len());
    disk.change(|state| stall(state, true));
    let mut answers = flood(&engine, JOBS);
    for _ in 0..1000 {
        let answer = answers.next().now_or_never().flatten();
        assert!(answer.is_none_or(|answer| answer.is_err()), "no job is acknowledged");
        tokio::task::yield_now().await;
    }
    let taken = engine.counts().total() as usize;
    // Queued jobs, jobs in flight, and the job of each that exceeds the limit.
    assert!(taken <= 2 * (QUEUE_BYTES_MAX >> 20) + 2, "{taken} jobs were accepted");
    assert_eq!(disk.read(|state| state.entries.len()), before);
    disk.change(|state| stall(state, false));
    let answered =
        timeout(TIMEOUT, answers.collect::<Vec<_>>()).await.expect("submits complete after the stall");
    let acknowledged = answered.iter().filter(|answer| answer.is_ok()).count();
    assert!(acknowledged >= taken, "{acknowledged} of {taken}");
    assert_eq!(recovered(&disk).counts().total() as usize, acknowledged);
}

#[tokio::test]
async fn closing_with_a_timeout_does_not_wait_for_a_slow_disk() {
    let (engine, disk) = engine();
    disk.change(|state| state.is_held = true);
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { submit(&engine, job("slow")).await }
    });
    tokio::task::yield_now().await;
    let begun = std::time::Instant::now();
    assert_eq!(engine.close_within(Duration::from_millis(20)), Ok(false));
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    assert!(!waiting.is_finished(), "no job is acknowledged before it is durable");
    disk.change(|state| state.is_held = false);
    assert_eq!(engine.close_within(TIMEOUT), Ok(true));
    timeout(TIMEOUT, waiting).await.expect("it completes").expect("no panic").expect("it is durable");
    assert_eq!(engine.close_within(TIMEOUT), Ok(true));
}

#[tokio::test]
async fn a_stalled_disk_acknowledges_no_jobs_and_causes_backpressure() {
    check_stall(|state, is_held| state.is_held = is_held).await;
}

#[tokio::test]
async fn an_exhausted_disk_acknowledges_no_jobs_until_it_has_space() {
    check_stall(|state, is_exhausted| state.is_exhausted = is_exhausted).await;
}

#[tokio::test]
async fn orders_survive_a_cancelled_wait_for_durability() {
    let (engine, disk) = engine();
    let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 1 };
    let mut session = engine.open_session(&spec, None);
    disk.change(|state| state.is_held = true);
    submit_now(&engine, [job("x")]);
    assert!(timeout(Duration::from_millis(20), session.orders()).await.is_err(), "it is not durable");
    assert!(session.has_orders());
    disk.change(|state| state.is_held = false);
    let orders = timeout(TIMEOUT, session.orders()).await.expect("it is durable");
    assert!(matches!(orders.front(), Some(Order::Run(_))), "{orders:?}");
}

#[tokio::test]
async fn an_invalid_entry_is_damage_and_a_newer_one_is_refused() {
    let directory = std::env::temp_dir().join(format!("jobstream-entries-{}", std::process::id()));
    // An entry with a time and a record of an unknown type.
    let newer = [&[0x0a, 2, 8, 1][..], &[0x1a, 4, 0xfa, 1, 1, 0]].concat();
    for (entry, is_damage) in [(vec![0xff; 3], true), (newer, false)] {
        // The directory does not exist at the first run.
        let _ = std::fs::remove_dir_all(&directory);
        let options = crate::wal::Options { segment_bytes: 1 << 20, ..Default::default() };
        let mut log = crate::wal::DiskLog::open(&directory, &options, |_, _, _| Ok(())).expect("a log");
        let positions = log.append(&[entry]).expect("it is durable");
        log.close().expect("it is durable");
        let error = Engine::open(EngineOptions::default(), &directory).err().expect("it is refused");
        let (file, offset) = (positions[0].file(&directory), positions[0].offset);
        assert!(error.message().contains(&file.display().to_string()), "{error}");
        match is_damage {
            true => assert_eq!(*error.kind(), ErrorKind::LogDamaged { file, offset }, "{error}"),
            false => assert_eq!(*error.kind(), ErrorKind::LogRefused, "{error}"),
        }
    }
    std::fs::remove_dir_all(&directory).expect("the test owns the directory");
}

#[tokio::test]
async fn a_payload_limit_above_the_entry_limit_is_rejected() {
    let mut options = EngineOptions::default();
    options.core.payload_bytes_max = crate::wal::ENTRY_BYTES_MAX;
    let nowhere = std::path::Path::new("never-made");
    let error = Engine::open(options, nowhere).err().expect("it is refused");
    assert!(matches!(error.kind(), ErrorKind::InvalidField(_)), "{error}");
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn a_log_with_low_space_reclaims_its_oldest_segment() {
    let (engine, disk) = engine();
    let oldest = submit(&engine, job("oldest")).await.expect("it is durable").id;
    let later = submit(&engine, job("later")).await.expect("it is durable").id;
    assert_eq!(disk.read(|state| state.entries[0].0), 0);
    disk.change(|state| state.level = Some(SpaceLevel::Low));
    engine.pause_queue("q").await.expect("a name");
    let is_reclaimed = || disk.read(|state| state.entries.first().is_some_and(|(batch, ..)| *batch > 0));
    timeout(TIMEOUT, async {
        while !is_reclaimed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the oldest segment is reclaimed");
    disk.change(|state| state.level = Some(SpaceLevel::Free));
    engine.durable().await.expect("the log works");
    let again = recovered(&disk);
    for id in [oldest, later] {
        assert_eq!(again.job(id).await, engine.job(id).await);
    }
}

#[tokio::test]
async fn no_jobs_are_admitted_at_critical_log_space() {
    let (engine, disk) = engine();
    disk.change(|state| state.level = Some(SpaceLevel::Critical));
    engine.pause_queue("q").await.expect("earlier commands are durable");
    let context = Context::from_waker(Waker::noop());
    timeout(TIMEOUT, async {
        while engine.poll_admission(&context).is_ready() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("admission is refused");
    assert!(!engine.has_capacity());
}

#[tokio::test]
async fn an_admission_waiter_is_woken_by_capacity_without_a_write() {
    let (engine, _disk) = engine();
    let writer = &engine.0.commit.as_ref().expect("it has a log").shared;
    writer.set_critical(true);
    let waiting = engine.clone();
    let mut waiting = Box::pin(std::future::poll_fn(move |context| waiting.poll_admission(context)));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let waiting = tokio::spawn(waiting);
    tokio::task::yield_now().await;
    writer.set_critical(false);
    timeout(Duration::from_millis(500), waiting)
        .await
        .expect("the waiter is woken")
        .expect("no panic")
        .expect("the caller is admitted");
}

#[tokio::test]
async fn a_log_with_a_faulty_network_loses_no_acknowledged_job() {
    for seed in 0..20 {
        let (engine, log) = engine_on(MemoryLog::with_faults(seed), options());
        let submits: FuturesUnordered<_> = (0..50).map(|_| submit(&engine, job("x"))).collect();
        let mut acknowledged = 0;
        let mut answers = submits;
        while let Some(answer) = answers.next().await {
            let id = answer.expect("the log works").id;
            acknowledged += 1;
            if acknowledged % 10 == 0 {
                assert!(recovered(&log).job(id).await.is_ok(), "an acknowledged job is not in the log");
            }
        }
        engine.close().expect("the log works");
        assert_eq!(recovered(&log).counts().total(), 50);
    }
}
