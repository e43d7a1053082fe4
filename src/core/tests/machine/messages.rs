//! Messages are for people: the model has none, so they are taken from what the core says.

use std::sync::Arc;

use crate::core::WatchItem;
use crate::core::effects::Record;
use crate::job::{Event, EventBody, Failure, Outcome};

pub(super) fn without_messages(record: Record) -> Record {
    match record {
        Record::Event(id, event) => Record::Event(id, event_without_messages(event)),
        record => record,
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
