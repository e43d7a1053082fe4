//! Queues and lanes: the order and the counts of waiting jobs.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::callers::CallerKey;
use super::keys::{GroupKey, JobKey, LaneKey};
use super::list::List;
use super::refusals::full;
use super::stats::{SeriesKey, Stats};
use super::table::Table;
use crate::clock::Now;
use crate::error::Result;
use crate::job::{JobState, Kind, QueueName, StateCounts};

/// The jobs of one kind in one queue.
pub(super) struct Lane {
    pub(super) queue: Arc<str>,
    pub(super) kind: Arc<str>,
    /// The assignments of all its jobs have more bytes than this: 0, or the limit of the workers that cannot read them.
    pub(super) bytes_above: usize,
    /// Ready jobs by priority. No list is empty.
    pub(super) ready: BTreeMap<i8, List>,
    /// Jobs that are not due yet.
    pub(super) scheduled: List,
    pub(super) counts: StateCounts,
    pub(super) accepted: Rate,
    pub(super) finished: Rate,
    /// A copy of the queue's flag, which is read for every job.
    pub(super) paused: bool,
    /// Groups of sessions that serve the lane.
    pub(super) groups: Vec<GroupKey>,
    /// The number of the last dispatch from the lane. Among equal priorities, the smallest number comes first.
    pub(super) last_served: u64,
    /// The entry of the lane in the ready sets of its groups, if it is ready.
    pub(super) rank: Option<Rank>,
    /// The caller whose job created the lane.
    pub(super) creator: CallerKey,
    /// The series that counts its jobs.
    pub(super) series: SeriesKey,
}

/// The order of ready lanes: by priority, then by the last dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Negated: the largest priority comes first.
    pub(super) negated_priority: i16,
    pub(super) last_served: u64,
    /// Lanes of the same kind and queue have the same `last_served`. Jobs in oversize lanes are older.
    pub(super) negated_bytes_above: Reverse<usize>,
    pub(super) lane: LaneKey,
}

impl Lane {
    pub(super) fn push_back(&mut self, table: &mut Table, key: JobKey) {
        self.ready.entry(table[key].priority).or_default().push_back(table, key);
    }

    pub(super) fn push_front(&mut self, table: &mut Table, key: JobKey) {
        self.ready.entry(table[key].priority).or_default().push_front(table, key);
    }

    pub(super) fn remove(&mut self, table: &mut Table, key: JobKey) {
        let priority = table[key].priority;
        let Some(list) = self.ready.get_mut(&priority) else { return };
        list.remove(table, key);
        if list.is_empty() {
            self.ready.remove(&priority);
        }
    }

    /// The next job to start, and its priority.
    pub(super) fn first(&self) -> Option<(i8, JobKey)> {
        self.ready.last_key_value().and_then(|(priority, list)| Some((*priority, list.first()?)))
    }

    /// The first job of each priority.
    pub(super) fn firsts(&self) -> impl Iterator<Item = JobKey> + '_ {
        self.ready.values().filter_map(List::first)
    }
}

/// The state of a queue.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) paused: bool,
    /// Lanes by kind.
    pub(super) lanes: HashMap<Arc<str>, LaneKey>,
    /// Lanes of jobs that are too large for some workers, by kind and `bytes_above`.
    pub(super) oversize: BTreeMap<(Arc<str>, usize), LaneKey>,
}

impl Queue {
    /// All lanes with their kinds, unordered.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<str>, LaneKey)> {
        let oversize = self.oversize.iter().map(|((kind, _), lane)| (kind, *lane));
        self.lanes.iter().map(|(kind, lane)| (kind, *lane)).chain(oversize)
    }

    fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.oversize.is_empty()
    }
}

/// All queues and lanes. A lane exists while it has jobs, a queue while it has lanes or is paused.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) queues: BTreeMap<Arc<str>, Queue>,
    pub(super) stats: Stats,
    lanes: Vec<Option<Lane>>,
    free: Vec<LaneKey>,
    /// The number of oversize lanes.
    oversize: usize,
}

impl Lanes {
    pub(super) fn find(&self, queue: &str, kind: &str) -> Option<LaneKey> {
        self.queues.get(queue)?.lanes.get(kind).copied()
    }

    /// The number of lanes.
    pub(super) fn len(&self) -> usize {
        self.lanes.len() - self.free.len()
    }

