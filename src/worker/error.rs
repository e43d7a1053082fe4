//! What a handler says when it has no result: failed, try again later, given back, or stopped.

use std::time::Duration;

use crate::job::{AttemptEnd, Failure, FailureReason, Payload};

/// Why a handler has no result. Any `std::error::Error` becomes a retryable failure with `?`.
#[derive(Debug, Clone, PartialEq)]
pub struct JobError(Box<AttemptEnd>);

impl JobError {
    /// A failure that another attempt may mend, if the job's retry policy has one left.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::of(Failure::new(FailureReason::Handler, message))
    }

    /// A failure that no other attempt could mend: the job ends.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::of(Failure::new(FailureReason::Handler, message).permanent())
    }

    /// A failure, and the pause before the next attempt in place of the retry policy's.
    pub fn retry_after(pause: Duration, message: impl Into<String>) -> Self {
        Self::from_end(AttemptEnd::Failure(Failure::new(FailureReason::Handler, message), Some(pause)))
    }

    /// Gives the job back to be tried again after this long; the attempt does not count.
    pub fn release(after: Duration) -> Self {
        Self::from_end(AttemptEnd::Release(after))
    }

    /// The handler stopped because it was cancelled.
    pub fn cancelled() -> Self {
        Self::from_end(AttemptEnd::Cancelled)
    }

    /// The same failure under the handler's own name for it, such as `io.NotFound`.
    pub fn with_type(mut self, error_type: impl Into<String>) -> Self {
        if let AttemptEnd::Failure(failure, _) = &mut *self.0 {
            failure.error_type = error_type.into();
        }
        self
    }

    /// The same failure with more for a program to read.
    pub fn with_details(mut self, details: Payload) -> Self {
        if let AttemptEnd::Failure(failure, _) = &mut *self.0 {
            failure.details = Some(details);
        }
        self
    }

    pub(super) fn of(failure: Failure) -> Self {
        Self::from_end(AttemptEnd::Failure(failure, None))
    }

    /// From an end that is not a success.
    pub(super) fn from_end(end: AttemptEnd) -> Self {
        Self(Box::new(end))
    }

    pub(super) fn into_end(self) -> AttemptEnd {
        *self.0
    }
}

impl<E: std::error::Error> From<E> for JobError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self::retryable(message)
    }
}
