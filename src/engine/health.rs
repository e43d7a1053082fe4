//! The health of an engine, for probes. Reading it changes nothing, and takes a bounded time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::delivery::State;
use super::{Engine, Position};
use crate::error::{Error, ErrorKind};

/// Interval at which a probe reads a state again that it waits for.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The health of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineHealth {
    /// Whether its state could be read in time.
    pub answers: bool,
    /// The health of its log; `None` without a log.
    pub log: Option<LogHealth>,
    /// Whether it accepts new jobs; `None` if its state could not be read in time.
    pub admission: Option<Admission>,
}

/// The health of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogHealth {
    /// All records of the time of the call are durable.
    Ok,
    /// Records of the time of the call did not become durable in time.
    Slow,
    /// An append or sync failed, or the log was closed.
    Failed,
}

/// Whether an engine accepts new jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// It accepts them within its bounds.
    Open,
    /// It drains.
    Draining,
    /// The disk of its log, or the bound of its directory, is full. Running jobs can end.
    DiskFull,
    /// Its log failed.
    LogFailed,
}

impl EngineHealth {
    /// Whether the engine works. If not, only a restart helps.
    pub fn is_live(&self) -> bool {
        self.answers && self.log != Some(LogHealth::Failed)
    }

    /// Whether the engine answers calls now. An engine with a full disk does: it refuses only new jobs.
    pub fn is_ready(&self) -> bool {
        let is_log_ok = self.log.is_none_or(|log| log == LogHealth::Ok);
        self.answers && is_log_ok && self.admission.is_some_and(|admission| admission != Admission::Draining)
    }
}

impl Engine {
    /// The health of the engine: reads its state, and waits until all records are durable, both at most `within`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use jobstream::engine::{Engine, EngineOptions};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let engine = Engine::start(EngineOptions::default());
    /// assert!(engine.health(Duration::from_secs(1)).await.is_ready());
    /// # }
    /// ```
    pub async fn health(&self, within: Duration) -> EngineHealth {
        let until = Instant::now() + within;
        // No thread waits for the lock, and no waiter is added: probes of a stuck engine must not add up.
        let read = || self.0.state.try_lock().map(|state| (self.position(), self.admission(&state)));
        let (position, admission) = poll_until(until, read).await.unzip();
        let position = position.unwrap_or_else(|| self.position());
        let log = poll_until(until, || self.log_now(position)).await;
        let log = self.is_durable().then_some(log.unwrap_or(LogHealth::Slow));
        EngineHealth { answers: admission.is_some(), log, admission }
    }

    /// Whether new jobs are accepted now.
    pub(super) fn admission(&self, state: &State) -> Admission {
        if state.core.is_draining() {
            return Admission::Draining;
        }
        let refusal = self.0.commit.as_ref().and_then(|commit| commit.refusal());
        match refusal.as_ref().map(Error::kind) {
            Some(ErrorKind::DiskFull) => Admission::DiskFull,
            Some(_) => Admission::LogFailed,
            None => Admission::Open,
        }
    }

    /// The health of the log if it is known now.
    fn log_now(&self, position: Position) -> Option<LogHealth> {
        if self.check_log().is_err() {
            return Some(LogHealth::Failed);
        }
        (self.durable_position() >= position).then_some(LogHealth::Ok)
    }
}

/// Calls `read` until it returns a value or the time is over.
async fn poll_until<T>(until: Instant, mut read: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        let value = read();
        if value.is_some() || Instant::now() >= until {
            return value;
        }
        sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineOptions;

    const WITHIN: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn an_engine_whose_lock_is_held_does_not_answer_and_the_probe_ends() {
        let engine = Engine::start(EngineOptions::default());
        let health = engine.health(WITHIN).await;
        assert_eq!(
            (health.is_live(), health.is_ready(), health.admission),
            (true, true, Some(Admission::Open))
        );
        let holder = engine.clone();
        let (held, release) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        let health = std::thread::scope(|scope| {
            scope.spawn(|| {
                let _state = holder.0.state.lock();
                held.wait();
                release.wait();
            });
            held.wait();
            let health = futures_util::future::FutureExt::now_or_never(engine.health(Duration::ZERO));
            release.wait();
            health
        });
        let health = health.expect("no time to wait");
        assert_eq!((health.is_live(), health.is_ready(), health.admission), (false, false, None));
    }

    #[tokio::test]
    async fn an_engine_that_drains_is_live_and_not_ready() {
        let engine = Engine::start(EngineOptions::default());
        engine.drain(Duration::ZERO);
        let health = engine.health(WITHIN).await;
        assert_eq!((health.is_live(), health.is_ready()), (true, false));
        assert_eq!(health.admission, Some(Admission::Draining));
    }
}
