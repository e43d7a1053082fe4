//! The idle time of streams of events: heartbeats, and the end of the connection.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::early_end::{EarlyEnd, StreamLimits};
use crate::error::Error;

/// The heartbeat timer of an idle stream, and the end of its connection.
pub(super) struct IdleState {
    /// When the last message was sent. The timer is reset only when it fires, so that messages do not reset it.
    last_sent: Instant,
    timer: Pin<Box<Sleep>>,
    early_end: EarlyEnd,
}

impl IdleState {
    /// A stream that sent a message now.
    pub(super) fn begin(heartbeat: Duration, limits: StreamLimits) -> Self {
        Self {
            last_sent: Instant::now(),
            timer: Box::pin(tokio::time::sleep(heartbeat)),
            early_end: EarlyEnd::new(limits),
        }
    }

    /// A message was sent now.
    pub(super) fn sent(&mut self) {
        self.last_sent = Instant::now();
    }

    /// Returns the error that ends the stream, if it has to end.
    pub(super) fn poll_error(&mut self, context: &mut Context<'_>) -> Option<Error> {
        self.early_end.poll_error(context)
    }

    /// Whether a heartbeat is due. Restarts the timer if it is.
    pub(super) fn is_heartbeat_due(&mut self, heartbeat: Duration, context: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(context).is_ready() {
            let due = self.last_sent + heartbeat;
            let now = Instant::now();
            if due <= now {
                self.timer.as_mut().reset(now + heartbeat);
                self.last_sent = now;
                return true;
            }
            self.timer.as_mut().reset(due);
        }
        false
    }
}
