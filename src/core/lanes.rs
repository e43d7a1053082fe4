//! Queues and lanes: where jobs wait, in which order, and how many there are.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::callers::CallerKey;
use super::keys::{GroupKey, JobKey, LaneKey};
use super::list::List;
use super::refusals::full;
use super::table::Table;
use crate::error::Result;
use crate::job::{Kind, QueueName, StateCounts};

/// Where jobs of one kind wait in one queue.
pub(super) struct Lane {
    pub(super) queue: Arc<str>,
    pub(super) kind: Arc<str>,
    /// Each of its jobs has an assignment of more bytes: 0, or the limit of the workers for which they were set aside.
    pub(super) floor: usize,
    /// Ready jobs by priority, largest first; no list is empty.
    pub(super) ready: Vec<(i8, List)>,
    /// Jobs that are not due yet.
    pub(super) scheduled: List,
    pub(super) counts: StateCounts,
    pub(super) accepted: Rate,
    pub(super) finished: Rate,
    /// As its queue is: looked at for every job, so it stands here too.
    pub(super) paused: bool,
    /// Groups of sessions that serve the lane.
    pub(super) groups: Vec<GroupKey>,
    /// When the lane was served last; the lane served longest ago comes first among equals.
    pub(super) served: u64,
    /// Under which key the lane stands in the ready sets of its groups, if it does.
    pub(super) standing: Option<Rank>,
    /// Whose job was the first of the lane.
    pub(super) opener: CallerKey,
}

/// The order in which a group's free slots serve ready lanes: priority, then the lane served longest ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Negated, so that the largest priority comes first.
    pub(super) negated_priority: i16,
    pub(super) served: u64,
    /// Lanes of the same kind and queue are served together. What was set aside in one of them is older than the rest.
    pub(super) negated_floor: Reverse<usize>,
    pub(super) lane: LaneKey,
}

impl Lane {
    pub(super) fn push_back(&mut self, table: &mut Table, key: JobKey) {
        self.list(table[key].priority).push_back(table, key);
    }

    pub(super) fn push_front(&mut self, table: &mut Table, key: JobKey) {
        self.list(table[key].priority).push_front(table, key);
    }

    pub(super) fn remove(&mut self, table: &mut Table, key: JobKey) {
        let priority = table[key].priority;
        let Ok(at) = self.position(priority) else { return };
        self.ready[at].1.remove(table, key);
        if self.ready[at].1.is_empty() {
            self.ready.remove(at);
        }
    }

    /// The job to start next, and its priority.
    pub(super) fn first(&self) -> Option<(i8, JobKey)> {
        self.ready.first().and_then(|(priority, list)| Some((*priority, list.first()?)))
    }

    /// The first job of each priority.
    pub(super) fn firsts(&self) -> impl Iterator<Item = JobKey> + '_ {
        self.ready.iter().filter_map(|(_, list)| list.first())
    }

    fn list(&mut self, priority: i8) -> &mut List {
        let at = self.position(priority).unwrap_or_else(|at| {
            self.ready.insert(at, (priority, List::default()));
            at
        });
        &mut self.ready[at].1
    }

    fn position(&self, priority: i8) -> Result<usize, usize> {
        self.ready.binary_search_by(|(other, _)| priority.cmp(other))
    }
}

/// What belongs to a queue as a whole.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) paused: bool,
    /// By kind.
    pub(super) lanes: HashMap<Arc<str>, LaneKey>,
    /// Lanes of jobs that are too large for some workers, by kind and floor.
    pub(super) oversize: BTreeMap<(Arc<str>, usize), LaneKey>,
}

impl Queue {
    /// All lanes with their kinds, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<str>, LaneKey)> {
        let oversize = self.oversize.iter().map(|((kind, _), lane)| (kind, *lane));
        self.lanes.iter().map(|(kind, lane)| (kind, *lane)).chain(oversize)
    }

    fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.oversize.is_empty()
    }
}

/// All queues and lanes. A lane exists while it holds jobs; a queue while it has lanes or is paused.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) queues: BTreeMap<Arc<str>, Queue>,
    lanes: Vec<Option<Lane>>,
    free: Vec<LaneKey>,
    /// How many of them have a floor.
    oversize: usize,
}

impl Lanes {
    pub(super) fn find(&self, queue: &str, kind: &str) -> Option<LaneKey> {
        self.queues.get(queue)?.lanes.get(kind).copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lanes.len() - self.free.len()
    }

    /// Refuses a queue, to be paused before it has jobs, beyond the most there may be.
    pub(super) fn check_queue_room(&self, name: &str, queues_max: usize) -> Result<()> {
        if self.queues.len() < queues_max || self.queues.contains_key(name) {
            return Ok(());
        }
        let message = format!("{queues_max} queues hold jobs or are paused, the limit: resume some of them");
        Err(full("QUEUES_FULL", message))
    }

    pub(super) fn insert(&mut self, queue: &QueueName, kind: &Kind) -> LaneKey {
        let queue: Arc<str> = match self.queues.get_key_value(queue.as_str()) {
            Some((name, _)) => name.clone(),
            None => queue.as_str().into(),
        };
        self.insert_with_floor(queue, kind.as_str().into(), 0)
    }

