//! The early end of streams: their connection is about to be closed, or their credential expires.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::call::{ConnectionInfo, principal};
use crate::access::Principal;
use crate::error::{Error, ErrorKind};
use crate::job::Timestamp;

/// Delay until a stream may be resumed on a new connection or with a new credential.
const RESUME_AFTER: Duration = Duration::ZERO;

/// What ends the streams of a request early: its connection is about to be closed, or its credential expires.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamLimits {
    closing: Option<CancellationToken>,
    expires: Option<Instant>,
}

impl StreamLimits {
    /// The limits of the streams of a request with these extensions, which arrived now.
    pub(super) fn of(extensions: &http::Extensions, now: Timestamp) -> Self {
        let expire_time = principal(extensions).and_then(Principal::expire_time);
        Self {
            closing: extensions.get::<ConnectionInfo>().map(|connection| connection.closing.clone()),
            expires: expire_time.map(|expire_time| Instant::now() + expire_time.since(now)),
        }
    }

    /// The error of a stream whose credential has expired. A stream that always has something to send must end as well.
    pub(super) fn expired(&self) -> Option<Error> {
        self.expires.filter(|expires| *expires <= Instant::now()).map(|_| credential_expired())
    }
}

/// Waits for the early end of a stream.
pub(super) struct EarlyEnd {
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    expiry: Option<Pin<Box<Sleep>>>,
}

impl EarlyEnd {
    pub(super) fn new(limits: StreamLimits) -> Self {
        Self {
            closing: limits.closing.map(|closing| Box::pin(closing.cancelled_owned())),
            expiry: limits.expires.map(|expires| Box::pin(sleep_until(expires))),
        }
    }

    /// As [`StreamLimits::expired`].
    pub(super) fn expired(&self) -> Option<Error> {
        let expiry = self.expiry.as_ref()?;
        (expiry.deadline() <= Instant::now()).then(credential_expired)
    }

    /// Returns the error that ends the stream, if it has to end. If not, wakes the task when it has to.
    pub(super) fn poll_error(&mut self, context: &mut Context<'_>) -> Option<Error> {
        if self.expiry.as_mut().is_some_and(|expiry| expiry.as_mut().poll(context).is_ready()) {
            return Some(credential_expired());
        }
        let closing = self.closing.as_mut()?;
        closing.as_mut().poll(context).is_ready().then(connection_closing)
    }
}

/// The error of a stream whose credential has expired.
fn credential_expired() -> Error {
    let kind = ErrorKind::CredentialExpired { retry_after: RESUME_AFTER };
    Error::new(kind, "the credential of this stream has expired: resume with a new one")
}

fn connection_closing() -> Error {
    let kind = ErrorKind::ConnectionClosing { retry_after: RESUME_AFTER };
    Error::new(kind, "the connection is being closed: resume on a new one with the last sequence")
}
