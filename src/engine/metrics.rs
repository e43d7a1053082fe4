//! The engine's metrics: gauges that are read at a scrape, and counts of watches.
//!
//! A scrape never waits for the disk, and holds the engine's lock for a bounded part of the lanes at a time.

mod jobs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Admission, Engine};
use crate::core::{FinishedGauge, LaneGauge, PayloadSizes};
use crate::job::{JobState, QueueName, SeriesTotals, Timestamp, WatchItem};
use crate::metrics::{self, AtomicHistogram, CALL_BUCKETS, NameSet, OTHER, Snapshot};

/// Lanes and queues that are read under one hold of the lock.
const LANES_PER_HOLD: usize = 512;
/// The value of the label `backend` for the log on disk.
const DISK: &str = "disk";

/// What the engine counts outside of the core.
pub(super) struct Meter {
    watch_events: AtomicU64,
    watch_gaps: AtomicU64,
    watch_resumes: AtomicU64,
    watch_lag: AtomicHistogram,
    /// The queues that have series of their own.
    queues: Mutex<NameSet<Arc<str>>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            watch_events: AtomicU64::new(0),
            watch_gaps: AtomicU64::new(0),
            watch_resumes: AtomicU64::new(0),
            watch_lag: AtomicHistogram::new(CALL_BUCKETS),
            queues: Mutex::default(),
        }
    }
}

impl Meter {
    /// Counts a watch that continues after an event that its caller had.
    pub(super) fn watch_resumed(&self) {
        self.watch_resumes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what a watch delivered. Measures how late the first event is that is newer than `opened_at`, the job's last
    /// sequence when the watch was opened. The clock is read at most once.
    pub(super) fn watch_sent(&self, items: &[WatchItem], opened_at: u32, now: impl FnOnce() -> Timestamp) {
        let live_time = items.iter().find_map(|item| match item {
            WatchItem::Event(event) if event.sequence > opened_at => Some(event.time),
            _ => None,
        });
        if let Some(time) = live_time {
            self.watch_lag.record(now().since(time));
        }
        let gaps = items.iter().filter(|item| matches!(item, WatchItem::Gap { .. })).count() as u64;
        let events = items.len() as u64 - gaps;
        if events > 0 {
            self.watch_events.fetch_add(events, Ordering::Relaxed);
        }
        if gaps > 0 {
            self.watch_gaps.fetch_add(gaps, Ordering::Relaxed);
        }
    }
}

/// The jobs of one queue.
#[derive(Default)]
struct QueueSum {
    states: [u64; 3],
    oldest: Duration,
    is_paused: bool,
}

/// The states of jobs that have not ended, with their label.
const STATES: [(JobState, &str); 3] =
    [(JobState::Scheduled, "scheduled"), (JobState::Queued, "queued"), (JobState::Running, "running")];

impl Engine {
    /// Adds the engine's metrics, also of commands whose records are not durable yet.
    pub(crate) fn collect_metrics(&self, snapshot: &mut Snapshot) {
        let totals = self.totals();
        jobs::collect(&totals, snapshot);
        self.collect_payloads(snapshot);
        let lanes = self.lane_gauges();
        self.collect_queues(&lanes, snapshot);
        collect_unserved(&totals, &lanes, snapshot);
        self.collect_workers(snapshot);
        self.collect_watches(snapshot);
        self.collect_finished(snapshot);
        self.collect_state(snapshot);
        self.collect_store(snapshot);
    }

    fn collect_payloads(&self, snapshot: &mut Snapshot) {
        let PayloadSizes { input, result, event } = self.0.state.lock().core.payload_sizes();
        for (direction, sizes) in [("input", input), ("result", result), ("event", event)] {
            snapshot.add_histogram(&metrics::PAYLOAD_BYTES, &[direction], &sizes.read());
        }
    }

    fn lane_gauges(&self) -> Vec<LaneGauge> {
        let (mut gauges, mut from) = (Vec::new(), Some(0));
        while let Some(place) = from {
            let now = self.now();
            let (part, next) = self.0.state.lock().core.lane_gauges(now, place, LANES_PER_HOLD);
            gauges.extend(part);
            from = next;
        }
        gauges
    }

    fn paused_queues(&self) -> Vec<Arc<str>> {
        let (mut paused, mut after) = (Vec::new(), Some(Arc::from("")));
        while let Some(name) = after {
            let (part, next) = self.0.state.lock().core.paused_queues(&name, LANES_PER_HOLD);
            paused.extend(part);
            after = next;
        }
        paused
    }

    fn collect_queues(&self, lanes: &[LaneGauge], snapshot: &mut Snapshot) {
        let mut queues: BTreeMap<&Arc<str>, QueueSum> = BTreeMap::new();
        for lane in lanes {
            let sum = queues.entry(&lane.queue).or_default();
            for (count, (state, _)) in sum.states.iter_mut().zip(STATES) {
                *count += u64::from(lane.counts.get(state));
            }
            sum.oldest = sum.oldest.max(lane.oldest);
            sum.is_paused |= lane.is_paused;
        }
        let paused = self.paused_queues();
        for name in &paused {
            queues.entry(name).or_default().is_paused = true;
        }
        let mut names = self.0.meter.queues.lock();
        names.admit(&QueueName::DEFAULT.into());
        let mut folded = 0;
        for (name, sum) in queues {
            let is_named = names.admit(name);
            folded += u32::from(!is_named);
            add_queue(snapshot, if is_named { name } else { OTHER }, &sum);
        }
        for name in names.iter() {
            add_queue(snapshot, name, &QueueSum::default());
        }
        snapshot.add(&metrics::FOLDED_NAMES, &["queue"], folded.into());
    }

