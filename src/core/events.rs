//! The events of a job as readers and the log receive them.

use std::collections::vec_deque;
use std::iter::Peekable;
use std::sync::Arc;

use super::contents::Contents;
use super::entry::Entry;
use super::history::{Transition, is_wanted};
use super::record::{Accepted, Running, StateChanged};
use crate::job::{
    Event, EventBody, EventTypes, JobState, NewJob, Start, StateChange, Timestamp, WaitReason, WatchItem,
};

impl Entry {
    /// Appends up to `limit` items after `cursor`. Returns the new cursor.
    pub(super) fn read_after(
        &self,
        cursor: u32,
        types: EventTypes,
        contents: Option<&Contents>,
        limit: usize,
        items: &mut Vec<WatchItem>,
    ) -> u32 {
        let mut reader = Reader::new(self, cursor, types, contents);
        let end = items.len().saturating_add(limit);
        while items.len() < end {
            let event = reader.next();
            let gap = reader.gap_before(event.as_ref().map_or(u32::MAX, |event| event.sequence));
            if let Some((first, last)) = gap {
                items.push(WatchItem::Gap { first, last });
                reader.cursor = last;
                if items.len() == end {
                    break;
                }
            }
            let Some(event) = event else { return self.sequence.max(cursor) };
            reader.cursor = event.sequence;
            items.push(WatchItem::Event(event));
        }
        reader.cursor
    }

    pub(super) fn first_event(&self) -> Event {
        let state =
            if self.first_wait == Some(WaitReason::NotDue) { JobState::Scheduled } else { JobState::Queued };
        let next_attempt_time = self.first_attempt_time().filter(|_| state == JobState::Scheduled);
        let change = StateChange {
            state,
            wait_reason: self.first_wait,
            failure: None,
            next_attempt_time,
            outcome: None,
            cancel_requested: false,
            principal: None,
        };
        Event { sequence: 1, time: self.create_time, attempt: 0, body: EventBody::State(change) }
    }

    /// The earliest time of the first attempt, if the spec has a start time or a start delay.
    pub(super) fn first_attempt_time(&self) -> Option<Timestamp> {
        match self.start() {
            Start::Now => None,
            Start::At(time) => Some(time),
            Start::After(delay) => Some(self.create_time.plus(delay)),
        }
    }

    pub(super) fn transition_event(&self, transition: &Transition, contents: Option<&Contents>) -> Event {
        let outcome = self.outcome(contents).filter(|_| transition.state.is_final()).cloned();
        let failure = self.failure(transition, contents).cloned();
        let change = StateChange {
            state: transition.state,
            wait_reason: transition.wait_reason,
            failure,
            next_attempt_time: transition.next_attempt_time(),
            outcome,
            cancel_requested: transition.cancel_requested,
            principal: transition.canceller().cloned(),
        };
        let Transition { sequence, time, attempt, .. } = *transition;
        Event { sequence, time, attempt, body: EventBody::State(change) }
    }
}

/// Merges the first event, the state changes, the progress and the ring, ordered by sequence.
struct Reader<'a> {
    entry: &'a Entry,
    cursor: u32,
    types: EventTypes,
    contents: Option<&'a Contents>,
    history: &'a [Transition],
    progress: Option<&'a Event>,
    ring: Peekable<vec_deque::Iter<'a, Event>>,
}

impl<'a> Reader<'a> {
    fn new(entry: &'a Entry, cursor: u32, types: EventTypes, contents: Option<&'a Contents>) -> Self {
        let begin = entry.history().partition_point(|transition| transition.sequence <= cursor);
        let stream = entry.stream();
        let progress = stream.and_then(|stream| stream.progress.as_ref());
        let ring = contents.map(|contents| &contents.ring).or(stream.map(|stream| &stream.ring));
        let ring = ring.map(|ring| ring.after(cursor)).unwrap_or_default().peekable();
        let progress = progress.filter(|event| types.progress && event.sequence > cursor);
        Self { entry, cursor, types, contents, history: &entry.history()[begin..], progress, ring }
    }

    fn next(&mut self) -> Option<Event> {
        if self.cursor == 0 && self.types.state_change {
            return Some(self.entry.first_event());
        }
        let types = self.types;
        let unwanted = |transition: &&Transition| !types.state_change && !transition.state.is_final();
        let skipped = self.history.iter().take_while(unwanted).count();
        self.history = &self.history[skipped..];
        while self.ring.next_if(|event| !is_wanted(event, types)).is_some() {}
        let state = self.history.first().map(|transition| transition.sequence);
        let progress = self.progress.map(|event| event.sequence);
        let ring = self.ring.peek().map(|event| event.sequence);
        let least = [state, progress, ring].into_iter().flatten().min()?;
        if state == Some(least) {
            let (transition, rest) = self.history.split_first()?;
            self.history = rest;
            return Some(self.entry.transition_event(transition, self.contents));
        }
        if progress == Some(least) {
            return self.progress.take().cloned();
        }
        self.ring.next().cloned()
    }

    /// The gap between the cursor and the next event, if output or log lines were dropped there.
    fn gap_before(&self, sequence: u32) -> Option<(u32, u32)> {
        let wanted = self.types.output || self.types.log;
        let stream = self.entry.stream().filter(|_| wanted)?;
        stream.gap_between(self.cursor, sequence)
    }
}

impl Accepted {
    pub(super) fn of(entry: &Entry, job: NewJob, owner: Option<Arc<str>>) -> Self {
        Self {
            id: entry.id,
            job,
            number: entry.accepted,
            create_time: entry.create_time,
            created: entry.created.into(),
            first_wait: entry.first_wait,
            deadline: entry.deadline.into(),
            owner,
        }
    }
}

impl StateChanged {
    pub(super) fn of(entry: &Entry, event: Event, running: Option<Running>) -> Self {
        Self {
            id: entry.id,
            event,
            lost: entry.lost(),
            released: entry.released(),
            cancel_requested: entry.cancel_requested,
            deadline: entry.deadline.into(),
            expire_time: entry.end().map(|end| end.expire_time),
            running,
        }
    }
}
