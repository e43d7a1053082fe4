//! Reading jobs whose contents may be in the log alone.

use super::Engine;
use super::commit::lost;
use super::outcomes::OutcomeWaiter;
use crate::core::{Contents, Core, JobKey, LogPlace};
use crate::error::Result;
use crate::job::JobId;

/// The contents of a job, and where they were.
pub(super) type Found = (LogPlace, Contents);

impl Engine {
    /// Has a job read, with its contents.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`; `LogDamaged`, and `LogFailed` if the contents cannot be read or something of the job
    /// was lost.
    pub(super) async fn look<T>(
        &self,
        id: JobId,
        read: impl Fn(&Core, JobKey, Option<&Contents>) -> T,
    ) -> Result<T> {
        let mut found: Option<Found> = None;
        loop {
            {
                let core = &self.0.state.lock().core;
                let key = self.find(core, id)?;
                if core.place(key).is_none() {
                    return Ok(read(core, key, None));
                }
                if let Some((place, contents)) = &found
                    && core.job_at(place) == Some(key)
                {
                    return Ok(read(core, key, Some(contents)));
                }
            }
            found = self.cold_contents(id).await?;
        }
    }

    /// The contents of a job, and where they were; nothing if they are in memory.
    pub(super) async fn cold_contents(&self, id: JobId) -> Result<Option<Found>> {
        let mut gone_from = None;
        loop {
            let place = {
                let core = &self.0.state.lock().core;
                core.place(self.find(core, id)?)
            };
            let Some(place) = place else { return Ok(None) };
            // What is gone from there was written again, so it has another place.
            if gone_from == Some(place) {
                return Err(lost(id));
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

    /// Tells the outcomes of jobs that ended long ago, once they are read.
    pub(super) fn tell_cold(&self, jobs: Vec<(LogPlace, OutcomeWaiter)>) {
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
                        engine
                            .look(place.id, |core, key, contents| core.outcome(key, contents).cloned())
                            .await
                    }
                    (Some(error), _) => Err(error.clone()),
                };
                waiter.tell_read(outcome.and_then(|outcome| outcome.ok_or_else(|| lost(place.id))));
            }
        });
    }
}
