//! The lines of the server's log about failed attempts and ended jobs.

use std::sync::Arc;
use std::time::Duration;

use super::effects::{Effect, Effects, JobLine, JobLogLevel, LogLine};
use super::entry::Entry;
use super::history::{Detail, Transition};
use super::keys::JobKey;
use super::state::Core;
use crate::clock::Now;
use crate::job::{Failure, JobState, Outcome, Timestamp};

impl Core {
    /// Sets which lines are effects of later commands.
    pub(crate) fn set_job_log(&mut self, level: JobLogLevel) {
        self.job_log = level;
    }

    /// Logs the end of a job, before its state changes.
    pub(super) fn log_end(&self, now: Now, key: JobKey, outcome: &Outcome, effects: &mut Effects) {
        let JobLogLevel { info, debug } = self.job_log;
        let line = match outcome {
            Outcome::Result(_) if debug => LogLine::JobSucceeded(self.job_line(now, key)),
            Outcome::Cancellation(cancellation) if info => {
                LogLine::JobCancelled(self.job_line(now, key), cancellation.clone())
            }
            Outcome::Failure(failure) => LogLine::JobFailed(self.job_line(now, key), failure.clone()),
            Outcome::Result(_) | Outcome::Cancellation(_) => return,
        };
        effects.push(Effect::Log(Box::new(line)));
    }

    /// Logs a failed attempt after which the job is retried, before its state changes.
    pub(super) fn log_retry(
        &self,
        now: Now,
        key: JobKey,
        failure: &Arc<Failure>,
        pause: Duration,
        effects: &mut Effects,
    ) {
        if self.job_log.info {
            let line = LogLine::AttemptFailed(self.job_line(now, key), failure.clone(), pause);
            effects.push(Effect::Log(Box::new(line)));
        }
    }

    fn job_line(&self, now: Now, key: JobKey) -> JobLine {
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        let mut line = JobLine {
            id: entry.id,
            kind: lane.kind.clone(),
            queue: lane.queue.clone(),
            attempt: entry.attempt(),
            wait: None,
            duration: None,
            worker: None,
            trace: entry.options.as_ref().and_then(|options| options.trace.clone()),
        };
        match entry.state {
            JobState::Queued => line.wait = Some(now.wall.since(queued_since(entry, entry.sequence))),
            JobState::Running => {
                let begin = |change: &&Transition| matches!(change.detail, Detail::Worker(_));
                let Some(begun) = entry.history().iter().rfind(begin) else { return line };
                line.wait = Some(begun.time.since(queued_since(entry, begun.sequence)));
                line.duration = Some(now.wall.since(begun.time));
                if let Detail::Worker(name) = &begun.detail {
                    line.worker = Some(name.clone());
                }
            }
            _ => {}
        }
        line
    }
}

/// Since when the job was QUEUED at this sequence of its events.
fn queued_since(entry: &Entry, sequence: u32) -> Timestamp {
    let earlier = entry.history().iter().filter(|change| change.sequence <= sequence);
    let queued = earlier.rev().find(|change| change.state == JobState::Queued);
    queued.map_or(entry.create_time, |change| change.time)
}
