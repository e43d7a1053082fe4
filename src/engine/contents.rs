//! Reading jobs whose contents may be evicted to the log.

use super::commit::missing;
use super::outcomes::OutcomeWaiter;
use super::{Engine, Pending, Position};
use crate::core::{Contents, Core, JobKey, LogPosition};
use crate::error::Result;
use crate::job::JobId;

/// The contents of a job, and their location.
pub(super) type Found = (LogPosition, Contents);

impl Engine {
    /// Reads a job with its contents, and returns once everything that was read is durable.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`; `LogDamaged` and `LogFailed` if the contents cannot be loaded.
    pub(super) async fn read_job<T>(
        &self,
        id: JobId,
        read: impl Fn(&Core, JobKey, Option<&Contents>) -> T,
    ) -> Result<T> {
        let mut found: Option<Found> = None;
        loop {
            let Pending { value, position } = self.read_now(|state, _| {
                let core = &state.core;
                let key = core.find(id)?;
                let contents = match &found {
                    _ if core.log_position(key).is_none() => None,
                    Some((location, contents)) if core.job_at(location) == Some(key) => Some(contents),
                    _ => return Ok(None),
                };
                Ok(Some((read(core, key, contents), contents.is_some())))
            })?;
            let value = match value {
                Ok(None) => {
                    found = self.load(id).await?;
                    continue;
                }
                // Loaded contents are durable, and an evicted job never changes again.
                Ok(Some((value, true))) => return Ok(value),
                Ok(Some((value, false))) => Ok(value),
                Err(error) => Err(error),
            };
            return self.release(Pending { value, position }).await;
        }
    }

    /// Loads the contents of an evicted job. Returns them with their location; `None` if they are in memory.
    pub(super) async fn load(&self, id: JobId) -> Result<Option<Found>> {
        let mut moved_from = None;
        loop {
            let location = {
                let core = &self.0.state.lock().core;
                core.log_position(core.find(id)?)
            };
            let Some(location) = location else { return Ok(None) };
            // Contents that are no longer at a location have another one.
            if moved_from == Some(location) {
                return Err(missing(id));
            }
            match self.contents(&[location]).await.pop().unwrap_or(Ok(None))? {
                Some(contents) => return Ok(Some((location, contents))),
                None => moved_from = Some(location),
            }
        }
    }

    /// The contents of jobs, in the order of `locations`; `None` for contents that were rewritten elsewhere since.
    pub(super) async fn contents(&self, locations: &[LogPosition]) -> Vec<Result<Option<Contents>>> {
        match &self.0.commit {
            Some(commit) if !locations.is_empty() => commit.contents(locations).await,
            _ => Vec::new(),
        }
    }

    /// Loads the evicted outcomes of jobs for the streams that wait for them. `position` is that of the
    /// streams' acknowledgements.
    pub(super) fn load_outcomes(&self, jobs: Vec<(LogPosition, OutcomeWaiter)>, position: Position) {
        if jobs.is_empty() {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            let locations: Vec<_> = jobs.iter().map(|(location, _)| *location).collect();
            let contents = engine.contents(&locations).await;
            for ((location, waiter), contents) in jobs.into_iter().zip(contents) {
                let outcome = match contents {
                    Ok(Some(contents)) => Ok(Some(contents.into_outcome())),
                    Ok(None) => {
                        let outcome = |core: &Core, key, contents: Option<&Contents>| {
                            core.outcome(key, contents).cloned()
                        };
                        engine.read_job(location.id, outcome).await
                    }
                    Err(error) => Err(error),
                };
                let outcome = outcome.and_then(|outcome| outcome.ok_or_else(|| missing(location.id)));
                waiter.end_loaded(outcome, position);
            }
        });
    }
}