    fn collect_workers(&self, snapshot: &mut Snapshot) {
        let now = self.now();
        let gauges = {
            let state = self.0.state.lock();
            // Inline handlers run one after another: their slots only bound a batch.
            let is_inline = |key| state.outboxes.get(&key).is_some_and(|outbox| outbox.inline.is_some());
            state.core.worker_gauges(now, |key| !is_inline(key))
        };
        for pool in ["local", "remote"] {
            for family in [&metrics::WORKER_SLOTS, &metrics::WORKER_SLOTS_USED, &metrics::HEARTBEAT_LAG] {
                snapshot.add(family, &[pool], 0.0);
            }
        }
        snapshot.add(&metrics::WORKERS_CONNECTED, &["local", "rust"], 0.0);
        for gauge in gauges {
            let pool = if gauge.is_local { "local" } else { "remote" };
            snapshot.add(&metrics::WORKER_SLOTS, &[pool], gauge.slots as f64);
            snapshot.add(&metrics::WORKER_SLOTS_USED, &[pool], gauge.slots_used as f64);
            snapshot.raise(&metrics::HEARTBEAT_LAG, &[pool], gauge.lag.as_secs_f64());
            snapshot.add(&metrics::WORKERS_CONNECTED, &[pool, gauge.sdk], gauge.workers.into());
        }
    }

    fn collect_watches(&self, snapshot: &mut Snapshot) {
        let meter = &self.0.meter;
        snapshot.add(&metrics::WATCH_STREAMS, &[], self.open_watches().into());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        snapshot.add(&metrics::WATCH_EVENTS_SENT, &[], count(&meter.watch_events));
        snapshot.add(&metrics::WATCH_GAPS, &["not_retained"], count(&meter.watch_gaps));
        snapshot.add(&metrics::WATCH_RESUMES, &[], count(&meter.watch_resumes));
        snapshot.add_histogram(&metrics::WATCH_DELIVERY_LAG, &[], &meter.watch_lag.read());
    }

    fn collect_finished(&self, snapshot: &mut Snapshot) {
        let FinishedGauge { jobs, bytes, removed } = self.0.state.lock().core.finished_gauge();
        snapshot.add(&metrics::RESULTS_RETAINED, &[], jobs.into());
        snapshot.add(&metrics::RESULTS_RETAINED_BYTES, &[], bytes as f64);
        for (reason, count) in [("ttl", removed.ttl), ("bytes", removed.bytes), ("deleted", removed.deleted)]
        {
            snapshot.add(&metrics::RESULTS_EVICTED, &[reason], count as f64);
        }
    }

    fn collect_state(&self, snapshot: &mut Snapshot) {
        let (memory, admission) = {
            let state = self.0.state.lock();
            (self.memory_use(&state.core), self.admission(&state))
        };
        for part in memory {
            snapshot.add(&metrics::MEMORY_USED_BYTES, &[part.category], part.used_bytes as f64);
            snapshot.add(&metrics::MEMORY_LIMIT_BYTES, &[part.category], part.limit_bytes as f64);
        }
        snapshot.add(&metrics::READY, &["accepting"], f64::from(admission == Admission::Open));
        snapshot.add(&metrics::READY, &["log"], f64::from(self.check_log().is_ok()));
        let start = Duration::from_micros(self.0.start.wall.as_micros().unsigned_abs());
        snapshot.add(&metrics::START_TIME, &[], start.as_secs_f64());
    }

    fn collect_store(&self, snapshot: &mut Snapshot) {
        let Some(commit) = &self.0.commit else { return };
        snapshot.add(&metrics::STORE_QUEUED_BYTES, &[DISK], commit.queued_bytes() as f64);
        let Some(log) = commit.log_meter() else { return };
        for (op, durations) in log.durations() {
            snapshot.add_histogram(&metrics::STORE_OP_DURATION, &[op, DISK], &durations);
        }
        snapshot.add(&metrics::STORE_ERRORS, &[DISK], log.errors() as f64);
        snapshot.add(&metrics::STORE_USED_BYTES, &[DISK], log.bytes() as f64);
        snapshot.add(&metrics::STORE_SEGMENTS, &[DISK], log.segments() as f64);
    }
}

/// Adds the unserved jobs of each lane; 0 for a series whose lane has no jobs.
fn collect_unserved(totals: &[SeriesTotals], lanes: &[LaneGauge], snapshot: &mut Snapshot) {
    for series in totals {
        snapshot.add(&metrics::QUEUE_UNSERVED_JOBS, &[&series.queue, &series.kind], 0.0);
    }
    let mut folded = 0;
    for lane in lanes {
        folded += u32::from(lane.is_folded);
        let labels = if lane.is_folded { [OTHER, OTHER] } else { [&*lane.queue, &*lane.kind] };
        snapshot.add(&metrics::QUEUE_UNSERVED_JOBS, &labels, lane.unserved.into());
    }
    snapshot.add(&metrics::FOLDED_NAMES, &["lane"], folded.into());
}

fn add_queue(snapshot: &mut Snapshot, queue: &str, sum: &QueueSum) {
    for ((_, state), count) in STATES.into_iter().zip(sum.states) {
        snapshot.add(&metrics::QUEUE_JOBS, &[queue, state], count as f64);
    }
    snapshot.raise(&metrics::QUEUE_OLDEST_READY_AGE, &[queue], sum.oldest.as_secs_f64());
    snapshot.raise(&metrics::QUEUE_PAUSED, &[queue], f64::from(sum.is_paused));
}
