//! The events that a watcher must get, computed from the list of all events.

use super::{JobNumber, Model};
use crate::core::Gap;
use crate::job::{Event, EventBody, EventTypes, JobId, Report, WatchItem};

/// The overhead of a ring item.
const ITEM_BYTES: usize = 96;

impl Model {
    pub(in super::super) fn report(&mut self, number: JobNumber, report: Report) {
        let (body, bytes) = match report {
            Report::Progress(progress) => (EventBody::Progress(progress.into()), None),
            Report::Output(output) => {
                let bytes = output.payload.bytes.len() + output.channel.len();
                (EventBody::Output(output), Some(bytes))
            }
            Report::Log(log) => {
                let bytes = log.text.len();
                (EventBody::Log(log), Some(bytes))
            }
        };
        self.add_event(number, body);
        let job = &mut self.jobs[number];
        job.ring.extend(bytes.map(|bytes| (job.sequence, bytes + ITEM_BYTES)));
        while job.ring.len() > 1
            && job.ring.iter().map(|(_, bytes)| bytes).sum::<usize>() > self.options.event_ring_bytes_max
        {
            let (sequence, _) = job.ring.pop_front().expect("more than one");
            job.dropped.insert(sequence);
        }
    }

    /// Drops the events that the core dropped to stay below the memory limit.
    pub(in super::super) fn drop_from(&mut self, id: JobId, gaps: &[Gap]) {
        let Some(job) = self.jobs.iter_mut().find(|job| job.present && job.id == id) else { return };
        for gap in gaps {
            job.ring.retain(|(sequence, _)| !gap.contains(*sequence));
            let is_kept = |event: &&Event| matches!(event.body, EventBody::Progress(_));
            let gone = job.events.iter().filter(|event| !is_kept(event)).map(|event| event.sequence);
            job.dropped.extend(gone.filter(|sequence| gap.contains(*sequence)));
        }
    }

    /// Checks a read of all events after the cursor.
    pub(in super::super) fn check_read(
        &self,
        number: JobNumber,
        cursor: u32,
        types: EventTypes,
        read: &[WatchItem],
    ) {
        let job = &self.jobs[number];
        let is_progress = |event: &&Event| matches!(event.body, EventBody::Progress(_));
        let newest_progress = job.events.iter().rfind(is_progress).map(|event| event.sequence);
        let is_sent = |event: &&Event| match &event.body {
            EventBody::State(change) => {
                (types.state_change || change.state.is_final()) && !job.dropped.contains(&event.sequence)
            }
            EventBody::Progress(_) => types.progress && newest_progress == Some(event.sequence),
            EventBody::Output(_) => types.output && !job.dropped.contains(&event.sequence),
            EventBody::Log(_) => types.log && !job.dropped.contains(&event.sequence),
        };
        let expected: Vec<&Event> =
            job.events.iter().filter(|event| event.sequence > cursor).filter(is_sent).collect();
        let events: Vec<&Event> = read
            .iter()
            .filter_map(|item| match item {
                WatchItem::Event(event) => Some(event),
                WatchItem::Gap { .. } => None,
            })
            .collect();
        assert_eq!(events, expected);
        let mut after = cursor;
        let mut items = read.iter().peekable();
        loop {
            let gap = items.next_if(|item| matches!(item, WatchItem::Gap { .. }));
            let next = items.next().map_or(u32::MAX, |item| match item {
                WatchItem::Event(event) => event.sequence,
                WatchItem::Gap { .. } => panic!("two gaps in a row"),
            });
            let wants_ring = types.output || types.log;
            let dropped = job.dropped.iter().filter(|sequence| after < **sequence && **sequence < next);
            let dropped: Vec<u32> = dropped.copied().filter(|_| wants_ring).collect();
            match (gap, &dropped[..]) {
                (None, []) => {}
                (Some(WatchItem::Gap { first, last }), [dropped_first, ..]) => {
                    assert!(after < *first && first <= dropped_first, "{after} {first} {dropped_first}");
                    assert!(*last < next && Some(last) >= dropped.last(), "{last} {next} {dropped:?}");
                }
                // A cursor inside a dropped range gets the rest of the range as a gap.
                (Some(WatchItem::Gap { .. }), []) if job.is_inside_dropped(after, next) => {}
                (gap, dropped) => panic!("{gap:?} for {dropped:?} after {after}"),
            }
            after = next;
            if next == u32::MAX {
                return;
            }
        }
    }
}

impl super::Job {
    fn is_inside_dropped(&self, after: u32, before: u32) -> bool {
        self.dropped.range(..=after).next().is_some() && self.dropped.range(before..).next().is_some()
    }
}
