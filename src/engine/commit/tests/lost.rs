//! What is told once the log failed: all that is on disk, and nothing of what is not.

use super::*;
use crate::engine::{PageBounds, Session, Watch};
use crate::job::{AttemptEnd, EventBody, EventTypes, JobFilter, LeaseId, Order, SessionSpec, StateSet};

const PAGE: PageBounds = PageBounds { jobs: 100, bytes: 1 << 20, with_payloads: true };

/// An engine that keeps no contents of finished jobs in memory, and its worker.
fn worked_engine() -> (Engine, Arc<Disk>, Session) {
    let (disk, mut options) = (Arc::new(Disk::default()), EngineOptions::default());
    options.core.retention_memory_bytes_max = 0;
    let core = Core::new(options.core.clone(), [1; 32]);
    let start = Now { monotonic: Duration::ZERO, wall: Timestamp::default() };
    let engine = Engine::resume(core, start, Box::new(DiskLog(disk.clone())), options).expect("a thread");
    let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 1 };
    let session = engine.open_session(&spec, None);
    (engine, disk, session)
}

/// A job that nobody runs.
fn waiting() -> NewJob {
    let mut job = job("waits");
    job.kind = Kind::parse("kind", "unserved").expect("a kind");
    job
}

/// Has a job run until its worker is told to.
async fn begin(engine: &Engine, session: &mut Session) -> (JobId, LeaseId) {
    let id = submit(engine, job("payload ".repeat(100))).await.expect("it is accepted").id;
    let orders = timeout(PATIENCE, session.orders()).await.expect("it starts");
    let Some(Order::Run(assignment)) = orders.front() else { panic!("{orders:?}") };
    (id, assignment.lease)
}

/// A job that ended, on disk.
async fn end(engine: &Engine, session: &mut Session) -> JobId {
    let (id, lease) = begin(engine, session).await;
    let result = Payload::text("result ".repeat(100));
    session.reporter().end(lease, AttemptEnd::Success(result)).expect("it ran");
    engine.durable().await.expect("the disk is well");
    id
}

/// Loses what `change` causes.
async fn lose(engine: &Engine, disk: &Disk, change: impl Future) {
    disk.tell(|state| state.is_held = true);
    let mut change = std::pin::pin!(change);
    assert!((&mut change).now_or_never().is_none(), "it waits for the disk");
    disk.tell(|state| (state.is_held, state.is_broken) = (false, true));
    timeout(PATIENCE, change).await.expect("it is told");
    timeout(PATIENCE, engine.log_failure()).await.expect("the disk is broken");
}

fn is_unknown<T: std::fmt::Debug>(answer: Result<T>) {
    assert_eq!(*answer.expect_err("it is not on disk").kind(), ErrorKind::LogFailed);
}

/// The states that a watch tells, and how it ends.
async fn told(mut watch: Watch) -> (Vec<JobState>, Result<()>) {
    let mut states = Vec::new();
    loop {
        match timeout(PATIENCE, watch.next()).await.expect("it is answered") {
            Err(error) => return (states, Err(error)),
            Ok(items) if items.is_empty() => return (states, Ok(())),
            Ok(items) => states.extend(items.into_iter().filter_map(|item| match item {
                crate::job::WatchItem::Event(event) => match event.body {
                    EventBody::State(change) => Some(change.state),
                    _ => None,
                },
                crate::job::WatchItem::Gap { .. } => None,
            })),
        }
    }
}

#[tokio::test]
async fn jobs_on_disk_are_answered_after_the_log_failed_and_others_are_not() {
    let (engine, disk, mut session) = worked_engine();
    let ended = end(&engine, &mut session).await;
    let untouched = submit(&engine, waiting()).await.expect("it is kept").id;
    let cancelled = submit(&engine, waiting()).await.expect("it is kept").id;
    let deleted = end(&engine, &mut session).await;
    let before = (engine.job(ended).await, engine.job(untouched).await);
    let new = waiting();
    let never = new.id.expect("it has one");
    lose(&engine, &disk, async {
        let cancel = engine.cancel(cancelled, "why", Duration::ZERO);
        tokio::join!(cancel, engine.delete(deleted), engine.submit(new))
    })
    .await;
    assert_eq!((engine.job(ended).await, engine.job(untouched).await), before);
    assert!(engine.result(ended, None).await.expect("it is kept").outcome.is_some());
    let watch = engine.watch(ended, 0, EventTypes::ALL).expect("it is kept");
    assert_eq!(told(watch).await, (vec![JobState::Queued, JobState::Running, JobState::Succeeded], Ok(())));
    for id in [cancelled, deleted, never] {
        is_unknown(engine.job(id).await);
        is_unknown(engine.result(id, None).await);
        is_unknown(engine.watch(id, 0, EventTypes::ALL).map(drop));
    }
    let error = engine.job(JobId::mint()).await.expect_err("there is none");
    assert!(matches!(error.kind(), ErrorKind::JobNotFound(_)), "{error}");
    // A deleted job is in no list any more.
    is_unknown(engine.jobs(&JobFilter::default(), None, PAGE).await);
    let again = relived(&disk);
    for id in [ended, untouched] {
        assert_eq!(again.job(id).await, engine.job(id).await);
    }
}

