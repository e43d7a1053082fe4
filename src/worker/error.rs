//! How an attempt ends without a result: failed, released or cancelled.

use std::time::Duration;

use crate::job::{AttemptEnd, Failure, FailureReason, Payload};

/// The error of a handler: a failure, a release or a cancellation. `?` converts any `std::error::Error` to a retryable
/// failure.
///
/// ```
/// use std::time::Duration;
///
/// use jobstream::worker::JobError;
///
/// fn check_status(status: u16) -> Result<(), JobError> {
///     match status {
///         200 => Ok(()),
///         429 => Err(JobError::retry_after(Duration::from_secs(30), "rate limited")),
///         404 => Err(JobError::permanent("no such page").with_type("http.NotFound")),
///         _ => Err(JobError::retryable(format!("status {status}"))),
///     }
/// }
/// assert!(check_status(404).is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct JobError(Box<AttemptEnd>);

impl JobError {
    /// A failure after which the job is retried, if its retry policy allows another attempt.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::of(Failure::new(FailureReason::Handler, message))
    }

    /// A failure that ends the job without further attempts.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::of(Failure::new(FailureReason::Handler, message).permanent())
    }

    /// A retryable failure with its own delay before the next attempt, instead of the retry policy's back-off.
    pub fn retry_after(delay: Duration, message: impl Into<String>) -> Self {
        Self::from_end(AttemptEnd::Failure(Failure::new(FailureReason::Handler, message), Some(delay)))
    }

    /// Releases the job: it returns to its queue after this delay, and the attempt is not counted.
    pub fn release(after: Duration) -> Self {
        Self::from_end(AttemptEnd::Release(after))
    }

    /// The handler stopped because it was cancelled.
    pub fn cancelled() -> Self {
        Self::from_end(AttemptEnd::Cancelled)
    }

    /// Sets the error type of a failure, such as `io.NotFound`.
    pub fn with_type(mut self, error_type: impl Into<String>) -> Self {
        if let AttemptEnd::Failure(failure, _) = &mut *self.0 {
            failure.error_type = error_type.into();
        }
        self
    }

    /// Sets the machine-readable details of a failure.
    pub fn with_details(mut self, details: Payload) -> Self {
        if let AttemptEnd::Failure(failure, _) = &mut *self.0 {
            failure.details = Some(details);
        }
        self
    }

    pub(super) fn of(failure: Failure) -> Self {
        Self::from_end(AttemptEnd::Failure(failure, None))
    }

    /// Wraps an end that is not a success.
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
