//! Sleeps until something is due, then has Core do it.

use std::time::Duration;

use super::Engine;
use super::commit::Due;

/// The wall clock may be moved while somebody waits for it, so it is looked at this often.
const WALL_CLOCK_LOOK: Duration = Duration::from_secs(1);

/// Runs until the engine is stopped, or its log takes nothing more: what came due then would not be kept.
pub(super) async fn run(engine: Engine) {
    loop {
        engine.tick();
        let Some(pause) = engine.pause() else { return };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = engine.0.earlier.notified() => {}
            due = engine.checkpoint_due() => match due {
                Some(due) => drop(tokio::spawn(give_back(engine.clone(), due))),
                // Nothing more comes of what they wait for.
                None => return engine.command(|state, _, _| state.wake_all()),
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
    async fn checkpoint_due(&self) -> Option<Due> {
        match &self.0.commit {
            Some(commit) => commit.checkpoint_due().await,
            None => std::future::pending().await,
        }
    }

    /// How long nothing is due; `None` once stopped.
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
        let until = due.min(wall).min(now.monotonic + PAUSE_MAX);
        state.ticker_sleeps_until = until;
        (!state.stopped).then(|| until.saturating_sub(now.monotonic))
    }
}
