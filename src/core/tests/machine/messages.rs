//! Messages are for people: the model has none, so they are taken from what the core says.

use std::sync::Arc;

use crate::core::Record;
use crate::core::tests::model::Said;
use crate::job::{Event, EventBody, Failure, NewJob, Outcome, WatchItem};

/// What the model can know of a record.
pub(super) fn said(record: Record) -> Said {
    match record {
        Record::Accepted(accepted) => {
            Said::Accepted(Box::new(NewJob { id: Some(accepted.id), ..accepted.job }))
        }
        Record::Moved(moved) => Said::Event(moved.id, event_without_messages(moved.event)),
        Record::Reported(id, event) => Said::Event(id, event),
        Record::Removed(removed) => Said::Removed(removed.id),
        Record::Dropped(..) | Record::Resumed(_) | Record::Secret(_) => {
            unreachable!("only images and starts have it")
        }
        Record::QueuePaused(name, paused) => Said::QueuePaused(name, paused),
        Record::ReportsTaken(instance, newest) => Said::ReportsTaken(instance.as_u128() as u8, newest),
        Record::Offered(id, attempt) => Said::Offered(id, attempt),
        Record::CancelHastened(id, force_at) => Said::CancelHastened(id, force_at),
    }
}

pub(super) fn item_without_messages(item: WatchItem) -> WatchItem {
    match item {
        WatchItem::Event(event) => WatchItem::Event(event_without_messages(event)),
        gap @ WatchItem::Gap { .. } => gap,
    }
}

fn event_without_messages(mut event: Event) -> Event {
    if let EventBody::State(change) = &mut event.body {
        change.failure = change.failure.take().map(failure_without_message);
        change.outcome = change.outcome.take().map(outcome_without_message);
    }
    event
}

pub(super) fn outcome_without_message(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failure(failure) => Outcome::Failure(failure_without_message(failure)),
        outcome => outcome,
    }
}

fn failure_without_message(failure: Arc<Failure>) -> Arc<Failure> {
    Arc::new(Failure { message: String::new(), ..(*failure).clone() })
}
