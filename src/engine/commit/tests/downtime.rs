//! Downtime of the server: it counts for delays, back-offs and retention, and not for timeouts.

use super::*;
use crate::engine::ticker::HEARTBEAT;
use crate::job::Start;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn job_with(change: impl FnOnce(&mut crate::job::JobOptions)) -> NewJob {
    let mut job = job("waits");
    change(job.options_mut());
    job
}

/// Recovers an engine from the log with this clock.
fn start(clock: &Clock, disk: &MemoryLog) -> Engine {
    let options = EngineOptions::default();
    let mut core = Core::new(options.core.clone(), [3; 32]);
    let mut last = clock.now();
    for (_, sequence, bytes) in disk.read(|state| state.entries.clone()) {
        let entry = codec::decode(&bytes).expect("an entry");
        core.set_log_entry(NonZeroU64::new(sequence).expect("from 1"));
        entry.records.into_iter().for_each(|record| core.replay(record));
        core.evict_replayed();
        last = entry.now;
    }
    Engine::resume(clock.clone(), core, last, opened(disk), options).expect("a thread")
}

async fn state(engine: &Engine, id: JobId) -> Option<JobState> {
    engine.tick();
    engine.job(id).await.ok().map(|job| job.state)
}

fn entries(disk: &MemoryLog) -> Vec<codec::Entry> {
    disk.read(|state| {
        state.entries.iter().map(|(.., bytes)| codec::decode(bytes).expect("an entry")).collect()
    })
}

#[tokio::test]
async fn downtime_counts_for_delays_and_not_for_timeouts() {
    let (clock, disk) = (Clock::manual(), MemoryLog::default());
    let mut engine = start(&clock, &disk);
    let delayed = job_with(|options| options.start = Start::After(seconds(100)));
    let delayed = submit(&engine, delayed).await.expect("the job is accepted").id;
    let limited = job_with(|options| options.timeout = Some(seconds(100)));
    let limited = submit(&engine, limited).await.expect("the job is accepted").id;
    // Two restarts: the downtime counts once.
    for (up, down) in [(10, 20), (10, 30)] {
        clock.advance(seconds(up));
        engine.tick();
        engine.heartbeat();
        engine.durable().await.expect("the log works");
        engine.close().expect("the log works");
        clock.advance_wall(seconds(down));
        engine = start(&clock, &disk);
    }
    // 70 s have passed. The server ran for 20 s of them.
    clock.advance(seconds(29));
    assert_eq!(state(&engine, delayed).await, Some(JobState::Scheduled));
    clock.advance(seconds(1));
    assert_eq!(state(&engine, delayed).await, Some(JobState::Queued));
    clock.advance(seconds(49));
    assert_eq!(state(&engine, limited).await, Some(JobState::Queued));
    clock.advance(seconds(1));
    assert_eq!(state(&engine, limited).await, Some(JobState::Failed));
}

#[tokio::test]
async fn downtime_counts_for_retention() {
    let (clock, disk) = (Clock::manual(), MemoryLog::default());
    let engine = start(&clock, &disk);
    let mut ids = Vec::new();
    for retention in [50, 200] {
        let job = job_with(|options| options.retention = Some(seconds(retention)));
        let id = submit(&engine, job).await.expect("the job is accepted").id;
        engine.cancel(id, "why", Duration::ZERO).await.expect("the job waits");
        ids.push(id);
    }
    engine.close().expect("the log works");
    clock.advance_wall(seconds(60));
    let engine = start(&clock, &disk);
    assert_eq!(state(&engine, ids[0]).await, None);
    clock.advance(seconds(139));
    assert_eq!(state(&engine, ids[1]).await, Some(JobState::Cancelled));
    clock.advance(seconds(1));
    assert_eq!(state(&engine, ids[1]).await, None);
}

#[tokio::test]
async fn a_wall_clock_set_back_does_not_delay_jobs() {
    let (clock, disk) = (Clock::manual(), MemoryLog::default());
    clock.advance_wall(seconds(1_000));
    let engine = start(&clock, &disk);
    let delayed = job_with(|options| options.start = Start::After(seconds(100)));
    let delayed = submit(&engine, delayed).await.expect("the job is accepted").id;
    clock.advance(seconds(10));
    engine.heartbeat();
    engine.durable().await.expect("the log works");
    engine.close().expect("the log works");
    // The monotonic clock is unchanged, and the wall clock is set back.
    let back = Clock::manual();
    back.advance(seconds(10));
    let engine = start(&back, &disk);
    back.advance(seconds(90));
    assert_eq!(state(&engine, delayed).await, Some(JobState::Queued));
}

#[tokio::test]
async fn an_idle_log_gets_time_heartbeats_while_a_job_waits() {
    let (clock, disk) = (Clock::manual(), MemoryLog::default());
    let engine = start(&clock, &disk);
    let beat = async |by: Duration| {
        clock.advance(by);
        engine.heartbeat();
        engine.durable().await.expect("the log works");
        entries(&disk).len()
    };
    submit(&engine, job("waits")).await.expect("the job is accepted");
    let before = entries(&disk).len();
    assert_eq!(beat(HEARTBEAT * 10).await, before, "no job waits for a time");
    let delayed = job_with(|options| options.start = Start::After(seconds(100)));
    submit(&engine, delayed).await.expect("the job is accepted");
    assert_eq!(beat(HEARTBEAT - Duration::from_millis(1)).await, before + 1, "another entry was appended");
    assert_eq!(beat(Duration::from_millis(1)).await, before + 2);
    assert_eq!(beat(HEARTBEAT - Duration::from_millis(1)).await, before + 2, "at most one per interval");
    let last = entries(&disk).pop().expect("the log has entries");
    assert_eq!((last.records.len(), last.now.wall <= clock.now().wall), (0, true));
}
