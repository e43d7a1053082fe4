//! Changes of jobs: the entries of the feed of all jobs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Event, EventBody, JobId, JobOptions, JobState, Kind, QueueName, StateSet, quoted};
use crate::error::{Error, Result};

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

/// A state change of a job, with what identifies the job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobChange {
    /// The job.
    pub job_id: JobId,
    /// Its queue.
    pub queue: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// The principal that submitted it; `None` if its caller was anonymous.
    pub owner: Option<Arc<str>>,
    /// The options with its labels; `None` if it has none.
    pub(crate) options: Option<Arc<JobOptions>>,
    /// The event, with a state change. It has no content of a result and no failure details.
    pub event: Event,
}

impl JobChange {
    /// The labels of the job.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        self.options.as_ref().map_or(&NO_LABELS, |options| &options.labels)
    }

    /// The state of the job after the change. `None` for an event without a state change, which no feed has.
    pub fn state(&self) -> Option<JobState> {
        match &self.event.body {
            EventBody::State(change) => Some(change.state),
            EventBody::Progress(_) | EventBody::Output(_) | EventBody::Log(_) => None,
        }
    }
}

/// Matches changes that satisfy all conditions. The default matches every change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeFilter {
    /// The change is to one of these states.
    pub states: StateSet,
    /// The job has this kind.
    pub kind: Option<Kind>,
    /// The job is in this queue.
    pub queue: Option<QueueName>,
    /// The job has all of these labels.
    pub labels: BTreeMap<String, String>,
}

impl ChangeFilter {
    /// Whether the change satisfies all conditions.
    pub fn matches(&self, change: &JobChange) -> bool {
        let has_label = |(name, value): (&String, &String)| change.labels().get(name) == Some(value);
        change.state().is_some_and(|state| self.states.contains(state))
            && self.kind.as_ref().is_none_or(|kind| kind.as_str() == &*change.kind)
            && self.queue.as_ref().is_none_or(|queue| queue.as_str() == &*change.queue)
            && self.labels.iter().all(has_label)
    }
}

/// A point in the feed of all jobs: a recording, and the number of changes in it before the point.
///
/// A recording begins with the first subscriber. A server begins another one after a restart, and after it had no
/// subscriber for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedCursor {
    pub(crate) recording: u64,
    pub(crate) number: u64,
}

impl FeedCursor {
    /// Parses the text of a cursor.
    ///
    /// # Errors
    ///
    /// `InvalidField` naming `field`.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let number = |digits: &str| {
            let is_hex = digits.len() <= 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(digits, 16).ok().filter(|_| is_hex)
        };
        let parsed = text
            .split_once('-')
            .and_then(|(recording, at)| Some(Self { recording: number(recording)?, number: number(at)? }));
        parsed.ok_or_else(|| {
            Error::invalid(field, format!("is {}: use a cursor that was received", quoted(text)))
        })
    }
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.recording, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_from_its_text() {
        let cursor = FeedCursor { recording: u64::MAX, number: 300 };
        assert_eq!(cursor.to_string(), "ffffffffffffffff-12c");
        assert_eq!(FeedCursor::parse("after_cursor", &cursor.to_string()).unwrap(), cursor);
        for text in ["", "-", "1", "1-", "-1", "+1-1", "g-1", "1-1-1", "11111111111111111-1"] {
            let error = FeedCursor::parse("after_cursor", text).unwrap_err();
            assert!(error.message().contains("use a cursor that was received"), "{text}: {error}");
        }
    }
}
