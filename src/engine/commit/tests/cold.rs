//! Finished jobs whose contents are in the log alone: read back for everyone who asks.

use super::*;
use crate::engine::{EndedJob, PageBounds, Session, StreamBatch, SubmitStream};
use crate::job::{
    AttemptEnd, EventTypes, JobFilter, JobView, Log as LogLine, LogLevel, LogStream, Outcome, Report,
    WatchItem,
};

const PAGE: PageBounds = PageBounds { jobs: 100, bytes: 1 << 20, with_payloads: true };

/// An engine that keeps at most this much of finished jobs in memory, and its worker.
fn cold_engine(retention_memory_bytes_max: u64) -> (Engine, MemoryLog, Session) {
    let mut options = options();
    options.core.retention_memory_bytes_max = retention_memory_bytes_max;
    let (engine, disk) = engine_on(MemoryLog::default(), options);
    let session = engine.open_session(&spec(), None);
    (engine, disk, session)
}

fn spec() -> SessionSpec {
    SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 1 }
}

fn payload(number: usize) -> Payload {
    Payload::text(format!("payload {number} ").repeat(100))
}

/// Runs a job to its end, with a log line if asked for.
async fn run(engine: &Engine, session: &mut Session, number: usize, logs: bool) -> JobId {
    let id = submit(engine, job(payload(number).bytes)).await.expect("it is accepted").id;
    let orders = timeout(PATIENCE, session.orders()).await.expect("it starts");
    let Some(Order::Run(assignment)) = orders.front() else { panic!("{orders:?}") };
    let reporter = session.reporter();
    if logs {
        let line = LogLine { level: LogLevel::Info, text: "line".repeat(50).into(), stream: LogStream::Log };
        reporter.report(assignment.lease, Report::Log(line)).expect("it runs");
    }
    let result = Payload::text(format!("result {number} ").repeat(100));
    reporter.end(assignment.lease, AttemptEnd::Success(result)).expect("it ran");
    id
}

/// The end of a known job that is submitted again through a stream.
async fn stream_of(engine: &Engine, job: NewJob, number: u32) -> Result<Vec<EndedJob>> {
    let mut stream = SubmitStream::new(engine.clone());
    let batch = Batch { caller: Caller::NOBODY, jobs: vec![Ok(job)] };
    assert_eq!(stream.submit(vec![StreamBatch { number, batch, outcomes: true }]), 1);
    let (mut acks, mut ended) = (std::collections::VecDeque::new(), std::collections::VecDeque::new());
    while ended.is_empty() {
        std::future::poll_fn(|context| stream.poll_durable(context, &mut acks, &mut ended)).await?;
        assert!(
            acks.drain(..).flat_map(|ack| ack.results).all(|result| result.is_ok_and(|job| job.existing))
        );
    }
    Ok(ended.into())
}

fn in_memory(engine: &Engine, id: JobId) -> JobView {
    let core = &engine.0.state.lock().core;
    core.view(core.find(id).expect("it is known"), None)
}

async fn events(engine: &Engine, id: JobId) -> Result<Vec<WatchItem>> {
    let mut watch = engine.watch(id, 0, EventTypes::ALL).await?;
    let mut items = Vec::new();
    loop {
        match timeout(PATIENCE, watch.next()).await.expect("it is answered")? {
            more if more.is_empty() => return Ok(items),
            more => items.extend(more),
        }
    }
}

#[tokio::test]
async fn memory_is_bounded_and_every_read_is_as_before() {
    let (engine, disk, mut session) = cold_engine(5_000);
    let mut seen = Vec::new();
    for number in 0..40 {
        let id = run(&engine, &mut session, number, number % 3 == 0).await;
        seen.push((in_memory(&engine, id), events(&engine, id).await.expect("it is there")));
    }
    let held: usize = seen.iter().map(|(job, _)| in_memory(&engine, job.id).spec.payload.bytes.len()).sum();
    assert!((1_000..5_000).contains(&held), "{held}");
    for _ in 0..2 {
        for (job, watched) in &seen {
            assert_eq!(engine.job(job.id).await.as_ref(), Ok(job));
            assert_eq!(engine.result(job.id, None).await.expect("it is there").outcome, job.outcome);
            assert_eq!(events(&engine, job.id).await.as_ref(), Ok(watched));
        }
        let listed = engine.jobs(&JobFilter::default(), None, PAGE).await.expect("they are there").jobs;
        assert!(listed.iter().eq(seen.iter().rev().map(|(job, _)| job)));
        // And from where a compaction puts them.
        engine.compact(all(&disk)).await.expect("the disk is well");
    }
}

#[tokio::test]
async fn a_job_that_is_known_tells_its_outcome_and_can_be_tried_again() {
    let (engine, _disk, mut session) = cold_engine(0);
    let id = run(&engine, &mut session, 1, false).await;
    let again = NewJob { id: Some(id), ..job(payload(1).bytes) };
    let told =
        timeout(PATIENCE, stream_of(&engine, again, 5)).await.expect("it is told").expect("it is there");
    assert_eq!((told[0].id, told[0].batch, told[0].index), (id, 5, 0));
    assert_eq!(told[0].outcome.as_ref(), engine.job(id).await.expect("it is there").outcome.as_ref());
    let retried = engine.retry(id, |_| ()).await.expect("it has ended").id;
    assert_eq!(in_memory(&engine, retried).spec.payload, Payload::data(payload(1).bytes));
}

