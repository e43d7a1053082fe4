//! Removal of messages, which the model does not have, from the output of the core.

use std::sync::Arc;

use crate::core::Record;
use crate::core::tests::model::ModelRecord;
use crate::job::{Event, EventBody, Failure, NewJob, Outcome, WatchItem};

/// Converts a record to the one the model predicts.
pub(super) fn model_record(record: Record) -> ModelRecord {
    match record {
        Record::Accepted(accepted) => {
            ModelRecord::Accepted(Box::new(NewJob { id: Some(accepted.id), ..accepted.job }))
        }
        Record::StateChanged(moved) => ModelRecord::Event(moved.id, event_without_messages(moved.event)),
        Record::Reported(id, event) => ModelRecord::Event(id, event),
        Record::Removed(removed) => ModelRecord::Removed(removed.id),
        Record::Dropped(..) | Record::Resumed(_) | Record::Secret(_) => {
            unreachable!("only images and starts have it")
        }
        Record::QueuePaused(name, paused) => ModelRecord::QueuePaused(name, paused),
        Record::ReportsTaken(instance, newest) => {
            ModelRecord::ReportsTaken(instance.id.as_u128() as u8, newest)
        }
        Record::Offered(id, attempt) => ModelRecord::Offered(id, attempt),
        Record::CancelDeadline(id, force_at) => ModelRecord::CancelDeadline(id, force_at),
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
