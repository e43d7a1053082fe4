//! Statistics: totals since the start, and the counts of the last 24 hours.

use super::Engine;
use crate::access::Principal;
use crate::error::Result;
use crate::job::{SeriesTotals, StatsFilter, StatsPoint};

/// Series that are read under one hold of the lock.
const SERIES_BATCH: usize = 16;

impl Engine {
    /// The totals of every pair of queue and kind since the start. Pairs beyond 200 are counted as one whose queue and kind
    /// is `_other`. The totals also count commands that are not durable yet, and do not wait for the log.
    pub fn totals(&self) -> Vec<SeriesTotals> {
        let mut totals = Vec::new();
        loop {
            let more = self.0.state.lock().core.totals(totals.len(), SERIES_BATCH);
            let is_last = more.len() < SERIES_BATCH;
            totals.extend(more);
            if is_last {
                return totals;
            }
        }
    }

    /// The counts of the window by step, oldest first; the last step has not ended. They are 0 for the time before the start.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub async fn stats(&self, filter: &StatsFilter) -> Result<Vec<StatsPoint>> {
        self.stats_for(None, filter).await
    }

    /// As [`Engine::stats`], of the queues and kinds whose jobs this principal may list; of all without a principal.
    pub(crate) async fn stats_for(
        &self,
        principal: Option<&Principal>,
        filter: &StatsFilter,
    ) -> Result<Vec<StatsPoint>> {
        self.check_log()?;
        let (now, mut points) = {
            let state = self.0.state.lock();
            let now = self.now();
            (now, state.core.stats_points(now, &filter.window))
        };
        for from in (0..).step_by(SERIES_BATCH) {
            let mut state = self.0.state.lock();
            if !state.core.add_stats(now, filter, principal, (from, SERIES_BATCH), &mut points) {
                break;
            }
        }
        // After everything that was read.
        self.durable().await?;
        Ok(points)
    }
}