#[tokio::test]
async fn a_restart_reads_contents_only_when_they_are_asked_for() {
    let (engine, disk, mut session) = cold_engine(u64::MAX);
    let mut jobs = Vec::new();
    for number in 0..10 {
        let id = run(&engine, &mut session, number, number % 2 == 0).await;
        jobs.push(in_memory(&engine, id));
    }
    engine.durable().await.expect("the disk is well");
    let again = relived(&disk);
    for job in &jobs {
        assert!(in_memory(&again, job.id).spec.payload.is_empty());
        assert_eq!(again.job(job.id).await.as_ref(), Ok(job));
    }
}

#[tokio::test]
async fn a_read_waits_until_what_it_needs_is_on_disk() {
    let (engine, disk, mut session) = cold_engine(0);
    let id = run(&engine, &mut session, 1, false).await;
    engine.durable().await.expect("the disk is well");
    disk.change(|state| state.is_held = true);
    let mut waiting = job(payload(2).bytes);
    waiting.kind = Kind::parse("kind", "unserved").expect("a kind");
    let ended = waiting.id.expect("it has one");
    submit_now(&engine, [waiting]);
    engine.command(|state, now, effects| {
        state.core.cancel(now, ended, "why", Duration::ZERO, effects).map(drop).expect("it waits");
    });
    let on_disk = timeout(PATIENCE, engine.job(id)).await;
    let mut read = Box::pin(engine.job(ended));
    let early = timeout(Duration::from_millis(20), &mut read).await;
    disk.change(|state| state.is_held = false);
    on_disk.expect("it waits for nothing").expect("it is there");
    assert!(early.is_err(), "it is not on disk");
    let read = timeout(PATIENCE, read).await.expect("it is on disk").expect("it is there");
    assert_eq!(read.spec.payload.bytes, payload(2).bytes);
}

#[tokio::test]
async fn what_cannot_be_read_fails_that_call_alone() {
    let (engine, disk, mut session) = cold_engine(0);
    let lost = run(&engine, &mut session, 1, false).await;
    let kept = run(&engine, &mut session, 2, false).await;
    engine.durable().await.expect("the disk is well");
    let place = |id| {
        let core = &engine.0.state.lock().core;
        core.place(core.find(id).expect("it is known")).expect("it is cold")
    };
    let missing = place(lost).last();
    disk.change(|state| state.entries.retain(|(_, sequence, _)| *sequence != missing));
    let is_lost =
        |error: &Error| *error.kind() == ErrorKind::Internal && error.message().contains("not where");
    assert!(engine.job(lost).await.is_err_and(|error| is_lost(&error)));
    assert!(engine.result(lost, None).await.is_err_and(|error| is_lost(&error)));
    assert!(events(&engine, lost).await.is_err_and(|error| is_lost(&error)));
    assert!(engine.jobs(&JobFilter::default(), None, PAGE).await.is_err_and(|error| is_lost(&error)));
    let again = NewJob { id: Some(lost), ..job(payload(1).bytes) };
    let failure = timeout(PATIENCE, stream_of(&engine, again, 0)).await.expect("it is told");
    assert!(failure.is_err_and(|error| is_lost(&error)));
    // Nothing is forgotten as long as a job cannot be written again.
    let before = disk.read(|state| state.entries.len());
    assert!(engine.compact(all(&disk)).await.is_err_and(|error| is_lost(&error)));
    let without = PageBounds { with_payloads: false, ..PAGE };
    assert_eq!(engine.jobs(&JobFilter::default(), None, without).await.expect("a list").jobs.len(), 2);
    let outcome = engine.result(kept, None).await.expect("it is there").outcome;
    assert!(matches!(outcome, Some(Outcome::Result(result)) if result.bytes.starts_with(b"result 2")));
    assert!(disk.read(|state| state.entries.len()) >= before);
}

#[tokio::test]
async fn damage_on_disk_is_told_to_who_reads_it() {
    let directory = std::env::temp_dir().join(format!("jobstream-cold-{}", std::process::id()));
    // Nothing is there the first time.
    let _ = std::fs::remove_dir_all(&directory);
    let mut options = EngineOptions::default();
    options.core.retention_memory_bytes_max = 0;
    options.log.segment_bytes = 20 << 20;
    let engine = Engine::open(options, &directory).expect("a log");
    let mut session = engine.open_session(&spec(), None);
    let (damaged, whole) =
        (run(&engine, &mut session, 1, false).await, run(&engine, &mut session, 2, true).await);
    engine.durable().await.expect("the disk is well");
    let segment = directory.join("segment-0000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let at = bytes.windows(9).position(|window| window == b"payload 1").expect("its payload");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("it is ours");
    let error = engine.job(damaged).await.expect_err("it is damaged");
    assert!(
        matches!(error.kind(), ErrorKind::LogDamaged { offset, .. } if (*offset as usize) < at),
        "{error}"
    );
    assert!(error.message().contains(&segment.display().to_string()), "{error}");
    assert_eq!(engine.job(whole).await.expect("it is whole").spec.payload.bytes, payload(2).bytes);
    submit(&engine, job("goes on")).await.expect("it is accepted");
    std::fs::remove_dir_all(&directory).expect("it is ours");
}
