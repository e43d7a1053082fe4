//! Requests read once, at the edge: what comes out of here is valid and is never checked again.
//!
//! Every parser names all the fields that break a rule, not only the first. None reads state or a clock.

mod json;
mod payload;
mod request;
mod spec;
mod time;
mod worker;

pub(crate) use json::{
    DEPTH_MAX as JSON_DEPTH_MAX, SMALL_TEXT_BYTES as JSON_SMALL_TEXT_BYTES,
    WIRE_BYTES_MAX as JSON_WIRE_BYTES_MAX,
};
pub(crate) use payload::{PayloadSource, payload, payload_of_server};
pub(crate) use request::{
    Cancel, GetResult, ListJobs, Retry, WatchResult, batch_size, cancel, get_result, list_jobs,
    list_queues_page_size, retry, run, watch_result,
};
pub(crate) use spec::new_job;
pub(crate) use worker::{
    Lease, PROTOCOL_VERSION, SERVED_MAX, SLOTS_MAX, UNARY_MAX, drain_worker, frame, hello, lease,
    list_workers_page_size, reports,
};

use std::fmt;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result, Violation};

/// Longest span a spec may name: 10 years of 365 days.
pub(crate) const SPAN_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Most labels, and most headers, of a job.
pub(crate) const MAP_ENTRIES_MAX: usize = 16;
/// Most bytes of a label's or header's key.
pub(crate) const MAP_KEY_BYTES_MAX: usize = 64;
/// Most bytes of a label's or header's value.
pub(crate) const MAP_VALUE_BYTES_MAX: usize = 256;
/// Most bytes of a content type.
pub(crate) const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Most attempts of a job, and most that may be lost with their worker.
pub(crate) const ATTEMPTS_MAX: u32 = 100;
/// Largest factor between one back-off and the next.
pub(crate) const MULTIPLIER_MAX: f64 = 100.0;
/// Most jobs in one batch.
pub(crate) const BATCH_JOBS_MAX: usize = 1_000;
/// Most entries of a list of states or event types.
pub(crate) const ENUM_ENTRIES_MAX: usize = 1_000;
/// Longest wait of GetResult; longer ones are cut to it.
pub(crate) const RESULT_WAIT_MAX: Duration = Duration::from_secs(60);
/// Silence before a heartbeat, unless the caller says otherwise.
pub(crate) const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);
/// What a running handler gets to stop after a cancel, unless the caller says otherwise.
pub(crate) const GRACE_DEFAULT: Duration = Duration::from_secs(10);
/// Most entries of a page.
pub(crate) const PAGE_SIZE_MAX: u32 = 1_000;
const JOBS_PAGE_SIZE: u32 = 50;
const QUEUES_PAGE_SIZE: u32 = 100;

/// The bounds that are options of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParseLimits {
    /// Largest payload, in bytes as stored.
    pub(crate) payload_bytes_max: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self { payload_bytes_max: 1024 * 1024 }
    }
}

/// The value of a field that must be set.
///
/// # Errors
///
/// `InvalidField` naming `field`.
pub(crate) fn required<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::invalid(field, "is required"))
}

/// What is wrong with a request, gathered field by field.
///
/// Fields are named relative to the message at hand and [`below`] completes their paths: requests without a
/// flaw pay for none.
#[derive(Debug, Default)]
struct Violations {
    list: Vec<Violation>,
    /// A payload that is too large: an error of its own, which stands alone.
    fatal: Option<Error>,
}

impl Violations {
    fn add(&mut self, field: impl fmt::Display, description: impl Into<String>) {
        self.list.push(Violation { field: field.to_string(), description: description.into() });
    }

    /// The value, or a violation of `field` with the description.
    fn check<T>(&mut self, field: impl fmt::Display, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|description| self.add(field, description)).ok()
    }

    /// The value, or the violations of an error that names its fields itself.
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

    /// What `build` makes of the checked parts: all of them are there if nothing was wrong.
    fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T> {
        match self {
            Self { fatal: Some(error), .. } => Err(error),
            Self { list, .. } if !list.is_empty() => Err(Error::violations(list)),
            _ => Ok(build().expect("a part is missing only beside a violation")),
        }
    }
}

/// The same error with its fields below `path`.
fn below(path: &impl fmt::Display, error: Error) -> Error {
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
        "{field} has {size} bytes, the limit is {limit}: keep the content elsewhere and send where to find it"
    );
    Error::new(ErrorKind::PayloadTooLarge { field, size, limit }, message)
}

#[cfg(test)]
mod tests;
