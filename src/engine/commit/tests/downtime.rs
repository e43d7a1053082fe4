//! Time while the server is down: delays, back-offs and retention go on, timeouts do not.

use super::*;
use crate::clock::Clock;
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

/// An engine on this clock from what is on the disk.
fn start(clock: &Clock, disk: &MemoryLog) -> Engine {
    let options = EngineOptions::default();
    let mut core = Core::new(options.core.clone(), [3; 32]);
    let mut last = clock.now();
    for (_, sequence, bytes) in disk.read(|state| state.entries.clone()) {
        let entry = codec::decode(&bytes).expect("an entry");
        core.write_to(NonZeroU64::new(sequence).expect("from 1"));
        entry.records.into_iter().for_each(|record| core.replay(record));
        core.replayed_entry();
        last = entry.now;
    }
    Engine::resume_on(clock.clone(), core, last, opened(disk), options).expect("a thread")
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
async fn a_delay_goes_on_while_the_server_is_down_and_a_timeout_does_not() {
    let (clock, disk) = (Clock::manual(), MemoryLog::default());
    let mut engine = start(&clock, &disk);
    let delayed = job_with(|options| options.start = Start::After(seconds(100)));
    let delayed = submit(&engine, delayed).await.expect("it is accepted").id;
    let limited = job_with(|options| options.timeout = Some(seconds(100)));
    let limited = submit(&engine, limited).await.expect("it is accepted").id;
    // Twice: what was counted at the first start is not counted again at the second.
    for (up, down) in [(10, 20), (10, 30)] {
        clock.advance(seconds(up));
        engine.tick();
        engine.heartbeat();
        engine.durable().await.expect("the disk is well");
        engine.close().expect("the disk is well");
        clock.advance_wall(seconds(down));
        engine = start(&clock, &disk);
    }
    // It waited for 70 s, 20 of which the server ran.
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
async fn retention_goes_on_while_the_server_is_down() {
    let (clock, disk) = (Clock::manual(), MemoryLog::default());
    let engine = start(&clock, &disk);
    let mut ids = Vec::new();
    for retention in [50, 200] {
        let job = job_with(|options| options.retention = Some(seconds(retention)));
        let id = submit(&engine, job).await.expect("it is accepted").id;
        engine.cancel(id, "why", Duration::ZERO).await.expect("it waits");
        ids.push(id);
    }
    engine.close().expect("the disk is well");
    clock.advance_wall(seconds(60));
    let engine = start(&clock, &disk);
    assert_eq!(state(&engine, ids[0]).await, None);
    clock.advance(seconds(139));
    assert_eq!(state(&engine, ids[1]).await, Some(JobState::Cancelled));
    clock.advance(seconds(1));
    assert_eq!(state(&engine, ids[1]).await, None);
}

#[tokio::test]
async fn a_wall_clock_that_was_set_back_delays_nothing() {
    let (clock, disk) = (Clock::manual(), MemoryLog::default());
    clock.advance_wall(seconds(1_000));
    let engine = start(&clock, &disk);
    let delayed = job_with(|options| options.start = Start::After(seconds(100)));
    let delayed = submit(&engine, delayed).await.expect("it is accepted").id;
    clock.advance(seconds(10));
    engine.heartbeat();
    engine.durable().await.expect("the disk is well");
    engine.close().expect("the disk is well");
    // The same moment by the monotonic clock, a long time ago by the other.
    let back = Clock::manual();
    back.advance(seconds(10));
    let engine = start(&back, &disk);
    back.advance(seconds(90));
    assert_eq!(state(&engine, delayed).await, Some(JobState::Queued));
}

#[tokio::test]
async fn the_log_tells_the_time_while_a_job_waits_for_it_and_nothing_else_is_logged() {
    let (clock, disk) = (Clock::manual(), MemoryLog::default());
    let engine = start(&clock, &disk);
    let beat = async |by: Duration| {
        clock.advance(by);
        engine.heartbeat();
        engine.durable().await.expect("the disk is well");
        entries(&disk).len()
    };
    submit(&engine, job("waits")).await.expect("it is accepted");
    let before = entries(&disk).len();
    assert_eq!(beat(HEARTBEAT * 10).await, before, "nothing waits for time");
    let delayed = job_with(|options| options.start = Start::After(seconds(100)));
    submit(&engine, delayed).await.expect("it is accepted");
    assert_eq!(beat(HEARTBEAT - Duration::from_millis(1)).await, before + 1, "something else was logged");
    assert_eq!(beat(Duration::from_millis(1)).await, before + 2);
    assert_eq!(beat(HEARTBEAT - Duration::from_millis(1)).await, before + 2, "at most that often");
    let last = entries(&disk).pop().expect("there are some");
    assert_eq!((last.records.len(), last.now.wall <= clock.now().wall), (0, true));
}
