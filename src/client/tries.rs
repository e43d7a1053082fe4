//! One call: its deadline and its retries.

use std::future::Future;
use std::mem;
use std::time::Duration;

use tokio::time::{self, Instant};
use tonic::{Request, Response, Status};

use super::backoff::Backoff;
use super::error::{Error, ErrorKind, Result};
use super::{Channel, Client, status};

/// Longest timeout. Longer ones are reduced to it, so that additions to an `Instant` do not overflow.
pub(super) const LIMIT_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The tries of one call, all within one deadline.
pub(super) struct Tries<'a> {
    client: &'a Client,
    deadline: Instant,
    done: u32,
    /// Whether a refused token may be replaced once.
    can_renew: bool,
    backoff: Backoff,
}

impl<'a> Tries<'a> {
    pub(super) fn within(client: &'a Client, limit: Duration) -> Self {
        let backoff = Backoff::new(client.options().retry);
        let can_renew = client.options().renews_token();
        Self { client, deadline: Instant::now() + limit.min(LIMIT_MAX), done: 0, can_renew, backoff }
    }

    /// Counts a try that is made outside of [`Tries::once`]. Returns the time left.
    pub(super) fn begin(&mut self) -> Duration {
        self.done += 1;
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Sends a request once over this channel, with the time left as its deadline.
    pub(super) async fn once<Q, A, F>(
        &mut self,
        channel: Channel,
        message: Q,
        send: impl FnOnce(Channel, Request<Q>) -> F,
    ) -> Result<A>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.done += 1;
        let address = self.client.address();
        let mut request = Request::new(message);
        request.set_timeout(self.deadline.saturating_duration_since(Instant::now()));
        match time::timeout_at(self.deadline, send(channel, request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(status::from_status(&status, address)),
            Err(_) => Err(status::timed_out(address)),
        }
    }

    /// Whether the call was refused for its token and is to be repeated with a new one: once.
    pub(super) fn renews_token(&mut self, error: &Error) -> bool {
        error.is_refused_token() && mem::take(&mut self.can_renew)
    }

    /// Pauses before the next try.
    ///
    /// # Errors
    ///
    /// The same error if a retry cannot help, or no try or no time is left.
    pub(super) async fn pause(&mut self, error: Error) -> Result<()> {
        if self.renews_token(&error) {
            return Ok(());
        }
        let options = self.client.options().retry;
        let is_refused = error.kind() == ErrorKind::ResourceExhausted && !options.when_exhausted;
        if !error.is_transient() || is_refused {
            return Err(error);
        }
        let pause = self.backoff.pause(error.retry_after());
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.done >= options.tries_max || pause >= left {
            return Err(match self.done {
                1 => error,
                tries => error.given_up(&format!("{tries} tries")),
            });
        }
        self.client.pause(error, pause).await;
        Ok(())
    }
}

/// A call failed and is going to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retrying {
    /// Why it failed.
    pub error: Error,
    /// How long the client waits before it sends the call again.
    pub pause: Duration,
}

impl Client {
    /// Publishes a retry and waits for its pause.
    pub(super) async fn pause(&self, error: Error, pause: Duration) {
        self.0.retrying.send_replace(Some(Retrying { error, pause }));
        time::sleep(pause).await;
    }

    /// A call that is retried while the server is unavailable.
    pub(super) async fn call<Q, A, F>(&self, message: Q, send: impl Fn(Channel, Request<Q>) -> F) -> Result<A>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut tries = Tries::within(self, self.options().call_timeout);
        loop {
            match tries.once(self.channel(), message.clone(), &send).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tries.pause(error).await?,
            }
        }
    }
}