    /// Returns an error if a new queue would exceed the limit.
    pub(super) fn check_queue_limit(&self, name: &str, queues_max: usize) -> Result<()> {
        if self.queues.len() < queues_max || self.queues.contains_key(name) {
            return Ok(());
        }
        let message = format!("{queues_max} queues have jobs or are paused, the limit: resume some of them");
        Err(full("QUEUES_FULL", message))
    }

    pub(super) fn insert(&mut self, queue: &QueueName, kind: &Kind) -> LaneKey {
        let queue: Arc<str> = match self.queues.get_key_value(queue.as_str()) {
            Some((name, _)) => name.clone(),
            None => queue.as_str().into(),
        };
        self.insert_lane(queue, kind.as_str().into(), 0)
    }

    /// Returns the lane of the same queue and kind for assignments above this size, and whether it is new.
    pub(super) fn oversize(&mut self, sibling: LaneKey, bytes_above: usize) -> (LaneKey, bool) {
        let Lane { queue, kind, .. } = &self[sibling];
        let (queue, kind) = (queue.clone(), kind.clone());
        let of_queue = self.queues.get(&queue);
        match of_queue.and_then(|of_queue| of_queue.oversize.get(&(kind.clone(), bytes_above))) {
            Some(key) => (*key, false),
            None => (self.insert_lane(queue, kind, bytes_above), true),
        }
    }

    /// The other lanes of the same kind and queue.
    pub(super) fn siblings(&self, key: LaneKey) -> Vec<LaneKey> {
        if self.oversize == 0 {
            return Vec::new();
        }
        let Lane { queue, kind, .. } = &self[key];
        let of_queue = self.queues.get(queue).into_iter();
        let same = of_queue.flat_map(|of_queue| {
            let oversize = of_queue.oversize.range((kind.clone(), 0)..=(kind.clone(), usize::MAX));
            of_queue.lanes.get(kind).into_iter().chain(oversize.map(|(_, key)| key))
        });
        same.copied().filter(|same| *same != key).collect()
    }

