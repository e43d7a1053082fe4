//! Reading jobs whose contents may be in the log alone.

use super::commit::missing;
use super::outcomes::OutcomeWaiter;
use super::{Engine, Pending, Position};
use crate::core::{Contents, Core, JobKey, LogPlace};
use crate::error::Result;
use crate::job::JobId;

/// The contents of a job, and where they were.
pub(super) type Found = (LogPlace, Contents);

/// What one look at a job found.
enum Read<T> {
    Resident(T),
    /// With contents that were loaded before.
    Loaded(T),
    /// Its contents have to be loaded.
    Evicted,
}

impl Engine {
    /// Reads a job with its contents, and answers once all that it shows is durable.
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
            let seen = self.look(|state, _| {
                let core = &state.core;
                let key = core.find(id)?;
                if core.place(key).is_none() {
                    return Ok(Read::Resident(read(core, key, None)));
                }
                // Loaded contents are durable, and a job that has them never changes again.
                Ok(match &found {
                    Some((place, contents)) if core.job_at(place) == Some(key) => {
                        Read::Loaded(read(core, key, Some(contents)))
                    }
                    _ => Read::Evicted,
                })
            })?;
            let value = match seen.value {
                Ok(Read::Loaded(answer)) => return Ok(answer),
                Ok(Read::Evicted) => {
                    found = self.load(id).await?;
                    continue;
                }
                Ok(Read::Resident(answer)) => Ok(answer),
                Err(error) => Err(error),
            };
            return self.release(Pending { value, position: seen.position }).await;
        }
    }

    /// The contents of an evicted job, and where they were; nothing if they are in memory.
    pub(super) async fn load(&self, id: JobId) -> Result<Option<Found>> {
        let mut gone_from = None;
        loop {
            let place = {
                let core = &self.0.state.lock().core;
                core.place(core.find(id)?)
            };
            let Some(place) = place else { return Ok(None) };
            // Contents that are gone from there were moved, so they have another place.
            if gone_from == Some(place) {
                return Err(missing(id));
            }
            match self.contents(vec![place]).await?.pop().unwrap_or(Ok(None))? {
                Some(contents) => return Ok(Some((place, contents))),
                None => gone_from = Some(place),
            }
        }
    }

    /// The contents of jobs, each where its place is in `places`.
    pub(super) async fn contents(&self, places: Vec<LogPlace>) -> Result<Vec<Result<Option<Contents>>>> {
        match &self.0.commit {
            Some(commit) if !places.is_empty() => commit.contents(places).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Loads the evicted outcomes of jobs for the streams that wait for them, behind `position`.
    pub(super) fn load_outcomes(&self, jobs: Vec<(LogPlace, OutcomeWaiter)>, position: Position) {
        if jobs.is_empty() {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            let read = engine.contents(jobs.iter().map(|(place, _)| *place).collect()).await;
            let (mut read, failure) = match read {
                Ok(read) => (read.into_iter(), None),
                Err(error) => (Vec::new().into_iter(), Some(error)),
            };
            for (place, waiter) in jobs {
                let outcome = match (&failure, read.next()) {
                    (None, Some(Ok(Some(contents)))) => Ok(Some(contents.into_outcome())),
                    (None, Some(Err(error))) => Err(error),
                    (None, Some(Ok(None)) | None) => {
                        let outcome = |core: &Core, key, contents: Option<&Contents>| {
                            core.outcome(key, contents).cloned()
                        };
                        engine.read_job(place.id, outcome).await
                    }
                    (Some(error), _) => Err(error.clone()),
                };
                let outcome = outcome.and_then(|outcome| outcome.ok_or_else(|| missing(place.id)));
                waiter.end_loaded(outcome, position);
            }
        });
    }
}
