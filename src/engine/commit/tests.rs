//! What an engine does when its log fails, is full, or is slow.

mod checkpoints;
mod cold;
mod downtime;
mod lost;
mod turns;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use parking_lot::{Condvar, Mutex};
use tokio::time::timeout;

use super::{Cut, Log, QUEUE_BYTES_MAX, Reader, codec};
use crate::clock::Now;
use crate::core::{Caller, Core};
use crate::engine::{Engine, EngineOptions, Submission};
use crate::error::{Error, ErrorKind, Result};
use crate::job::{JobId, JobState, Kind, NewJob, Order, Payload, SessionSpec, Timestamp};
use crate::log::Nearness;

const PATIENCE: Duration = Duration::from_secs(10);

/// A disk that does as it is told.
#[derive(Default)]
struct Disk {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    /// Writes wait.
    is_held: bool,
    is_full: bool,
    /// Full, and what was kept for the ends of what runs is used up.
    is_stuffed: bool,
    is_broken: bool,
    batches: usize,
    /// What was written, with its sequence, by segment: each batch has one of its own.
    kept: Vec<(u64, u64, Vec<u8>)>,
    written: u64,
    /// How close it says to be to its bound.
    nearness: Option<Nearness>,
}

impl Disk {
    /// A disk of its own with the same on it.
    fn copy(&self) -> Arc<Self> {
        let State { kept, written, .. } = &*self.state.lock();
        let state = State { kept: kept.clone(), written: *written, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), told: Condvar::new() })
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.told.notify_all();
    }
}

struct DiskLog(Arc<Disk>);

fn broken() -> Error {
    Error::new(ErrorKind::LogFailed, "the disk is broken")
}

impl Log for DiskLog {
    fn append(&mut self, entries: &[&[u8]]) -> Result<()> {
        let mut state = self.0.state.lock();
        self.0.told.wait_while(&mut state, |state| state.is_held);
        state.batches += 1;
        if state.is_broken {
            return Err(broken());
        }
        if state.is_stuffed {
            return Err(Error::new(ErrorKind::DiskFull, "no room at all"));
        }
        let segment = state.batches as u64;
        let first = state.written + 1;
        state.written += entries.len() as u64;
        state
            .kept
            .extend((first..).zip(entries).map(|(sequence, entry)| (segment, sequence, entry.to_vec())));
        Ok(())
    }

