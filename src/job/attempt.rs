//! Attempts: their leases, assignments, reports and ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Failure, JobId, JobOptions, Log, Output, Payload, Progress};

/// The id of a lease, the permission to run one attempt. The id is unguessable. Only the newest lease of a job can
/// change the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(u128);

impl LeaseId {
    pub(crate) fn as_u128(self) -> u128 {
        self.0
    }

    pub(crate) fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Parses 32 hex digits. Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        const DIGITS: usize = u128::BITS as usize / 4;
        let digits = (text.len() == DIGITS).then_some(text)?;
        // `Uuid` parses several times faster than `u128::from_str_radix`. Each report of a remote worker has a lease
        // id.
        Uuid::try_parse(digits).ok().map(|digits| Self(digits.as_u128()))
    }
}

/// 32 lower-case hex digits.
impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Uuid::from_u128(self.0).simple().encode_lower(&mut Uuid::encode_buffer()))
    }
}

/// One attempt that is assigned to a worker.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The job's id.
    pub job_id: JobId,
    /// The lease of the attempt.
    pub lease: LeaseId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The job's kind, which selects the handler.
    pub kind: Arc<str>,
    /// The job's queue.
    pub queue: Arc<str>,
    /// The input of the handler.
    pub payload: Payload,
    /// The job's options, such as headers; `None` if all have their defaults.
    pub options: Option<Arc<JobOptions>>,
    /// Time until the attempt times out.
    pub time_left: Duration,
}

impl Assignment {
    /// Upper bound of the encoded size of the assignment as an element of a message.
    pub(crate) fn wire_bytes_max(&self) -> usize {
        assignment_bytes_max(&self.payload, self.options.as_deref(), self.kind.len() + self.queue.len())
    }
}

/// Upper bound of the encoded size of a job's assignment as an element of a message. `names` is the length of its kind
/// and queue.
pub(crate) fn assignment_bytes_max(payload: &Payload, options: Option<&JobOptions>, names: usize) -> usize {
    /// Longest lease id, job id, attempt and time, and the tags and lengths of all fields.
    const FIXED_BYTES: usize = 160;
    /// Tags and lengths of a label or header, its key and its value.
    const ENTRY_BYTES: usize = 12;
    let entries = options.into_iter().flat_map(|options| options.labels.iter().chain(&options.headers));
    let entries: usize = entries.map(|(key, value)| ENTRY_BYTES + key.len() + value.len()).sum();
    let content_type = payload.content_type().len();
    let trace = options.and_then(|options| options.trace.as_ref()).map_or(0, |trace| trace.bytes());
    FIXED_BYTES + names + entries + content_type + trace + payload.wire_bytes_max()
}

/// A handler that runs on the thread that dispatches the attempt. It is short and never blocks.
pub type InlineHandler = Arc<dyn Fn(Assignment) -> AttemptEnd + Send + Sync>;

/// A report of a running attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// Progress.
    Progress(Progress),
    /// A chunk of output.
    Output(Output),
    /// A log line.
    Log(Log),
}

/// The end of an attempt, as its worker reports it.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptEnd {
    /// The handler returned a result.
    Success(Payload),
    /// The attempt failed. The duration is the handler's own delay before the next attempt, if it set one.
    Failure(Failure, Option<Duration>),
    /// The handler stopped because a cancel was requested.
    Cancelled,
    /// The worker released the job, which returns to its queue after this delay. The attempt is not counted.
    Release(Duration),
}

#[cfg(test)]
mod tests {
    use super::LeaseId;

    #[test]
    fn displayed_lease_parses_to_the_same_lease() {
        for lease in [LeaseId(0), LeaseId(7 << 96 | 0xab), LeaseId(u128::MAX)] {
            assert_eq!(LeaseId::parse(&lease.to_string()), Some(lease));
        }
        let long = "0".repeat(33);
        for text in ["", "0", "+0000000000000000000000000000000", "0000000000000000000000000000000G", &long] {
            assert_eq!(LeaseId::parse(text), None, "{text}");
        }
    }
}
