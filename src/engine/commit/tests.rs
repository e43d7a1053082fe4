//! What an engine does when its log fails, is full, or is slow.

mod cold;
mod compaction;
mod downtime;
mod embedder;
mod fail_stop;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout;

use super::{QUEUE_BYTES_MAX, codec};
use crate::clock::Now;
use crate::core::{Caller, Core};
use crate::engine::OpenLog;
use crate::engine::{Batch, Engine, EngineOptions, Submission};
use crate::error::{Error, ErrorKind, Result};
use crate::job::{JobId, JobState, Kind, NewJob, Order, Payload, SessionSpec, Timestamp};
use crate::wal::memory::{MemoryLog, State, broken};
use crate::wal::{Log, SpaceLevel, TrimPoint};

const PATIENCE: Duration = Duration::from_secs(10);

fn options() -> EngineOptions {
    EngineOptions::default()
}

fn engine() -> (Engine, MemoryLog) {
    engine_on(MemoryLog::default(), options())
}

fn engine_on(log: MemoryLog, options: EngineOptions) -> (Engine, MemoryLog) {
    let core = Core::new(options.core.clone(), [1; 32]);
    let start = Now { monotonic: Duration::ZERO, wall: Timestamp::default() };
    (Engine::resume(core, start, opened(&log), options).expect("a thread"), log)
}

fn opened(log: &MemoryLog) -> OpenLog {
    OpenLog { log: Arc::new(log.clone()), next_sequence: log.read(|state| state.last + 1) }
}

/// A compaction that frees all it can.
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

/// Submits jobs, and does not wait until they are durable.
fn submit_now(engine: &Engine, jobs: impl IntoIterator<Item = NewJob>) {
    let batch = Batch { caller: Caller::NOBODY, jobs: jobs.into_iter().map(Ok).collect() };
    let submitted = engine.submit_batches(vec![(batch, None)]).value;
    assert!(submitted.iter().flatten().all(Result::is_ok), "{submitted:?}");
}

async fn submit_all(engine: &Engine, jobs: impl IntoIterator<Item = NewJob>) {
    submit_now(engine, jobs);
    engine.durable().await.expect("it is written");
}

async fn submit(engine: &Engine, job: NewJob) -> Result<Submission> {
    timeout(PATIENCE, engine.submit(job)).await.expect("it is answered")
}

#[tokio::test]
async fn the_first_failure_is_the_last_write() {
    let (engine, disk) = engine();
    submit(&engine, job("kept")).await.expect("it is kept");
    let requests = disk.read(|state| state.requests);
    disk.change(|state| state.is_broken = true);
    let error = submit(&engine, job("lost")).await.expect_err("it is not kept");
    assert_eq!(*error.kind(), ErrorKind::LogFailed);
    assert_eq!(
        *timeout(PATIENCE, engine.log_failure()).await.expect("it is told").kind(),
        ErrorKind::LogFailed
    );
    // Even if it were well again.
    disk.change(|state| state.is_broken = false);
    let before = engine.counts().total();
    for _ in 0..3 {
        let error = submit(&engine, job("refused")).await.expect_err("nothing is accepted");
        assert_eq!(*error.kind(), ErrorKind::LogFailed);
    }
    assert_eq!(engine.counts().total(), before, "refused at once");
    assert_eq!(disk.read(|state| state.requests), requests + 1, "nothing is tried again");
    assert_eq!(engine.close(), Err(broken()));
}

