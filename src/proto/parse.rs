//! Parsers of requests. Each returns a valid domain value, which no later code validates again.
//!
//! A parser reports all fields that break a rule, not only the first. It reads no state and no clock.

mod json;
mod log_level;
mod payload;
mod request;
mod spec;
mod stats;
mod time;
mod worker;

pub(crate) use json::{
    DEPTH_MAX as JSON_DEPTH_MAX, SMALL_TEXT_BYTES as JSON_SMALL_TEXT_BYTES,
    WIRE_BYTES_MAX as JSON_WIRE_BYTES_MAX,
};
pub(crate) use log_level::{LOG_LEVEL_BYTES_MAX, LOG_LEVELS, set_log_level};
pub(crate) use payload::{PayloadSource, payload, payload_of_server};
pub(crate) use request::{
    Cancel, GetResult, ListJobs, MintToken, Retry, WatchJobs, WatchResult, batch_size, cancel, get_result,
    list_jobs, mint_token, page_size, retry, run, watch_jobs, watch_result,
};
pub(crate) use spec::new_job;
pub(crate) use stats::get_stats;
#[cfg(feature = "server")]
pub(crate) use time::{DELAY, DRAIN, DurationRange, GRACE, HEARTBEAT, LIFETIME, STATS_RANGE, TIMEOUT, WAIT};
pub(crate) use worker::{
    Lease, MESSAGE_BYTES_MIN, PROTOCOL_VERSION, SERVED_MAX, SLOTS_MAX, UNARY_MAX, drain_worker, frame, hello,
    lease, reports,
};

use std::fmt;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result, Violation};

/// Longest duration in a spec: 10 years of 365 days.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Most labels, and most headers, of a job.
pub(crate) const MAP_ENTRIES_MAX: usize = 16;
/// Most bytes of a label's or header's key.
pub(crate) const MAP_KEY_BYTES_MAX: usize = 64;
/// Most bytes of a label's or header's value.
pub(crate) const MAP_VALUE_BYTES_MAX: usize = 256;
/// Most bytes of a content type.
pub(crate) const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Largest `max_attempts` and `max_lost_attempts` of a retry policy.
pub(crate) const ATTEMPTS_MAX: u32 = 100;
/// Largest factor between one back-off and the next.
pub(crate) const MULTIPLIER_MAX: f64 = 100.0;
/// Most jobs in one batch.
pub(crate) const BATCH_JOBS_MAX: usize = 1_000;
/// Most entries of a list of states or event types.
pub(crate) const ENUM_ENTRIES_MAX: usize = 1_000;
/// Longest wait of GetResult and of Lease. Longer waits are reduced to it.
pub(crate) const RESULT_WAIT_MAX: Duration = Duration::from_secs(60);
/// Default heartbeat interval of an idle watch.
pub(crate) const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);
/// Default time that a running attempt gets to stop after a cancel.
pub(crate) const GRACE_DEFAULT: Duration = Duration::from_secs(10);
/// Lifetime of a minted token that a request leaves out.
pub(crate) const LIFETIME_DEFAULT: Duration = Duration::from_secs(3600);
/// Most entries of a page.
pub(crate) const PAGE_SIZE_MAX: u32 = 1_000;
const JOBS_PAGE_SIZE: u32 = 50;
/// Default page size of ListQueues and ListWorkers.
pub(crate) const PAGE_SIZE_DEFAULT: u32 = 100;

/// The value of a required field.
///
/// # Errors
///
/// `InvalidField` naming `field`.
pub(crate) fn required<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::invalid(field, "is required"))
}

/// Collects the violations of one message.
///
/// Field paths are relative to the message; [`prefixed`] prepends the path of the message. A valid request builds no paths.
#[derive(Debug, Default)]
struct Violations {
    list: Vec<Violation>,
    /// A payload that is too large. This error is returned alone.
    fatal: Option<Error>,
}

impl Violations {
    fn add(&mut self, field: impl fmt::Display, description: impl Into<String>) {
        self.list.push(Violation { field: field.to_string(), description: description.into() });
    }

    /// Returns the value, or adds a violation of `field`.
    fn check<T>(&mut self, field: impl fmt::Display, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|description| self.add(field, description)).ok()
    }

    /// Returns the value, or adds the violations of an error that names its own fields.
    fn absorb<T>(&mut self, parsed: Result<T>) -> Option<T> {
        let error = match parsed {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::InvalidField(violations) => self.list.extend_from_slice(violations),
            _ => self.fatal = self.fatal.take().or(Some(error)),
        }
        None
    }

    /// Returns the violations, or the value that `build` makes. Without violations every part is present.
    fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T> {
        match self {
            Self { fatal: Some(error), .. } => Err(error),
            Self { list, .. } if !list.is_empty() => Err(Error::violations(list)),
            _ => Ok(build().expect("a part is missing only with a violation")),
        }
    }
}

/// The same error with `path` prepended to its fields.
fn prefixed(path: &impl fmt::Display, error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidField(violations) => {
            let moved = |Violation { field, description }: &Violation| Violation {
                field: format!("{path}.{field}"),
                description: description.clone(),
            };
            Error::violations(violations.iter().map(moved).collect())
        }
        ErrorKind::PayloadTooLarge { field, size, limit } => {
            too_large(format!("{path}.{field}"), *size, *limit)
        }
        _ => error,
    }
}

fn too_large(field: String, size: usize, limit: usize) -> Error {
    let message = format!(
        "{field} has {size} bytes, the limit is {limit}: store the content elsewhere and send a reference"
    );
    Error::new(ErrorKind::PayloadTooLarge { field, size, limit }, message)
}

#[cfg(test)]
mod tests;