    fn prepare(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn has_room(&self) -> bool {
        !self.0.state.lock().is_full
    }

    fn bytes(&self) -> u64 {
        self.0.state.lock().kept.iter().map(|(.., entry)| entry.len() as u64).sum()
    }

    fn nearness(&self) -> Nearness {
        self.0.state.lock().nearness.unwrap_or(Nearness::Far)
    }

    fn is_bounded(&self) -> bool {
        self.0.state.lock().nearness.is_some()
    }

    fn overdraw(&mut self) {}

    fn cuts(&self) -> Vec<Cut> {
        let (mut cuts, mut bytes, mut last) = (Vec::new(), 0, None);
        for (segment, sequence, entry) in &self.0.state.lock().kept {
            if last.replace(*segment).is_some_and(|last| last != *segment) {
                cuts.push(Cut { segment: *segment, sequence: *sequence, bytes });
            }
            bytes += entry.len() as u64;
        }
        cuts
    }

    fn entry_bytes_max(&self) -> usize {
        crate::log::ENTRY_BYTES_MAX
    }

    fn trim(&mut self, before: u64) -> Result<()> {
        self.0.state.lock().kept.retain(|(segment, ..)| *segment >= before);
        Ok(())
    }

    fn next_sequence(&self) -> u64 {
        self.0.state.lock().written + 1
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(DiskReader(self.0.clone()))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct DiskReader(Arc<Disk>);

impl Reader for DiskReader {
    fn read(&self, sequence: u64) -> Result<Option<Vec<u8>>> {
        let state = self.0.state.lock();
        Ok(state.kept.iter().find(|kept| kept.1 == sequence).map(|(.., entry)| entry.clone()))
    }
}

fn engine() -> (Engine, Arc<Disk>) {
    let (disk, options) = (Arc::new(Disk::default()), EngineOptions::default());
    let core = Core::new(options.core.clone(), [1; 32]);
    let start = Now { monotonic: Duration::ZERO, wall: Timestamp::default() };
    let log = Box::new(DiskLog(disk.clone()));
    (Engine::resume(core, start, log, options).expect("a thread"), disk)
}

/// A checkpoint that gives back all it can.
fn all(disk: &Arc<Disk>) -> Cut {
    let none = Cut { segment: 0, sequence: disk.state.lock().written + 1, bytes: 0 };
    DiskLog(disk.clone()).cuts().pop().unwrap_or(none)
}

fn kind() -> Kind {
    Kind::parse("kind", "k").expect("a kind")
}

fn job(payload: impl Into<bytes::Bytes>) -> NewJob {
    let mut job = NewJob::new(kind(), Payload::data(payload));
    job.id = Some(JobId::mint());
    job
}

async fn submit(engine: &Engine, job: NewJob) -> Result<Submission> {
    timeout(PATIENCE, engine.submit(job)).await.expect("it is answered")
}

#[tokio::test]
async fn the_first_failure_is_the_last_write() {
    let (engine, disk) = engine();
    submit(&engine, job("kept")).await.expect("it is kept");
    disk.tell(|state| state.is_broken = true);
    let error = submit(&engine, job("lost")).await.expect_err("it is not kept");
    assert_eq!(*error.kind(), ErrorKind::LogFailed);
    assert_eq!(
        *timeout(PATIENCE, engine.log_failure()).await.expect("it is told").kind(),
        ErrorKind::LogFailed
    );
    // Even if it were well again.
    disk.tell(|state| state.is_broken = false);
    let before = engine.counts().total();
    for _ in 0..3 {
        let error = submit(&engine, job("refused")).await.expect_err("nothing is accepted");
        assert_eq!(*error.kind(), ErrorKind::LogFailed);
    }
    assert_eq!(engine.counts().total(), before, "refused at once");
    assert_eq!(disk.state.lock().batches, 2, "nothing is tried again");
    assert_eq!(engine.close(), Err(broken()));
}

#[tokio::test]
async fn a_full_disk_takes_ends_and_known_jobs_but_no_new_ones() {
    let (engine, disk) = engine();
    let known = job("known");
    let id = submit(&engine, known.clone()).await.expect("it is kept").id;
    disk.tell(|state| state.is_full = true);
    // The writer sees it with the next batch, or when it looks.
    engine.pause_queue("q").await.expect("a name");
    let error = until_refused(&engine).await;
    assert_eq!(*error.kind(), ErrorKind::DiskFull);
    assert!(submit(&engine, known).await.expect("it is known").existing);
    let ended = engine.cancel(id, "enough", Duration::ZERO).await.expect("ends go through");
    assert_eq!(ended.0, JobState::Cancelled);
    disk.tell(|state| state.is_full = false);
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
async fn a_checkpoint_keeps_every_job_and_forgets_what_came_before() {
    let (engine, disk) = engine();
    let jobs: Vec<_> = (0..300).map(|_| job("before")).collect();
    let ids: Vec<_> = jobs.iter().filter_map(|job| job.id).collect();
    for part in jobs.chunks(30) {
        engine.submit_each(Caller::NOBODY, part.iter().cloned().map(Ok).collect(), None);
        engine.durable().await.expect("it is written");
    }
    for id in &ids[..200] {
        engine.cancel(*id, "enough", Duration::ZERO).await.expect("it waits");
    }
    for id in &ids[..100] {
        engine.delete(*id).await.expect("it has ended");
    }
    engine.pause_queue("held").await.expect("a name");
    // What comes goes on in the present segment.
    let before = disk.state.lock().batches as u64;
    let meanwhile = async {
        for number in 0..100 {
            submit(&engine, job("meanwhile")).await.expect("commands go on");
            engine.cancel(ids[200 + number], "meanwhile", Duration::ZERO).await.expect("it waits");
        }
    };
    let (written, ()) = tokio::join!(engine.checkpoint(all(&disk)), meanwhile);
    written.expect("the disk is well");
    let is_trimmed = || disk.state.lock().kept.iter().all(|(segment, ..)| *segment >= before);
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
    let (queues, _) = again.queues("", 10).expect("they are kept");
    assert!(queues.iter().any(|queue| &*queue.name == "held" && queue.paused));
}

/// An engine from what is on the disk.
fn relived(disk: &Disk) -> Engine {
    let options = EngineOptions::default();
    let mut core = Core::new(options.core.clone(), [2; 32]);
    let mut last = None;
    for (_, sequence, bytes) in &disk.state.lock().kept {
        let entry = codec::decode(bytes).expect("an entry");
        core.write_to(NonZeroU64::new(*sequence).expect("from 1"));
        entry.records.into_iter().for_each(|record| core.replay(record));
        core.replayed_entry();
        last = Some(entry.now);
    }
    let log = Box::new(DiskLog(disk.copy()));
    Engine::resume(core, last.expect("entries"), log, options).expect("a thread")
}

#[tokio::test]
async fn what_a_slow_disk_cannot_take_is_held_back() {
    let (engine, disk) = engine();
    let context = Context::from_waker(Waker::noop());
    disk.tell(|state| state.is_held = true);
    assert_eq!(engine.poll_room(&context), Poll::Ready(()));
    let payload = vec![0; 1 << 20];
    // One batch may be on its way to the disk.
    for _ in 0..2 * (QUEUE_BYTES_MAX >> 20) + 2 {
        engine.submit_each(Caller::NOBODY, vec![Ok(job(payload.clone()))], None);
    }
    assert!(engine.poll_room(&context).is_pending());
    let waiting = engine.clone();
    let waiting = tokio::spawn(std::future::poll_fn(move |context| waiting.poll_room(context)));
    disk.tell(|state| state.is_held = false);
    timeout(PATIENCE, waiting).await.expect("there is room").expect("no panic");
    timeout(PATIENCE, engine.durable()).await.expect("it is written").expect("the disk is well");
}

/// As many jobs of 1 MiB as a server would read of its callers, and what becomes of them.
fn flood(engine: &Engine, jobs: usize) -> FuturesUnordered<impl Future<Output = Result<Submission>>> {
    let submit = |_| {
        let engine = engine.clone();
        async move {
            std::future::poll_fn(|context| engine.poll_room(context)).await;
            engine.submit(job(vec![0; 1 << 20])).await
        }
    };
    (0..jobs).map(submit).collect()
}

/// What a disk that stands still does to callers, until it goes on.
async fn stalls(stall: impl Fn(&mut State, bool)) {
    const JOBS: usize = 100;
    let (engine, disk) = engine();
    disk.tell(|state| stall(state, true));
    let mut answers = flood(&engine, JOBS);
    for _ in 0..1000 {
        let told = answers.next().now_or_never().flatten();
        assert!(told.is_none_or(|told| told.is_err()), "nothing is acknowledged");
        tokio::task::yield_now().await;
    }
    let taken = engine.counts().total() as usize;
    // What is queued, what is on its way to the disk, and the last of each that reached the bound.
    assert!(taken <= 2 * (QUEUE_BYTES_MAX >> 20) + 2, "{taken} jobs were taken in");
    assert!(disk.state.lock().kept.is_empty());
    disk.tell(|state| stall(state, false));
    let answered = timeout(PATIENCE, answers.collect::<Vec<_>>()).await.expect("it goes on by itself");
    let acknowledged = answered.iter().filter(|answer| answer.is_ok()).count();
    assert!(acknowledged >= taken, "{acknowledged} of {taken}");
    assert_eq!(relived(&disk).counts().total() as usize, acknowledged);
}

#[tokio::test]
async fn who_cannot_wait_for_a_slow_disk_leaves_it_behind() {
    let (engine, disk) = engine();
    disk.tell(|state| state.is_held = true);
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { submit(&engine, job("slow")).await }
    });
    tokio::task::yield_now().await;
    let begun = std::time::Instant::now();
    assert_eq!(engine.close_within(Duration::from_millis(20)), Ok(false));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(!waiting.is_finished(), "nothing is acknowledged before it is on disk");
    disk.tell(|state| state.is_held = false);
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
    stalls(|state, is_stuffed| state.is_stuffed = is_stuffed).await;
}

#[tokio::test]
async fn orders_whose_wait_for_the_disk_was_cut_short_are_still_there() {
    let (engine, disk) = engine();
    let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 1 };
    let mut session = engine.open_session(&spec, None);
    disk.tell(|state| state.is_held = true);
    engine.submit_each(Caller::NOBODY, vec![Ok(job("x"))], None);
    assert!(timeout(Duration::from_millis(20), session.orders()).await.is_err(), "it is not on disk");
    assert!(session.is_holding());
    disk.tell(|state| state.is_held = false);
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
        let options = crate::log::Options { segment_bytes: 1 << 20, ..Default::default() };
        let (mut log, _) = crate::log::Log::open(&directory, &options, |_, _, _| Ok(())).expect("a log");
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
    options.core.payload_bytes_max = crate::log::ENTRY_BYTES_MAX;
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
    assert_eq!(disk.state.lock().kept[0].0, 1);
    disk.tell(|state| state.nearness = Some(Nearness::Near));
    engine.pause_queue("q").await.expect("a name");
    let is_given_back = || disk.state.lock().kept.first().is_some_and(|(segment, ..)| *segment > 1);
    timeout(PATIENCE, async {
        while !is_given_back() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is near");
    disk.tell(|state| state.nearness = Some(Nearness::Far));
    engine.durable().await.expect("the disk is well");
    let again = relived(&disk);
    for id in [oldest, later] {
        assert_eq!(again.job(id).await, engine.job(id).await);
    }
}

#[tokio::test]
async fn nothing_new_is_taken_on_while_a_log_has_room_for_its_shortening_alone() {
    let (engine, disk) = engine();
    disk.tell(|state| state.nearness = Some(Nearness::Tight));
    engine.pause_queue("q").await.expect("what is on its way is written");
    let context = Context::from_waker(Waker::noop());
    timeout(PATIENCE, async {
        while engine.poll_room(&context).is_ready() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is tight");
    assert!(!engine.has_room());
}

#[tokio::test]
async fn who_was_held_back_is_woken_when_there_is_room_though_nothing_is_written() {
    let (engine, _disk) = engine();
    let writer = &engine.0.commit.as_ref().expect("it has a log").shared;
    writer.hold_if(true);
    let waiting = engine.clone();
    let mut waiting = Box::pin(std::future::poll_fn(move |context| waiting.poll_room(context)));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let waiting = tokio::spawn(waiting);
    tokio::task::yield_now().await;
    writer.hold_if(false);
    timeout(Duration::from_millis(500), waiting).await.expect("it is woken").expect("no panic");
}