    fn insert_lane(&mut self, queue: Arc<str>, kind: Arc<str>, bytes_above: usize) -> LaneKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.lanes.push(None);
            LaneKey(self.lanes.len() as u32 - 1)
        });
        let of_queue = self.queues.entry(queue.clone()).or_default();
        match bytes_above {
            0 => of_queue.lanes.insert(kind.clone(), key),
            _ => of_queue.oversize.insert((kind.clone(), bytes_above), key),
        };
        self.oversize += usize::from(bytes_above > 0);
        let paused = of_queue.paused;
        let series = self.stats.key(&queue, &kind);
        self.lanes[key.0 as usize] = Some(Lane {
            queue,
            kind,
            bytes_above,
            ready: BTreeMap::new(),
            scheduled: List::default(),
            counts: StateCounts::default(),
            accepted: Rate::default(),
            finished: Rate::default(),
            paused,
            groups: Vec::new(),
            last_served: 0,
            rank: None,
            creator: CallerKey::EMBEDDER,
            series,
        });
        key
    }

    /// Removes the lane if it has no jobs, and its queue if it has no lanes. Returns the creator of a removed lane.
    pub(super) fn remove_if_empty(&mut self, key: LaneKey) -> Option<CallerKey> {
        if self[key].counts.total() > 0 {
            return None;
        }
        let lane = self.lanes[key.0 as usize].take()?;
        self.free.push(key);
        if let Some(queue) = self.queues.get_mut(&lane.queue) {
            match lane.bytes_above {
                0 => queue.lanes.remove(&lane.kind),
                bytes_above => queue.oversize.remove(&(lane.kind.clone(), bytes_above)),
            };
        }
        self.oversize -= usize::from(lane.bytes_above > 0);
        self.remove_queue_if_idle(&lane.queue);
        Some(lane.creator)
    }

    pub(super) fn remove_queue_if_idle(&mut self, name: &str) {
        if self.queues.get(name).is_some_and(|queue| queue.is_empty() && !queue.paused) {
            self.queues.remove(name);
        }
    }

    pub(super) fn remove_idle_queues(&mut self) {
        self.queues.retain(|_, queue| queue.paused || !queue.is_empty());
    }

    /// Pauses or resumes the queue. Creates it if it does not exist.
    pub(super) fn set_paused(&mut self, name: &str, paused: bool) {
        let queue = self.queues.entry(name.into()).or_default();
        queue.paused = paused;
        for (_, key) in queue.all() {
            if let Some(lane) = &mut self.lanes[key.0 as usize] {
                lane.paused = paused;
            }
        }
    }

    /// The number of places of lanes. Some of them are free.
    pub(super) fn places(&self) -> usize {
        self.lanes.len()
    }

    /// The lanes in a range of places.
    pub(super) fn keys_in(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = LaneKey> {
        let end = places.end.min(self.lanes.len());
        let lanes = self.lanes.get(places.start..end).unwrap_or_default();
        let live = lanes.iter().zip(places).filter(|(lane, _)| lane.is_some());
        live.map(|(_, index)| LaneKey(index as u32))
    }

    /// Counts a job that was accepted in this state.
    pub(super) fn add_accepted(&mut self, now: Now, key: LaneKey, state: JobState) {
        let lane = &mut self[key];
        lane.counts.add(state);
        lane.accepted.add(now.monotonic);
        let series = lane.series;
        self.stats.submitted(now, series, state);
    }

    /// Begins the statistics after a recovery: lanes that were removed before have no series.
    pub(super) fn begin_stats(&mut self, now: Now) {
        self.stats = Stats::default();
        for lane in self.lanes.iter_mut().flatten() {
            lane.series = self.stats.key(&lane.queue, &lane.kind);
            self.stats.add(now, lane.series, &lane.counts);
        }
    }

    /// Counts a state change. Returns the series of the job.
    pub(super) fn change_state(&mut self, now: Now, key: LaneKey, from: JobState, to: JobState) -> SeriesKey {
        let lane = &mut self[key];
        lane.counts.remove(from);
        lane.counts.add(to);
        let series = lane.series;
        self.stats.moved(now, series, from, to);
        series
    }

    /// Counts the removal of a finished job.
    pub(super) fn remove_finished(&mut self, now: Now, key: LaneKey, state: JobState) {
        self[key].counts.remove(state);
        let series = self[key].series;
        self.stats.remove(now, series, state);
    }

    pub(super) fn keys(&self) -> Vec<LaneKey> {
        let live = self.lanes.iter().enumerate().filter(|(_, lane)| lane.is_some());
        live.map(|(index, _)| LaneKey(index as u32)).collect()
    }
}

impl std::ops::Index<LaneKey> for Lanes {
    type Output = Lane;

    fn index(&self, key: LaneKey) -> &Lane {
        self.lanes[key.0 as usize].as_ref().expect("a lane exists while it has jobs")
    }
}

impl std::ops::IndexMut<LaneKey> for Lanes {
    fn index_mut(&mut self, key: LaneKey) -> &mut Lane {
        self.lanes[key.0 as usize].as_mut().expect("a lane exists while it has jobs")
    }
}

const RATE_BUCKET_SECONDS: u64 = 10;
const RATE_BUCKETS: u64 = 7;

/// A count of the last minute, in buckets of ten seconds.
#[derive(Default)]
pub(super) struct Rate {
    counts: [u32; RATE_BUCKETS as usize],
    newest: u64,
}

impl Rate {
    pub(super) fn add(&mut self, now: Duration) {
        let bucket = now.as_secs() / RATE_BUCKET_SECONDS;
        let steps = bucket.saturating_sub(self.newest).min(RATE_BUCKETS);
        for step in 1..=steps {
            self.counts[((bucket - steps + step) % RATE_BUCKETS) as usize] = 0;
        }
        self.newest = bucket;
        self.counts[(bucket % RATE_BUCKETS) as usize] += 1;
    }

    /// The rate per second over the last minute, or since the start if that is shorter.
    pub(super) fn per_second(&self, now: Duration) -> f64 {
        let bucket = now.as_secs() / RATE_BUCKET_SECONDS;
        let oldest = bucket.saturating_sub(RATE_BUCKETS - 1);
        let counted: u32 = (oldest..=self.newest).map(|b| self.counts[(b % RATE_BUCKETS) as usize]).sum();
        let span = now.as_secs_f64() - (oldest * RATE_BUCKET_SECONDS) as f64;
        f64::from(counted) / span.max(1.0)
    }
}