#[tokio::test]
async fn lists_leave_out_what_was_never_kept_and_refuse_what_may_be_otherwise() {
    let (engine, disk, mut session) = worked_engine();
    let ended = end(&engine, &mut session).await;
    let cancelled = submit(&engine, waiting()).await.expect("it is kept").id;
    lose(&engine, &disk, async {
        let cancel = engine.cancel(cancelled, "why", Duration::ZERO);
        tokio::join!(cancel, engine.submit(job("never kept")))
    })
    .await;
    is_unknown(engine.jobs(&JobFilter::default(), None, PAGE).await);
    // On disk it waits, and would be listed.
    let queued = JobFilter { states: StateSet::NONE.with(JobState::Queued), ..JobFilter::default() };
    is_unknown(engine.jobs(&queued, None, PAGE).await);
    let others = JobFilter { kind: Some(kind()), ..JobFilter::default() };
    let listed = engine.jobs(&others, None, PAGE).await.expect("they are kept").jobs;
    assert_eq!(listed, [engine.job(ended).await.expect("it is kept")]);
    let queued = JobFilter { states: queued.states, ..others };
    assert_eq!(engine.jobs(&queued, None, PAGE).await.expect("they are kept").jobs, []);
    assert!(engine.queues("", 10).is_ok());
}

#[tokio::test]
async fn nothing_changes_after_the_log_failed() {
    let (engine, disk, mut session) = worked_engine();
    let (running, lease) = begin(&engine, &mut session).await;
    let queued = submit(&engine, job("waits for a slot")).await.expect("it is kept").id;
    lose(&engine, &disk, engine.submit(waiting())).await;
    is_unknown(session.reporter().end(lease, AttemptEnd::Success(Payload::text("lost"))));
    is_unknown(engine.cancel(queued, "why", Duration::ZERO).await);
    is_unknown(engine.pause_queue("default").await);
    is_unknown(engine.delete(running).await);
    for (id, state) in [(running, JobState::Running), (queued, JobState::Queued)] {
        assert_eq!(engine.result(id, None).await.expect("it is kept").state, state);
    }
    assert!(!engine.queues("", 10).expect("none was paused").0[0].paused);
}

#[tokio::test]
async fn watches_of_jobs_that_have_not_ended_end_when_the_log_fails() {
    let (engine, disk, mut session) = worked_engine();
    let (running, _) = begin(&engine, &mut session).await;
    let mut before = engine.watch(running, 0, EventTypes::ALL).expect("it is kept");
    timeout(PATIENCE, before.next()).await.expect("it is there").expect("it is kept");
    let mut next = Box::pin(before.next());
    assert!((&mut next).now_or_never().is_none(), "nothing comes");
    lose(&engine, &disk, engine.submit(waiting())).await;
    is_unknown(timeout(PATIENCE, next).await.expect("it is woken"));
    let (states, end) = told(engine.watch(running, 0, EventTypes::ALL).expect("it is kept")).await;
    assert_eq!(states, [JobState::Queued, JobState::Running]);
    is_unknown(end);
    let until = tokio::time::Instant::now() + PATIENCE;
    is_unknown(engine.result(running, Some(until)).await);
}

#[tokio::test]
async fn a_pause_that_was_lost_is_not_shown() {
    let (engine, disk, _session) = worked_engine();
    lose(&engine, &disk, engine.pause_queue("default")).await;
    is_unknown(engine.queues("", 10));
}

#[tokio::test]
async fn a_checkpoint_that_was_lost_takes_no_job_with_it() {
    let (engine, disk, _session) = worked_engine();
    let waits = submit(&engine, waiting()).await.expect("it is kept").id;
    let before = engine.job(waits).await;
    lose(&engine, &disk, engine.checkpoint(all(&disk))).await;
    assert_eq!(engine.job(waits).await, before);
    let listed = engine.jobs(&JobFilter::default(), None, PAGE).await.expect("it is kept").jobs;
    assert_eq!(Ok(listed), before.map(|job| vec![job]));
}

#[tokio::test]
async fn nobody_is_held_back_for_room_once_the_log_failed() {
    let (engine, disk, _session) = worked_engine();
    disk.tell(|state| state.nearness = Some(Nearness::Tight));
    engine.pause_queue("q").await.expect("what is on its way is written");
    timeout(PATIENCE, async {
        while engine.has_room() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is tight");
    lose(&engine, &disk, engine.submit(waiting())).await;
    assert!(engine.has_room());
}
