//! What metrics read: counts of lanes, sessions and finished jobs. Each call takes a bounded time.

use std::sync::Arc;
use std::time::Duration;

use super::finished::RemovedCounts;
use super::keys::{LaneKey, SessionKey};
use super::record::Link;
use super::sessions::Session;
use super::state::Core;
use super::stats::Stats;
use crate::clock::Now;
use crate::job::{JobState, StateCounts};

/// The jobs of one lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneGauge {
    pub(crate) queue: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) counts: StateCounts,
    /// How long the oldest queued job waits; zero if none does.
    pub(crate) oldest: Duration,
    pub(crate) is_paused: bool,
    /// Queued jobs that no connected worker serves.
    pub(crate) unserved: u32,
    /// Whether its queue and kind have no series of their own.
    pub(crate) is_folded: bool,
}

/// The connected workers of one pool and library.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WorkersGauge {
    /// Whether they are the server's own.
    pub(crate) is_local: bool,
    /// The name of the library: `python`. The server's own workers have that of Rust.
    pub(crate) sdk: &'static str,
    pub(crate) workers: u32,
    pub(crate) slots: u64,
    pub(crate) slots_used: u64,
    /// The longest time without a message.
    pub(crate) lag: Duration,
}

/// Finished jobs that are retained, and those that were removed since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FinishedGauge {
    pub(crate) jobs: u32,
    pub(crate) bytes: u64,
    pub(crate) removed: RemovedCounts,
}

/// The libraries whose names are known. Others are `other`.
const SDKS: [&str; 6] = ["go", "java", "jobstream", "python", "rust", "typescript"];

impl Core {
    /// The lanes in `limit` slots of the table from slot `from` on, and the next slot if there may be more lanes.
    pub(crate) fn lane_gauges(&self, now: Now, from: usize, limit: usize) -> (Vec<LaneGauge>, Option<usize>) {
        let keys = self.lanes.keys_in(from..from + limit);
        let gauges = keys.map(|key| self.lane_gauge(now, key)).collect();
        let next = from + limit;
        (gauges, (next < self.lanes.places()).then_some(next))
    }

    fn lane_gauge(&self, now: Now, key: LaneKey) -> LaneGauge {
        let lane = &self.lanes[key];
        let is_unserved =
            lane.groups.is_empty() && (lane.bytes_above == 0 || !self.sessions.any_matches(lane));
        LaneGauge {
            queue: lane.queue.clone(),
            kind: lane.kind.clone(),
            counts: lane.counts,
            oldest: lane.firsts().map(|job| self.queued_age(now, job)).max().unwrap_or_default(),
            is_paused: lane.paused,
            unserved: if is_unserved { lane.counts.get(JobState::Queued) } else { 0 },
            is_folded: Stats::is_other(lane.series),
        }
    }

    /// The names of at most `limit` paused queues after this one, in order.
    pub(crate) fn paused_queues(&self, after: &str, limit: usize) -> (Vec<Arc<str>>, Option<Arc<str>>) {
        use std::ops::Bound::{Excluded, Unbounded};
        let following = self.lanes.queues.range::<str, _>((Excluded(after), Unbounded));
        let (mut paused, mut last) = (Vec::new(), None);
        for (scanned, (name, queue)) in following.enumerate() {
            if scanned == limit {
                return (paused, last);
            }
            last = Some(name.clone());
            paused.extend(queue.paused.then(|| name.clone()));
        }
        (paused, None)
    }

    /// The connected workers, by pool and library. Slots of sessions without a limit of their own do not count.
    pub(crate) fn worker_gauges(
        &self,
        now: Now,
        has_limit: impl Fn(SessionKey) -> bool,
    ) -> Vec<WorkersGauge> {
        let mut gauges: Vec<WorkersGauge> = Vec::new();
        for (key, session) in self.sessions.sessions.iter().filter(|(_, session)| session.connected) {
            let (is_local, sdk) = (session.link == Link::Pool, sdk_of(session));
            let found = gauges.iter().position(|gauge| gauge.is_local == is_local && gauge.sdk == sdk);
            let index = found.unwrap_or_else(|| {
                gauges.push(WorkersGauge { is_local, sdk, ..WorkersGauge::default() });
                gauges.len() - 1
            });
            let gauge = &mut gauges[index];
            gauge.workers += 1;
            if has_limit(*key) {
                gauge.slots += u64::from(session.slots);
                gauge.slots_used += u64::from(session.taken);
            }
            if let Link::Stream(_) = session.link {
                gauge.lag = gauge.lag.max(now.monotonic.saturating_sub(session.last_seen));
            }
        }
        gauges
    }

    /// The finished jobs.
    pub(crate) fn finished_gauge(&self) -> FinishedGauge {
        FinishedGauge {
            jobs: self.table.len() - self.live_jobs,
            bytes: self.finished.bytes,
            removed: self.finished.removed,
        }
    }
}

/// The library of a worker, from its field `sdk`: `python` of `python/0.1.0`.
fn sdk_of(session: &Session) -> &'static str {
    match session.link {
        Link::Pool => "rust",
        _ => {
            let name = session.peer.sdk.split(['/', ' ', '-']).next().unwrap_or_default();
            SDKS.into_iter().find(|sdk| *sdk == name).unwrap_or("other")
        }
    }
}
