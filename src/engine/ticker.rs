//! Sleeps until something is due, then has Core do it.

use std::time::Duration;

use super::Engine;
use super::commit::Due;

/// The wall clock may be moved while a job waits for a wall clock time, so it is read this often.
const WALL_CLOCK_LOOK: Duration = Duration::from_secs(1);

/// While a job waits for time to pass, the log gets an entry at least this often: after a crash the last entry shows how long
/// the server ran.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);

/// Runs until the engine is stopped or its log has ended: later timers could not be recorded.
pub(super) async fn run(engine: Engine) {
    loop {
        engine.tick();
        engine.heartbeat();
        let Some(pause) = engine.pause() else { return };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = engine.0.earlier.notified() => {}
            due = engine.checkpoint_due() => match due {
                Some(due) => drop(tokio::spawn(give_back(engine.clone(), due))),
                // The log failed or is closed: every stream ends.
                None => return engine.wake_all(),
            },
        }
    }
}

async fn give_back(engine: Engine, due: Due) {
    if let Err(error) = engine.give_back(due).await {
        tracing::error!(%error, "the log cannot be made shorter");
    }
}

impl Engine {
    fn wake_all(&self) {
        let wakers = self.0.state.lock().take_all_wakers();
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    async fn checkpoint_due(&self) -> Option<Due> {
        match &self.0.commit {
            Some(commit) => commit.checkpoint_due().await,
            None => std::future::pending().await,
        }
    }

    /// Appends an entry with the time if a job waits for time to pass and no other entry was appended for a while.
    pub(super) fn heartbeat(&self) {
        let Some(commit) = &self.0.commit else { return };
        let core = &mut self.0.state.lock().core;
        let now = self.now();
        let is_due = now.monotonic >= commit.newest().saturating_add(HEARTBEAT);
        if is_due && core.awaits_time() && commit.refusal().is_none() {
            drop(commit.append(core, now, Vec::new()));
        }
    }

    /// The time until something is due; `None` once stopped.
    fn pause(&self) -> Option<Duration> {
        /// Longest sleep: a bound for the timer, nothing else.
        const PAUSE_MAX: Duration = Duration::from_secs(3600);
        let mut state = self.0.state.lock();
        let now = self.now();
        let due = state.core.next_deadline().unwrap_or(Duration::MAX);
        state.ticker_wall_start = state.core.next_wall_start();
        let wall = match state.ticker_wall_start {
            Some(time) => now.monotonic + time.since(now.wall).min(WALL_CLOCK_LOOK),
            None => Duration::MAX,
        };
        let longest = match &self.0.commit {
            Some(commit) => next_heartbeat(now.monotonic, commit.newest(), state.core.awaits_time()),
            None => now.monotonic + PAUSE_MAX,
        };
        let until = due.min(wall).min(longest);
        state.ticker_sleeps_until = until;
        (!state.stopped).then(|| until.saturating_sub(now.monotonic))
    }
}

/// When the next heartbeat entry may be due: if a job waits for time, once the newest entry is old enough.
fn next_heartbeat(now: Duration, newest: Duration, awaits_time: bool) -> Duration {
    let due = newest.saturating_add(HEARTBEAT);
    if awaits_time && due > now { due } else { now + HEARTBEAT }
}
