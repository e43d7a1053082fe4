//! Inline attempts that a server's thread dispatched run there, once their beginning is on disk.

use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::engine::{LOCK_BUDGET, Position, Session, Turn, TurnTaker, take_turns_here};
use crate::job::{AttemptEnd, SessionSpec};

/// Keeps the turns that it is given.
struct Taker {
    engine: Engine,
    turns: Mutex<Vec<(Position, Turn)>>,
}

impl TurnTaker for Taker {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn take(self: Arc<Self>, position: Position, turn: Turn) {
        self.turns.lock().push((position, turn));
    }
}

impl Taker {
    /// Of what this thread dispatches.
    fn here(engine: &Engine) -> Arc<Self> {
        let taker = Arc::new(Self { engine: engine.clone(), turns: Mutex::default() });
        let as_taker: Arc<dyn TurnTaker> = taker.clone();
        let weak: Weak<dyn TurnTaker> = Arc::downgrade(&as_taker);
        take_turns_here(weak);
        taker
    }

    fn only(&self) -> (Position, Turn) {
        let mut turns = self.turns.lock();
        assert_eq!(turns.len(), 1);
        turns.pop().expect("one")
    }
}

/// A session whose handler counts its runs.
fn counting(engine: &Engine) -> (Session, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let of_handler = runs.clone();
    let session = inline(engine, move || {
        of_handler.fetch_add(1, Ordering::Relaxed);
    });
    (session, runs)
}

fn inline(engine: &Engine, run: impl Fn() + Send + Sync + 'static) -> Session {
    let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 1_000 };
    let handler = move |assignment: crate::job::Assignment| {
        run();
        AttemptEnd::Success(assignment.payload)
    };
    engine.open_session(&spec, Some(Arc::new(handler)))
}

fn state(engine: &Engine, job: &Submission) -> JobState {
    engine.job(job.id).now_or_never().expect("it is in memory").expect("it is known").state
}

#[tokio::test]
async fn a_turn_runs_nothing_before_it_is_on_disk() {
    let (engine, disk) = engine();
    let (_session, runs) = counting(&engine);
    let taker = Taker::here(&engine);
    disk.tell(|state| state.is_held = true);
    let first = engine.submit_now(Caller::NOBODY, job("1")).expect("it is accepted");
    let second = engine.submit_now(Caller::NOBODY, job("2")).expect("it is accepted");
    let (position, turn) = taker.only();
    let (rest, turn) = turn.run(&engine).expect("nothing is on disk");
    assert_eq!((rest, runs.load(Ordering::Relaxed)), (position, 0));
    disk.tell(|state| state.is_held = false);
    engine.durable().await.expect("it is on disk");
    assert!(turn.run(&engine).is_none(), "nothing is left");
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    assert_eq!([state(&engine, &first), state(&engine, &second)], [JobState::Succeeded; 2]);
}

#[tokio::test]
async fn many_attempts_end_in_commands_of_bounded_length() {
    let (engine, disk) = engine();
    let (_session, runs) = counting(&engine);
    let taker = Taker::here(&engine);
    let jobs = 2 * LOCK_BUDGET + 1;
    engine.submit_each(Caller::NOBODY, (0..jobs).map(|_| Ok(job("of many"))).collect(), None);
    engine.durable().await.expect("it is on disk");
    let before = disk.state.lock().kept.len();
    assert!(taker.only().1.run(&engine).is_none(), "nothing is left");
    engine.durable().await.expect("it is on disk");
    let commands = disk.state.lock().kept.len() - before;
    assert_eq!((runs.load(Ordering::Relaxed), commands), (jobs, 3));
    assert_eq!(engine.counts().get(JobState::Succeeded), jobs as u32);
}

#[tokio::test]
async fn what_a_thread_does_not_run_the_worker_does() {
    let (engine, _disk) = engine();
    let (mut session, runs) = counting(&engine);
    let served = tokio::spawn(async move { session.orders().await });
    tokio::task::yield_now().await;
    let taker = Taker::here(&engine);
    let dropped = engine.submit_now(Caller::NOBODY, job("1")).expect("it is accepted");
    drop(taker.only());
    until_ended(&engine, &dropped).await;
    drop(taker);
    let unclaimed = engine.submit_now(Caller::NOBODY, job("2")).expect("it is accepted");
    until_ended(&engine, &unclaimed).await;
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    served.abort();
}

#[tokio::test]
async fn a_thread_of_one_engine_runs_nothing_of_another() {
    let ((engine, _disk), (other, _other_disk)) = (engine(), engine());
    let (_session, _) = counting(&engine);
    let taker = Taker::here(&other);
    engine.submit_now(Caller::NOBODY, job("1")).expect("it is accepted");
    assert!(taker.turns.lock().is_empty());
}

#[tokio::test]
async fn once_the_log_failed_a_turn_is_given_up_and_runs_nothing() {
    let (engine, disk) = engine();
    let (_session, runs) = counting(&engine);
    let taker = Taker::here(&engine);
    disk.tell(|state| state.is_broken = true);
    engine.submit_now(Caller::NOBODY, job("1")).expect("it is accepted");
    let (_, turn) = taker.only();
    assert!(engine.durable().await.is_err());
    assert!(turn.run(&engine).is_none(), "it would be looked at for ever");
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_worker_that_ends_waits_for_what_another_thread_runs() {
    let (engine, _disk) = engine();
    let (begun, has_begun) = mpsc::channel();
    let (finish, may_finish) = mpsc::channel::<()>();
    let may_finish = Mutex::new(may_finish);
    let mut session = inline(&engine, move || {
        begun.send(()).expect("the test");
        may_finish.lock().recv().expect("the test");
    });
    let taker = Taker::here(&engine);
    let job = engine.submit_now(Caller::NOBODY, job("1")).expect("it is accepted");
    engine.durable().await.expect("it is on disk");
    let (_, turn) = taker.only();
    let of_thread = engine.clone();
    let runs = thread::spawn(move || turn.run(&of_thread).is_none());
    has_begun.recv().expect("the handler");

    assert!(session.is_holding());
    let rested = timeout(Duration::from_millis(20), session.orders()).await;
    assert!(rested.is_err(), "no order is left for it");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert!(session.is_holding());
    assert!(std::pin::pin!(session.orders()).poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    finish.send(()).expect("the handler");
    assert!(runs.join().expect("the thread"), "nothing is left");
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(!session.is_holding());
    assert_eq!(state(&engine, &job), JobState::Succeeded);
}

/// Counts wake-ups.
#[derive(Default)]
struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn until_ended(engine: &Engine, job: &Submission) {
    let until = tokio::time::Instant::now() + PATIENCE;
    let result = engine.result(job.id, Some(until)).await.expect("it is known");
    assert_eq!(result.state, JobState::Succeeded);
}
