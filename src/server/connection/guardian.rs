//! The end of a connection: who is dropped for silence, who is told to go away, who is cut and when.
//!
//! A guardian sleeps beside each conversation and wakes only for a deadline, a drain or a stop.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::super::limits::ListenerLimits;
use super::super::serve::Lifecycle;
use super::super::tally::Seat;
use super::Shared;

/// How far a connection's age may lie from the configured one, as a fraction of it.
const AGE_JITTER: f64 = 0.1;

/// Time from the GOAWAY of an idle or evicted connection until it is closed, if nothing is open on it then.
const IDLE_GRACE: Duration = Duration::from_millis(500);

/// What a guardian woke up for.
enum Event {
    /// The conversation is over.
    Ended,
    /// The time waited for has come.
    Due,
    /// No request was open for too long.
    Idle,
    /// Another connection gets its place.
    Evicted,
    /// The server takes no new work. Comes once.
    Drain,
    /// The server ends now.
    Stop,
}

/// How a connection came to its end.
enum End {
    /// By itself, or politely.
    Closed,
    /// The peer never got as far as a request.
    Silent,
    /// It was idle for too long, or for longer than any other when its place was needed.
    Idle,
    /// It was still open when its time was over.
    Cut,
}

/// The task that ends one conversation in time.
pub(super) struct Guardian {
    limits: Arc<ListenerLimits>,
    lifecycle: Lifecycle,
    shared: Arc<Shared>,
    seat: Seat,
    conversation: JoinHandle<()>,
    go_away: Option<oneshot::Sender<()>>,
    draining: bool,
}

impl Guardian {
    pub(super) fn new(
        limits: Arc<ListenerLimits>,
        lifecycle: Lifecycle,
        shared: Arc<Shared>,
        seat: Seat,
        conversation: JoinHandle<()>,
        go_away: oneshot::Sender<()>,
    ) -> Self {
        let go_away = Some(go_away);
        Self { limits, lifecycle, shared, seat, conversation, go_away, draining: false }
    }

    /// Returns when the connection is closed.
    pub(super) async fn run(mut self) {
        let peer = self.shared.info.peer;
        match self.watch_over().await {
            End::Closed => return,
            End::Silent => tracing::debug!(%peer, "dropped a connection that sent no request in time"),
            End::Idle => tracing::debug!(%peer, "closed an idle connection"),
            End::Cut => self.record_cut(),
        }
        self.conversation.abort();
        // Aborted: the error says no more than that. Its seat is free only when its buffers are.
        let _ = (&mut self.conversation).await;
    }

    async fn watch_over(&mut self) -> End {
        let opened = Instant::now();
        let mut event = self.wait_until(opened + self.limits.preface_timeout).await;
        if matches!(event, Event::Due) {
            if !self.shared.heard.load(Relaxed) {
                return End::Silent;
            }
            event = self.wait_for_age(opened + jittered(self.limits.connection_age)).await;
        }
        let grace = match event {
            Event::Ended => return End::Closed,
            Event::Stop => return End::Cut,
            Event::Drain => self.limits.drain_grace,
            Event::Due => self.limits.connection_age_grace,
            Event::Evicted if self.shared.activity.is_to_be_cut() => return End::Idle,
            Event::Idle | Event::Evicted => IDLE_GRACE,
        };
        let was_idle = matches!(event, Event::Idle | Event::Evicted);
        self.say_go_away();
        match self.wait_out(grace).await {
            Event::Ended => return End::Closed,
            Event::Stop => return End::Cut,
            // Nothing is lost with it: streams that were opened meanwhile have their time to end.
            _ if was_idle && self.shared.activity.open_requests() == 0 => return End::Idle,
            _ => self.shared.info.closing.cancel(),
        }
        match self.wait_out(self.limits.closing_linger).await {
            Event::Ended => End::Closed,
            _ => End::Cut,
        }
    }

    /// Waits for the connection's age, but no longer than it is idle.
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
                Event::Due if idle_due < aged => {}
                event => return event,
            }
        }
    }

    /// Waits for this long, but no longer than the drain's grace once a drain begins.
    async fn wait_out(&mut self, time: Duration) -> Event {
        let due = Instant::now() + time;
        match self.wait_until(due).await {
            Event::Drain => self.wait_until(due.min(Instant::now() + self.limits.drain_grace)).await,
            event => event,
        }
    }

    async fn wait_until(&mut self, due: Instant) -> Event {
        let event = tokio::select! {
            biased;
            // A panic in the conversation has been reported by the panic hook.
            _ = &mut self.conversation => Event::Ended,
            () = self.lifecycle.stop.cancelled() => Event::Stop,
            () = self.lifecycle.drain.cancelled(), if !self.draining => Event::Drain,
            () = self.shared.activity.evicted() => Event::Evicted,
            () = sleep_until(due) => Event::Due,
        };
        self.draining |= matches!(event, Event::Drain);
        event
    }

    fn say_go_away(&mut self) {
        if let Some(go_away) = self.go_away.take() {
            // An error means that the conversation has just ended; the next wait tells.
            let _ = go_away.send(());
        }
    }

    fn record_cut(&mut self) {
        let peer = self.shared.info.peer;
        let open_requests = self.shared.activity.open_requests();
        let shutdown = self.draining || self.lifecycle.stop.is_cancelled();
        if shutdown {
            self.seat.count_cut(open_requests);
        }
        tracing::debug!(%peer, open_requests, shutdown, "cut a connection");
    }
}

fn jittered(age: Duration) -> Duration {
    age.mul_f64(rand::random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_within_a_tenth() {
        let age = Duration::from_secs(1_000);
        let ages: Vec<_> = (0..100).map(|_| jittered(age)).collect();
        assert!(ages.iter().all(|age| (900..=1_100).contains(&age.as_secs())), "{ages:?}");
        assert!(ages.iter().any(|age| *age != ages[0]), "{ages:?}");
    }
}
