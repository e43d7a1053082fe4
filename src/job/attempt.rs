//! Attempts: the lease that permits one, what a worker is given to run it, and what the worker reports.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Failure, JobId, JobOptions, Log, Output, Payload, Progress};

/// The permission to run one attempt. Unguessable; only the newest lease of a job moves the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(u128);

impl LeaseId {
    pub(crate) fn as_u128(self) -> u128 {
        self.0
    }

    pub(crate) fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Reads 32 hex digits; `None` if the text is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        const DIGITS: usize = u128::BITS as usize / 4;
        let digits = (text.len() == DIGITS).then_some(text)?;
        // Several times faster than the standard library's way, and this is done for every job of a remote worker.
        Uuid::try_parse(digits).ok().map(|digits| Self(digits.as_u128()))
    }
}

/// 32 lower-case hex digits.
impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Uuid::from_u128(self.0).simple().encode_lower(&mut Uuid::encode_buffer()))
    }
}

/// One attempt, as it is handed to a worker.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The job.
    pub job_id: JobId,
    /// Permission to run the attempt.
    pub lease: LeaseId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Which handler runs it.
    pub kind: Arc<str>,
    /// Where the job waited.
    pub queue: Arc<str>,
    /// Input of the handler.
    pub payload: Payload,
    /// The rarer parts of the spec, headers among them.
    pub options: Option<Arc<JobOptions>>,
    /// How long the attempt may run.
    pub time_left: Duration,
}

impl Assignment {
    /// Bytes of the assignment as an element of a message, at most.
    pub(crate) fn wire_bytes_max(&self) -> usize {
        assignment_bytes_max(&self.payload, self.options.as_deref(), self.kind.len() + self.queue.len())
    }
}

/// Bytes of an assignment of a job as an element of a message, at most. `names` is the length of its kind and queue.
pub(crate) fn assignment_bytes_max(payload: &Payload, options: Option<&JobOptions>, names: usize) -> usize {
    /// Lease, job, attempt and time, each at its longest, and the tags and lengths of all fields.
    const FIXED_BYTES: usize = 160;
    /// Tags and lengths of a label or header and of its two parts.
    const ENTRY_BYTES: usize = 12;
    let entries = options.into_iter().flat_map(|options| options.labels.iter().chain(&options.headers));
    let entries: usize = entries.map(|(key, value)| ENTRY_BYTES + key.len() + value.len()).sum();
    let content_type = payload.content_type().len();
    FIXED_BYTES + names + entries + content_type + payload.wire_bytes_max()
}

/// A handler that is short and never blocks: it runs on the thread that dispatched the attempt.
pub type InlineHandler = Arc<dyn Fn(Assignment) -> AttemptEnd + Send + Sync>;

/// What a worker reports while an attempt runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// How far it is.
    Progress(Progress),
    /// A chunk of output.
    Output(Output),
    /// A log line.
    Log(Log),
}

/// How an attempt ended, as its worker reports it.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptEnd {
    /// With a result.
    Success(Payload),
    /// With a failure, and the pause that the handler asks for before another attempt.
    Failure(Failure, Option<Duration>),
    /// The handler stopped because a cancel was requested.
    Cancelled,
    /// The job is returned without counting an attempt, to be tried again after this long.
    Release(Duration),
}

#[cfg(test)]
mod tests {
    use super::LeaseId;

    #[test]
    fn a_lease_reads_as_it_is_displayed() {
        for lease in [LeaseId(0), LeaseId(7 << 96 | 0xab), LeaseId(u128::MAX)] {
            assert_eq!(LeaseId::parse(&lease.to_string()), Some(lease));
        }
        let long = "0".repeat(33);
        for text in ["", "0", "+0000000000000000000000000000000", "0000000000000000000000000000000G", &long] {
            assert_eq!(LeaseId::parse(text), None, "{text}");
        }
    }
}
