//! The callbacks of [`JobContext::on_settled`](super::JobContext::on_settled). It does not decide when an attempt is settled.

use std::mem;

use crate::client::{Error, ErrorKind, Result, reason};

pub(super) type Callback = Box<dyn FnOnce(Result<()>) + Send>;

/// The callbacks of one attempt, in the order of their registration. Each is called once: if they are dropped before, it is not
/// known whether the end of the attempt was recorded.
#[derive(Default)]
pub(super) struct Settled(Vec<Callback>);

impl Settled {
    pub(super) fn add(&mut self, callback: Callback) {
        self.0.push(callback);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls the callbacks. The caller holds no lock.
    pub(super) fn call(mut self, outcome: &Result<()>) {
        self.call_all(outcome);
    }

    fn call_all(&mut self, outcome: &Result<()>) {
        for callback in mem::take(&mut self.0) {
            callback(outcome.clone());
        }
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            self.call_all(&Err(unknown()));
        }
    }
}

/// The error of an attempt whose end the server did not use.
pub(super) fn lease_lost() -> Error {
    let message = "the lease was lost: the server does not use the end of this attempt";
    Error::new(ErrorKind::FailedPrecondition, reason::LEASE_LOST, message)
}

/// The error of an attempt whose end was not acknowledged.
pub(super) fn unknown() -> Error {
    let message = "the server did not acknowledge the end of this attempt: it may be recorded or not";
    Error::new(ErrorKind::Unreachable, "", message)
}
