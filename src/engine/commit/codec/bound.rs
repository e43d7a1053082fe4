//! How large an entry may become, known without writing it.

use crate::core::{Accepted, Moved, Record};
use crate::job::{Event, EventBody, Failure, JobOptions, Outcome, Payload};

/// More than the keys, lengths and numbers of a record take beside what is counted here.
const AROUND: usize = 512;
/// More than those of a label or header.
const AROUND_PAIR: usize = 16;

/// At least as many bytes as an entry with these records has.
pub(in crate::engine::commit) fn bytes_max(records: &[Record]) -> usize {
    AROUND + records.iter().map(|record| AROUND + variable(record)).sum::<usize>()
}

fn variable(record: &Record) -> usize {
    match record {
        Record::Accepted(of) => accepted(of),
        Record::Moved(of) => moved(of),
        Record::Reported(_, of) => event(of),
        Record::Dropped(_, ranges) => ranges.len() * 3 * 5,
        Record::QueuePaused(name, _) => name.len(),
        Record::Removed(..)
        | Record::CancelHastened(..)
        | Record::Offered(..)
        | Record::ReportsTaken(..)
        | Record::Resumed(_)
        | Record::Secret(_) => 0,
    }
}

fn accepted(Accepted { job, .. }: &Accepted) -> usize {
    job.kind.as_str().len()
        + job.queue.as_str().len()
        + payload(&job.payload)
        + job.options.as_deref().map_or(0, options)
}

fn options(JobOptions { labels, headers, .. }: &JobOptions) -> usize {
    labels.iter().chain(headers).map(|(key, value)| AROUND_PAIR + key.len() + value.len()).sum()
}

fn moved(of: &Moved) -> usize {
    let running = |running: &crate::core::Running| {
        running.worker.len() + running.cancel.as_ref().map_or(0, |(_, reason)| reason.len())
    };
    event(&of.event) + of.running.as_ref().map_or(0, running)
}

fn event(of: &Event) -> usize {
    match &of.body {
        EventBody::State(of) => {
            of.failure.as_deref().map_or(0, failure) + of.outcome.as_ref().map_or(0, outcome)
        }
        EventBody::Progress(of) => of.unit.len() + of.message.len(),
        EventBody::Output(of) => payload(&of.payload) + of.channel.len(),
        EventBody::Log(of) => of.text.len(),
    }
}

fn outcome(of: &Outcome) -> usize {
    match of {
        Outcome::Result(result) => payload(result),
        Outcome::Failure(of) => failure(of),
        Outcome::Cancellation(of) => of.reason.len(),
    }
}

fn failure(of: &Failure) -> usize {
    of.error_type.len() + of.message.len() + of.details.as_ref().map_or(0, payload)
}

fn payload(of: &Payload) -> usize {
    of.bytes.len() + of.explicit_content_type().map_or(0, str::len)
}
