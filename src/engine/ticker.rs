//! The task that sleeps until something is due, and then ticks the core.

use std::time::Duration;

use super::Engine;
use super::commit::DueCompaction;

/// How often the wall clock is read while a job waits for a wall-clock time: somebody may set the clock.
const WALL_CLOCK_PERIOD: Duration = Duration::from_secs(1);

/// While a job waits for a time, the log gets an entry at least this often: after a crash the last entry shows how long the
/// server ran.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);

/// Runs until the engine is stopped, or the log failed or is closed: later timers cannot be recorded.
pub(super) async fn run(engine: Engine) {
    loop {
        engine.tick();
        engine.heartbeat();
        engine.0.log_limits.report();
        let Some(pause) = engine.pause() else { return };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = engine.0.timer_changed.notified() => {}
            due = engine.due_compaction() => match due {
                Some(due) => drop(tokio::spawn(compact(engine.clone(), due))),
                None => return engine.wake_all(),
            },
        }
    }
}

async fn compact(engine: Engine, due: DueCompaction) {
    if let Err(error) = engine.run_compaction(due).await {
        tracing::error!(%error, "the compaction of the log failed");
    }
}

impl Engine {
    /// Wakes every stream, so that it ends.
    fn wake_all(&self) {
        let wakers = self.0.state.lock().take_all_wakers();
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    async fn due_compaction(&self) -> Option<DueCompaction> {
        match &self.0.commit {
            Some(commit) => commit.due_compaction().await,
            None => std::future::pending().await,
        }
    }

    /// Appends an entry with the time if a job waits for a time and no other entry was appended for a while.
    pub(super) fn heartbeat(&self) {
        let Some(commit) = &self.0.commit else { return };
        let core = &mut self.0.state.lock().core;
        let now = self.now();
        let is_due = now.monotonic >= commit.last_entry_time().saturating_add(HEARTBEAT);
        if is_due && core.has_timers() && commit.refusal().is_none() {
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
            Some(time) => now.monotonic + time.since(now.wall).min(WALL_CLOCK_PERIOD),
            None => Duration::MAX,
        };
        let latest = match &self.0.commit {
            Some(commit) => {
                let heartbeat = commit.last_entry_time().saturating_add(HEARTBEAT);
                // A heartbeat that is due was refused by a full log.
                let is_next = state.core.has_timers() && heartbeat > now.monotonic;
                if is_next { heartbeat } else { now.monotonic + HEARTBEAT }
            }
            None => now.monotonic + PAUSE_MAX,
        };
        let feed = self.0.feed.lock().due().unwrap_or(Duration::MAX);
        let until = due.min(wall).min(latest).min(feed);
        state.ticker_sleeps_until = until;
        let pause = until.saturating_sub(now.monotonic).min(self.0.log_limits.report_due());
        (!state.stopped).then_some(pause)
    }
}
