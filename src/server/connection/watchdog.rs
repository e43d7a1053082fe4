//! The watchdog of a connection: it closes the connection for silence, idleness, age, eviction or shutdown.
//!
//! It sleeps beside the HTTP task and wakes only for a deadline, an eviction, a drain or a stop.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::super::connection_thread::ThreadState;
use super::super::limits::ListenerLimits;
use super::super::registry::ConnectionPermit;
use super::super::shutdown::Shutdown;
use super::Shared;

/// Jitter of the maximum age of a connection, as a fraction of it.
const AGE_JITTER: f64 = 0.1;

/// Time from the GOAWAY of an idle or evicted connection until it is closed, if nothing is open on it then.
const IDLE_GRACE: Duration = Duration::from_millis(500);

/// Why the watchdog woke.
enum Event {
    /// The HTTP task has ended.
    Ended,
    /// The deadline of the wait passed.
    TimedOut,
    /// No request was open for too long.
    Idle,
    /// The connection was evicted in favour of another.
    Evicted,
    /// The server drains. Occurs once.
    Drain,
    /// The server stops.
    Stop,
}

/// How a connection ended.
enum End {
    /// By itself, or after a GOAWAY.
    Closed,
    /// The peer sent no preface and no request in time.
    NoRequest,
    /// It was idle for too long, or was the longest idle one when another needed its slot.
    Idle,
    /// It was still open after its grace.
    Aborted,
}

/// The task that ends the HTTP task of one connection.
pub(super) struct Watchdog {
    limits: Arc<ListenerLimits>,
    /// Longest time to the preface, with the time of a TLS handshake.
    preface_time_max: Duration,
    shutdown: Shutdown,
    shared: Arc<Shared>,
    permit: ConnectionPermit,
    http_task: JoinHandle<()>,
    go_away: Option<oneshot::Sender<()>>,
    draining: bool,
}

impl Watchdog {
    pub(super) fn new(
        thread: &ThreadState,
        shared: Arc<Shared>,
        permit: ConnectionPermit,
        http_task: JoinHandle<()>,
        go_away: oneshot::Sender<()>,
    ) -> Self {
        let (limits, shutdown) = (thread.limits.clone(), thread.shutdown.clone());
        let preface_time_max = thread.handshake_time_max() + limits.preface_timeout;
        let go_away = Some(go_away);
        Self { limits, preface_time_max, shutdown, shared, permit, http_task, go_away, draining: false }
    }

    /// Returns when the connection is closed.
    pub(super) async fn run(mut self) {
        let peer = self.shared.info.peer;
        match self.supervise().await {
            End::Closed => return,
            End::NoRequest => tracing::debug!(%peer, "closed a connection that sent no request in time"),
            End::Idle => tracing::debug!(%peer, "closed an idle connection"),
            End::Aborted => self.record_abort(),
        }
        self.http_task.abort();
        // The error only means that the task was aborted. The permit is held until the task's buffers are freed.
        let _ = (&mut self.http_task).await;
    }

    async fn supervise(&mut self) -> End {
        let opened = Instant::now();
        let mut event = self.wait_until(opened + self.preface_time_max).await;
        if matches!(event, Event::TimedOut) {
            if !self.shared.preface_received.load(Relaxed) {
                return End::NoRequest;
            }
            event = self.wait_for_age(opened + jittered(self.limits.connection_age)).await;
        }
        let grace = match event {
            Event::Ended => return End::Closed,
            Event::Stop => return End::Aborted,
            Event::Drain => self.limits.drain_grace,
            Event::TimedOut => self.limits.connection_age_grace,
            Event::Evicted if self.shared.activity.must_abort() => return End::Idle,
            Event::Idle | Event::Evicted => IDLE_GRACE,
        };
        let was_idle = matches!(event, Event::Idle | Event::Evicted);
        self.send_go_away();
        match self.wait_for_grace(grace).await {
            Event::Ended => return End::Closed,
            Event::Stop => return End::Aborted,
            // An idle connection is closed; streams that were opened since the GOAWAY get time to end.
            _ if was_idle && self.shared.activity.open_requests() == 0 => return End::Idle,
            _ => self.shared.info.closing.cancel(),
        }
        match self.wait_for_grace(self.limits.closing_linger).await {
            Event::Ended => End::Closed,
            _ => End::Aborted,
        }
    }

    /// Waits until the connection reaches its maximum age or its idle timeout.
    async fn wait_for_age(&mut self, aged: Instant) -> Event {
        let idle_timeout = self.limits.idle_timeout;
        loop {
            let now = Instant::now();
            let idle_due = match self.shared.activity.idle_since() {
                Some(since) if now >= since + idle_timeout => return Event::Idle,
                Some(since) => since + idle_timeout,
                None => now + idle_timeout,
            };
            match self.wait_until(idle_due.min(aged)).await {
                Event::TimedOut if idle_due < aged => {}
                event => return event,
            }
        }
    }

    /// Waits for this time, and for at most the drain grace once a drain begins.
    async fn wait_for_grace(&mut self, time: Duration) -> Event {
        let due = Instant::now() + time;
        match self.wait_until(due).await {
            Event::Drain => self.wait_until(due.min(Instant::now() + self.limits.drain_grace)).await,
            event => event,
        }
    }

    async fn wait_until(&mut self, due: Instant) -> Event {
        let event = tokio::select! {
            biased;
            // The panic hook has reported a panic of the HTTP task.
            _ = &mut self.http_task => Event::Ended,
            () = self.shutdown.now.cancelled() => Event::Stop,
            () = self.shutdown.graceful.cancelled(), if !self.draining => Event::Drain,
            () = self.shared.activity.evicted() => Event::Evicted,
            () = sleep_until(due) => Event::TimedOut,
        };
        self.draining |= matches!(event, Event::Drain);
        event
    }

    fn send_go_away(&mut self) {
        if let Some(go_away) = self.go_away.take() {
            // An error means that the HTTP task has just ended; the next wait returns that.
            let _ = go_away.send(());
        }
    }

    fn record_abort(&mut self) {
        let peer = self.shared.info.peer;
        let open_requests = self.shared.activity.open_requests();
        let shutdown = self.draining || self.shutdown.now.is_cancelled();
        if shutdown {
            self.permit.count_aborted(open_requests);
        }
        tracing::debug!(%peer, open_requests, shutdown, "aborted a connection");
    }
}

fn jittered(age: Duration) -> Duration {
    age.mul_f64(rand::random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_vary_by_up_to_a_tenth() {
        let age = Duration::from_secs(1_000);
        let ages: Vec<_> = (0..100).map(|_| jittered(age)).collect();
        assert!(ages.iter().all(|age| (900..=1_100).contains(&age.as_secs())), "{ages:?}");
        assert!(ages.iter().any(|age| *age != ages[0]), "{ages:?}");
    }
}
