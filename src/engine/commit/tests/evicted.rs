//! Evicted contents of finished jobs, loaded from the log by every read.

use super::*;
use crate::core::CancelRequest;
use crate::engine::{EndedJob, Session, StreamBatch, SubmitStream};
use crate::job::{
    AttemptEnd, EventTypes, JobFilter, JobView, Log as LogLine, LogLevel, LogStream, Outcome, Report,
    WatchItem,
};

/// Returns an engine with a memory limit for finished jobs, and a worker.
fn engine_with_memory_limit(retention_memory_bytes_max: u64) -> (Engine, MemoryLog, Session) {
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

/// Runs a job to its end, optionally with a log line.
async fn run(engine: &Engine, session: &mut Session, number: usize, logs: bool) -> JobId {
    let id = submit(engine, job(payload(number).bytes)).await.expect("the job is accepted").id;
    let orders = timeout(TIMEOUT, session.orders()).await.expect("the attempt starts");
    let Some(Order::Run(assignment)) = orders.front() else { panic!("{orders:?}") };
    let reporter = session.reporter();
    if logs {
        let line = LogLine { level: LogLevel::Info, text: "line".repeat(50).into(), stream: LogStream::Log };
        reporter.report(assignment.lease, Report::Log(line)).expect("the attempt runs");
    }
    let result = Payload::text(format!("result {number} ").repeat(100));
    reporter.end(assignment.lease, AttemptEnd::Success(result)).expect("the attempt runs");
    id
}

/// Submits a known job through a stream and returns its outcome.
async fn submit_through_stream(engine: &Engine, job: NewJob, number: u32) -> Result<Vec<EndedJob>> {
    let mut stream = SubmitStream::new(engine.clone());
    let batch = Batch { caller: Caller::Embedder, jobs: vec![Ok(job)] };
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

fn resident_view(engine: &Engine, id: JobId) -> JobView {
    let core = &engine.0.state.lock().core;
    core.view(core.find(id).expect("the job exists"), None)
}

async fn events(engine: &Engine, id: JobId) -> Result<Vec<WatchItem>> {
    let mut watch = engine.watch(id, 0, EventTypes::ALL).await?;
    let mut items = Vec::new();
    loop {
        match timeout(TIMEOUT, watch.next()).await.expect("it is answered")? {
            more if more.is_empty() => return Ok(items),
            more => items.extend(more),
        }
    }
}

#[tokio::test]
async fn memory_is_bounded_and_reads_do_not_change() {
    let (engine, disk, mut session) = engine_with_memory_limit(5_000);
    let mut seen = Vec::new();
    for number in 0..40 {
        let id = run(&engine, &mut session, number, number % 3 == 0).await;
        seen.push((resident_view(&engine, id), events(&engine, id).await.expect("the job exists")));
    }
    let held: usize =
        seen.iter().map(|(job, _)| resident_view(&engine, job.id).spec.payload.bytes.len()).sum();
    assert!((1_000..5_000).contains(&held), "{held}");
    for _ in 0..2 {
        for (job, watched) in &seen {
            assert_eq!(engine.job(job.id).await.as_ref(), Ok(job));
            assert_eq!(engine.result(job.id, None).await.expect("the job exists").outcome, job.outcome);
            assert_eq!(events(&engine, job.id).await.as_ref(), Ok(watched));
        }
        let listed = engine.jobs(&JobFilter::default(), None, PAGE).await.expect("the jobs exist").jobs;
        assert!(listed.iter().eq(seen.iter().rev().map(|(job, _)| job)));
        // Compaction moves the contents.
        engine.compact(all(&disk)).await.expect("the log works");
    }
}

#[tokio::test]
async fn an_evicted_job_has_its_outcome_and_can_be_retried() {
    let (engine, _disk, mut session) = engine_with_memory_limit(0);
    let id = run(&engine, &mut session, 1, false).await;
    let again = NewJob { id: Some(id), ..job(payload(1).bytes) };
    let ended = timeout(TIMEOUT, submit_through_stream(&engine, again, 5))
        .await
        .expect("it completes")
        .expect("the job exists");
    assert_eq!((ended[0].id, ended[0].batch, ended[0].index), (id, 5, 0));
    assert_eq!(ended[0].outcome.as_ref(), engine.job(id).await.expect("the job exists").outcome.as_ref());
    let retried = engine.retry(id, |_| ()).await.expect("the job has ended").id;
    assert_eq!(resident_view(&engine, retried).spec.payload, Payload::data(payload(1).bytes));
}

#[tokio::test]
async fn a_restart_loads_contents_only_on_demand() {
    let (engine, disk, mut session) = engine_with_memory_limit(u64::MAX);
    let mut jobs = Vec::new();
    for number in 0..10 {
        let id = run(&engine, &mut session, number, number % 2 == 0).await;
        jobs.push(resident_view(&engine, id));
    }
    engine.durable().await.expect("the log works");
    let again = recovered(&disk);
    for job in &jobs {
        assert!(resident_view(&again, job.id).spec.payload.is_empty());
        assert_eq!(again.job(job.id).await.as_ref(), Ok(job));
    }
}

#[tokio::test]
async fn a_load_waits_until_its_entries_are_durable() {
    let (engine, disk, mut session) = engine_with_memory_limit(0);
    let id = run(&engine, &mut session, 1, false).await;
    engine.durable().await.expect("the log works");
    disk.change(|state| state.is_held = true);
    let mut waiting = job(payload(2).bytes);
    waiting.kind = Kind::parse("kind", "unserved").expect("a kind");
    let ended = waiting.id.expect("the job has an id");
    submit_now(&engine, [waiting]);
    engine.command(|state, now, effects| {
        let request = CancelRequest { reason: "why", grace: Duration::ZERO, principal: None };
        state.core.cancel(now, ended, request, effects).map(drop).expect("the job waits");
    });
    let durable = timeout(TIMEOUT, engine.job(id)).await;
    let mut read = Box::pin(engine.job(ended));
    let early = timeout(Duration::from_millis(20), &mut read).await;
    disk.change(|state| state.is_held = false);
    durable.expect("it does not wait").expect("the job exists");
    assert!(early.is_err(), "it is not durable");
    let read = timeout(TIMEOUT, read).await.expect("it is durable").expect("the job exists");
    assert_eq!(read.spec.payload.bytes, payload(2).bytes);
}

#[tokio::test]
async fn a_failed_load_fails_only_that_call() {
    let (engine, disk, mut session) = engine_with_memory_limit(0);
    let lost = run(&engine, &mut session, 1, false).await;
    let intact = run(&engine, &mut session, 2, false).await;
    engine.durable().await.expect("the log works");
    let position = |id| {
        let core = &engine.0.state.lock().core;
        core.log_position(core.find(id).expect("the job exists")).expect("its contents are evicted")
    };
    let missing = position(lost).last();
    disk.change(|state| state.entries.retain(|(_, sequence, _)| *sequence != missing));
    let is_lost =
        |error: &Error| *error.kind() == ErrorKind::Internal && error.message().contains("not where");
    assert!(engine.job(lost).await.is_err_and(|error| is_lost(&error)));
    assert!(engine.result(lost, None).await.is_err_and(|error| is_lost(&error)));
    assert!(events(&engine, lost).await.is_err_and(|error| is_lost(&error)));
    assert!(engine.jobs(&JobFilter::default(), None, PAGE).await.is_err_and(|error| is_lost(&error)));
    let again = NewJob { id: Some(lost), ..job(payload(1).bytes) };
    let failure = timeout(TIMEOUT, submit_through_stream(&engine, again, 0)).await.expect("it completes");
    assert!(failure.is_err_and(|error| is_lost(&error)));
    // The log is not trimmed while a snapshot of a job fails.
    let before = disk.read(|state| state.entries.len());
    assert!(engine.compact(all(&disk)).await.is_err_and(|error| is_lost(&error)));
    let without = PageBounds { with_payloads: false, ..PAGE };
    assert_eq!(engine.jobs(&JobFilter::default(), None, without).await.expect("a list").jobs.len(), 2);
    let outcome = engine.result(intact, None).await.expect("the job exists").outcome;
    assert!(matches!(outcome, Some(Outcome::Result(result)) if result.bytes.starts_with(b"result 2")));
    assert!(disk.read(|state| state.entries.len()) >= before);
}

#[tokio::test]
async fn a_read_of_damaged_contents_fails_with_the_file() {
    let directory = std::env::temp_dir().join(format!("jobstream-evicted-{}", std::process::id()));
    // The directory does not exist at the first run.
    let _ = std::fs::remove_dir_all(&directory);
    let mut options = EngineOptions::default();
    options.core.retention_memory_bytes_max = 0;
    options.log.segment_bytes = 20 << 20;
    let engine = Engine::open(options, &directory).expect("a log");
    let mut session = engine.open_session(&spec(), None);
    let (damaged, undamaged) =
        (run(&engine, &mut session, 1, false).await, run(&engine, &mut session, 2, true).await);
    engine.durable().await.expect("the log works");
    let segment = directory.join("segment-0000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let at = bytes.windows(9).position(|window| window == b"payload 1").expect("its payload");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("the test owns the directory");
    let error = engine.job(damaged).await.expect_err("its entry is damaged");
    assert!(
        matches!(error.kind(), ErrorKind::LogDamaged { offset, .. } if (*offset as usize) < at),
        "{error}"
    );
    assert!(error.message().contains(&segment.display().to_string()), "{error}");
    assert_eq!(engine.job(undamaged).await.expect("the job exists").spec.payload.bytes, payload(2).bytes);
    submit(&engine, job("next")).await.expect("the job is accepted");
    std::fs::remove_dir_all(&directory).expect("the test owns the directory");
}