    /// The lane beside this one for jobs whose assignments have more bytes than `floor`, and whether it is new.
    pub(super) fn oversize(&mut self, beside: LaneKey, floor: usize) -> (LaneKey, bool) {
        let Lane { queue, kind, .. } = &self[beside];
        let (queue, kind) = (queue.clone(), kind.clone());
        let of_queue = self.queues.get(&queue);
        match of_queue.and_then(|of_queue| of_queue.oversize.get(&(kind.clone(), floor))) {
            Some(key) => (*key, false),
            None => (self.insert_with_floor(queue, kind, floor), true),
        }
    }

    /// Every lane of this one's kind and queue but itself: nearly always none.
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

    fn insert_with_floor(&mut self, queue: Arc<str>, kind: Arc<str>, floor: usize) -> LaneKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.lanes.push(None);
            LaneKey(self.lanes.len() as u32 - 1)
        });
        let of_queue = self.queues.entry(queue.clone()).or_default();
        match floor {
            0 => of_queue.lanes.insert(kind.clone(), key),
            _ => of_queue.oversize.insert((kind.clone(), floor), key),
        };
        self.oversize += usize::from(floor > 0);
        let paused = of_queue.paused;
        self.lanes[key.0 as usize] = Some(Lane {
            queue,
            kind,
            floor,
            ready: Vec::new(),
            scheduled: List::default(),
            counts: StateCounts::default(),
            accepted: Rate::default(),
            finished: Rate::default(),
            paused,
            groups: Vec::new(),
            served: 0,
            standing: None,
            opener: CallerKey::default(),
        });
        key
    }

    /// Removes the lane if it holds no jobs, and its queue if nothing is left of that. Answers whose job was its first.
    pub(super) fn remove_if_empty(&mut self, key: LaneKey) -> Option<CallerKey> {
        if self[key].counts.total() > 0 {
            return None;
        }
        let lane = self.lanes[key.0 as usize].take()?;
        self.free.push(key);
        if let Some(queue) = self.queues.get_mut(&lane.queue) {
            match lane.floor {
                0 => queue.lanes.remove(&lane.kind),
                floor => queue.oversize.remove(&(lane.kind.clone(), floor)),
            };
        }
        self.oversize -= usize::from(lane.floor > 0);
        self.remove_queue_if_idle(&lane.queue);
        Some(lane.opener)
    }

    pub(super) fn remove_queue_if_idle(&mut self, name: &str) {
        if self.queues.get(name).is_some_and(|queue| queue.is_empty() && !queue.paused) {
            self.queues.remove(name);
        }
    }

    pub(super) fn remove_idle_queues(&mut self) {
        self.queues.retain(|_, queue| queue.paused || !queue.is_empty());
    }

    /// Pauses or resumes the queue, which is made if it does not exist.
    pub(super) fn set_paused(&mut self, name: &str, paused: bool) {
        let queue = self.queues.entry(name.into()).or_default();
        queue.paused = paused;
        for (_, key) in queue.all() {
            if let Some(lane) = &mut self.lanes[key.0 as usize] {
                lane.paused = paused;
            }
        }
    }

    pub(super) fn keys(&self) -> Vec<LaneKey> {
        let live = self.lanes.iter().enumerate().filter(|(_, lane)| lane.is_some());
        live.map(|(index, _)| LaneKey(index as u32)).collect()
    }
}

impl std::ops::Index<LaneKey> for Lanes {
    type Output = Lane;

    fn index(&self, key: LaneKey) -> &Lane {
        self.lanes[key.0 as usize].as_ref().expect("a lane exists while it holds jobs")
    }
}

impl std::ops::IndexMut<LaneKey> for Lanes {
    fn index_mut(&mut self, key: LaneKey) -> &mut Lane {
        self.lanes[key.0 as usize].as_mut().expect("a lane exists while it holds jobs")
    }
}

const RATE_BUCKET_SECONDS: u64 = 10;
const RATE_BUCKETS: u64 = 7;

/// Counts of the last minute in buckets of ten seconds.
#[derive(Default)]
pub(super) struct Rate {
    counts: [u32; RATE_BUCKETS as usize],
    newest: u64,
}

impl Rate {
    pub(super) fn add(&mut self, now: Duration) {
        let bucket = now.as_secs() / RATE_BUCKET_SECONDS;
        let passed = bucket.saturating_sub(self.newest).min(RATE_BUCKETS);
        for step in 1..=passed {
            self.counts[((bucket - passed + step) % RATE_BUCKETS) as usize] = 0;
        }
        self.newest = bucket;
        self.counts[(bucket % RATE_BUCKETS) as usize] += 1;
    }

    /// Events a second over the last minute, or over the time since the start if that is shorter.
    pub(super) fn per_second(&self, now: Duration) -> f64 {
        let bucket = now.as_secs() / RATE_BUCKET_SECONDS;
        let oldest = bucket.saturating_sub(RATE_BUCKETS - 1);
        let counted: u32 = (oldest..=self.newest).map(|b| self.counts[(b % RATE_BUCKETS) as usize]).sum();
        let span = now.as_secs_f64() - (oldest * RATE_BUCKET_SECONDS) as f64;
        f64::from(counted) / span.max(1.0)
    }
}