#[tokio::test]
async fn a_full_disk_takes_ends_and_known_jobs_but_no_new_ones() {
    let (engine, disk) = engine();
    let known = job("known");
    let id = submit(&engine, known.clone()).await.expect("it is kept").id;
    disk.change(|state| state.is_full = true);
    // The writer sees it with the next batch, or when it looks.
    engine.pause_queue("q").await.expect("a name");
    let error = until_refused(&engine).await;
    assert_eq!(*error.kind(), ErrorKind::DiskFull);
    assert!(submit(&engine, known).await.expect("it is known").existing);
    let ended = engine.cancel(id, "enough", Duration::ZERO).await.expect("ends go through");
    assert_eq!(ended.0, JobState::Cancelled);
    disk.change(|state| state.is_full = false);
    timeout(PATIENCE, async {
        while submit(&engine, job("again")).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the writer looks for room");
}

async fn until_refused(engine: &Engine) -> Error {
    loop {
        if let Err(error) = submit(engine, job("new")).await {
            return error;
        }
    }
}

#[tokio::test]
async fn a_compaction_keeps_every_job_and_forgets_what_came_before() {
    let (engine, disk) = engine();
    let jobs: Vec<_> = (0..300).map(|_| job("before")).collect();
    let ids: Vec<_> = jobs.iter().filter_map(|job| job.id).collect();
    for part in jobs.chunks(30) {
        submit_all(&engine, part.iter().cloned()).await;
    }
    for id in &ids[..200] {
        engine.cancel(*id, "enough", Duration::ZERO).await.expect("it waits");
    }
    for id in &ids[..100] {
        engine.delete(*id).await.expect("it has ended");
    }
    engine.pause_queue("held").await.expect("a name");
    // What comes goes on in the present segment.
    let before = disk.read(|state| state.entries.last().expect("entries").0);
    let meanwhile = async {
        for number in 0..100 {
            submit(&engine, job("meanwhile")).await.expect("commands go on");
            engine.cancel(ids[200 + number], "meanwhile", Duration::ZERO).await.expect("it waits");
        }
    };
    let (written, ()) = tokio::join!(engine.compact(all(&disk)), meanwhile);
    written.expect("the disk is well");
    let is_trimmed = || disk.read(|state| state.entries.iter().all(|(batch, ..)| *batch >= before));
    timeout(PATIENCE, async {
        while !is_trimmed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("what came before is forgotten");
    let again = relived(&disk);
    assert_eq!((again.counts(), again.counts().total()), (engine.counts(), 300));
    for id in &ids {
        assert_eq!(again.job(*id).await, engine.job(*id).await);
    }
    let (queues, _) = again.queues("", 10).await.expect("they are kept");
    assert!(queues.iter().any(|queue| &*queue.name == "held" && queue.paused));
}

/// An engine from what is on the disk.
fn relived(disk: &MemoryLog) -> Engine {
    let options = EngineOptions::default();
    let mut core = Core::new(options.core.clone(), [2; 32]);
    let mut last = None;
    for (_, sequence, bytes) in disk.read(|state| state.entries.clone()) {
        let entry = codec::decode(&bytes).expect("an entry");
        core.write_to(NonZeroU64::new(sequence).expect("from 1"));
        entry.records.into_iter().for_each(|record| core.replay(record));
        core.replayed_entry();
        last = Some(entry.now);
    }
    Engine::resume(core, last.expect("entries"), opened(&disk.copy()), options).expect("a thread")
}

#[tokio::test]
async fn what_a_slow_disk_cannot_take_is_held_back() {
    let (engine, disk) = engine();
    let context = Context::from_waker(Waker::noop());
    disk.change(|state| state.is_held = true);
    assert_eq!(engine.poll_admission(&context), Poll::Ready(Ok(())));
    let payload = vec![0; 1 << 20];
    // One batch may be on its way to the disk.
    for _ in 0..2 * (QUEUE_BYTES_MAX >> 20) + 2 {
        submit_now(&engine, [job(payload.clone())]);
    }
    assert!(engine.poll_admission(&context).is_pending());
    let waiting = engine.clone();
    let waiting = tokio::spawn(std::future::poll_fn(move |context| waiting.poll_admission(context)));
    disk.change(|state| state.is_held = false);
    timeout(PATIENCE, waiting).await.expect("there is room").expect("no panic").expect("the disk is well");
    timeout(PATIENCE, engine.durable()).await.expect("it is written").expect("the disk is well");
}

/// As many jobs of 1 MiB as a server would read of its callers, and what becomes of them.
fn flood(engine: &Engine, jobs: usize) -> FuturesUnordered<impl Future<Output = Result<Submission>>> {
    let submit = |_| {
        let engine = engine.clone();
        async move { engine.submit(job(vec![0; 1 << 20])).await }
    };
    (0..jobs).map(submit).collect()
}

/// What a disk that stands still does to callers, until it goes on.
async fn stalls(stall: impl Fn(&mut State, bool)) {
    const JOBS: usize = 100;
    let (engine, disk) = engine();
    // What the start recorded.
    engine.durable().await.expect("the disk is well");
    let before = disk.read(|state| state.entries.len());
    disk.change(|state| stall(state, true));
    let mut answers = flood(&engine, JOBS);
    for _ in 0..1000 {
        let told = answers.next().now_or_never().flatten();
        assert!(told.is_none_or(|told| told.is_err()), "nothing is acknowledged");
        tokio::task::yield_now().await;
    }
    let taken = engine.counts().total() as usize;
    // What is queued, what is on its way to the disk, and the last of each that reached the bound.
    assert!(taken <= 2 * (QUEUE_BYTES_MAX >> 20) + 2, "{taken} jobs were taken in");
    assert_eq!(disk.read(|state| state.entries.len()), before);
    disk.change(|state| stall(state, false));
    let answered = timeout(PATIENCE, answers.collect::<Vec<_>>()).await.expect("it goes on by itself");
    let acknowledged = answered.iter().filter(|answer| answer.is_ok()).count();
    assert!(acknowledged >= taken, "{acknowledged} of {taken}");
    assert_eq!(relived(&disk).counts().total() as usize, acknowledged);
}

#[tokio::test]
async fn who_cannot_wait_for_a_slow_disk_leaves_it_behind() {
    let (engine, disk) = engine();
    disk.change(|state| state.is_held = true);
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { submit(&engine, job("slow")).await }
    });
    tokio::task::yield_now().await;
    let begun = std::time::Instant::now();
    assert_eq!(engine.close_within(Duration::from_millis(20)), Ok(false));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(!waiting.is_finished(), "nothing is acknowledged before it is on disk");
    disk.change(|state| state.is_held = false);
    assert_eq!(engine.close_within(PATIENCE), Ok(true));
    timeout(PATIENCE, waiting).await.expect("it answers").expect("no panic").expect("it is on disk");
    assert_eq!(engine.close_within(PATIENCE), Ok(true));
}

#[tokio::test]
async fn a_disk_that_stalls_acknowledges_nothing_and_holds_callers_back() {
    stalls(|state, is_held| state.is_held = is_held).await;
}

#[tokio::test]
async fn a_disk_without_any_room_acknowledges_nothing_and_goes_on_when_it_has_some() {
    stalls(|state, is_exhausted| state.is_exhausted = is_exhausted).await;
}

#[tokio::test]
async fn orders_whose_wait_for_the_disk_was_cut_short_are_still_there() {
    let (engine, disk) = engine();
    let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 1 };
    let mut session = engine.open_session(&spec, None);
    disk.change(|state| state.is_held = true);
    submit_now(&engine, [job("x")]);
    assert!(timeout(Duration::from_millis(20), session.orders()).await.is_err(), "it is not on disk");
    assert!(session.has_orders());
    disk.change(|state| state.is_held = false);
    let orders = timeout(PATIENCE, session.orders()).await.expect("now it is");
    assert!(matches!(orders.front(), Some(Order::Run(_))), "{orders:?}");
}

#[tokio::test]
async fn an_entry_that_means_nothing_is_damage_and_one_of_tomorrow_a_refusal() {
    let directory = std::env::temp_dir().join(format!("jobstream-entries-{}", std::process::id()));
    // An entry with its time, and a record of a sort that is not known.
    let newer = [&[0x0a, 2, 8, 1][..], &[0x1a, 4, 0xfa, 1, 1, 0]].concat();
    for (entry, is_damage) in [(vec![0xff; 3], true), (newer, false)] {
        // Nothing is there the first time.
        let _ = std::fs::remove_dir_all(&directory);
        let options = crate::wal::Options { segment_bytes: 1 << 20, ..Default::default() };
        let (mut log, _) = crate::wal::DiskLog::open(&directory, &options, |_, _, _| Ok(())).expect("a log");
        let positions = log.append(&[entry]).expect("it is written");
        log.close().expect("it is written");
        let error = Engine::open(EngineOptions::default(), &directory).err().expect("it is refused");
        let (file, offset) = (positions[0].file(&directory), positions[0].offset);
        assert!(error.message().contains(&file.display().to_string()), "{error}");
        match is_damage {
            true => assert_eq!(*error.kind(), ErrorKind::LogDamaged { file, offset }, "{error}"),
            false => assert_eq!(*error.kind(), ErrorKind::LogRefused, "{error}"),
        }
    }
    std::fs::remove_dir_all(&directory).expect("it is ours");
}

#[tokio::test]
async fn payloads_larger_than_an_entry_are_refused_with_the_option() {
    let mut options = EngineOptions::default();
    options.core.payload_bytes_max = crate::wal::ENTRY_BYTES_MAX;
    let nowhere = std::path::Path::new("never-made");
    let error = Engine::open(options, nowhere).err().expect("it is refused");
    assert!(matches!(error.kind(), ErrorKind::InvalidField(_)), "{error}");
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn a_log_near_its_bound_gives_back_its_oldest_segment() {
    let (engine, disk) = engine();
    let oldest = submit(&engine, job("oldest")).await.expect("it is kept").id;
    let later = submit(&engine, job("later")).await.expect("it is kept").id;
    assert_eq!(disk.read(|state| state.entries[0].0), 0);
    disk.change(|state| state.level = Some(SpaceLevel::Low));
    engine.pause_queue("q").await.expect("a name");
    let is_given_back = || disk.read(|state| state.entries.first().is_some_and(|(batch, ..)| *batch > 0));
    timeout(PATIENCE, async {
        while !is_given_back() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is near");
    disk.change(|state| state.level = Some(SpaceLevel::Free));
    engine.durable().await.expect("the disk is well");
    let again = relived(&disk);
    for id in [oldest, later] {
        assert_eq!(again.job(id).await, engine.job(id).await);
    }
}

#[tokio::test]
async fn nothing_new_is_taken_on_while_a_log_has_room_for_its_shortening_alone() {
    let (engine, disk) = engine();
    disk.change(|state| state.level = Some(SpaceLevel::Critical));
    engine.pause_queue("q").await.expect("what is on its way is written");
    let context = Context::from_waker(Waker::noop());
    timeout(PATIENCE, async {
        while engine.poll_admission(&context).is_ready() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is tight");
    assert!(!engine.has_capacity());
}

#[tokio::test]
async fn who_was_held_back_is_woken_when_there_is_room_though_nothing_is_written() {
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
        .expect("it is woken")
        .expect("no panic")
        .expect("it goes on");
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_a_log_behind_a_faulty_network() {
    for seed in 0..20 {
        let (engine, log) = engine_on(MemoryLog::with_faults(seed), options());
        let submits: FuturesUnordered<_> = (0..50).map(|_| submit(&engine, job("x"))).collect();
        let mut acknowledged = 0;
        let mut answers = submits;
        while let Some(answer) = answers.next().await {
            let id = answer.expect("the log is well").id;
            acknowledged += 1;
            if acknowledged % 10 == 0 {
                assert!(relived(&log).job(id).await.is_ok(), "acknowledged, and not in the log");
            }
        }
        engine.close().expect("the log is well");
        assert_eq!(relived(&log).counts().total(), 50);
    }
}
