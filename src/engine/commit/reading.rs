//! Loading the contents of evicted jobs from the log.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;

use super::codec;
use super::{Commit, Log, Position};
use crate::core::{Contents, LogPosition, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::job::JobId;

impl Commit {
    /// The position of the entry with this sequence.
    fn position_of(&self, sequence: u64) -> Position {
        Position((sequence + 1).saturating_sub(self.first_sequence.get()))
    }

    /// The contents of jobs, in the order of `locations`; `None` for contents that were rewritten elsewhere since.
    ///
    /// # Errors
    ///
    /// `LogFailed` if they never became durable. For one job alone, `LogDamaged`, and `LogFailed` if it cannot be read.
    pub(in crate::engine) async fn contents(
        &self,
        locations: &[LogPosition],
    ) -> Vec<Result<Option<Contents>>> {
        let last = self.position_of(locations.iter().map(LogPosition::last).max().unwrap_or_default());
        if let Err(failure) = poll_fn(|context| self.poll_durable(last, context)).await {
            return locations.iter().map(|_| Err(failure.clone())).collect();
        }
        // Bounds the memory of contents that are loaded at the same time.
        let _permit = self.loads.acquire().await;
        read_contents(&*self.log, locations).await
    }
}

/// Reads each entry once, however many jobs it holds.
async fn read_contents(log: &dyn Log, locations: &[LogPosition]) -> Vec<Result<Option<Contents>>> {
    let mut entries: BTreeMap<u64, HashMap<JobId, usize>> = BTreeMap::new();
    for (index, location) in locations.iter().enumerate() {
        for entry in location.entries() {
            entries.entry(entry).or_default().insert(location.id, index);
        }
    }
    let mut found: Vec<Result<Option<Vec<Record>>>> =
        locations.iter().map(|_| Ok(Some(Vec::new()))).collect();
    for (entry, jobs) in entries {
        match records(log, entry).await {
            Ok(Some(records)) => {
                for record in records {
                    let index = record.job().and_then(|id| jobs.get(&id));
                    if let Some(Ok(Some(of_job))) = index.map(|index| &mut found[*index]) {
                        of_job.push(record);
                    }
                }
            }
            missing => jobs.values().for_each(|index| found[*index] = missing.clone()),
        }
    }
    let contents = |(location, records): (&LogPosition, Result<Option<Vec<Record>>>)| {
        let Some(records) = records? else { return Ok(None) };
        Contents::of(location, records).map(Some).ok_or_else(|| missing(location.id))
    };
    locations.iter().zip(found).map(contents).collect()
}

async fn records(log: &dyn Log, entry: u64) -> Result<Option<Vec<Record>>> {
    let Some(bytes) = log.read(entry).await? else { return Ok(None) };
    let decoded = codec::decode(&bytes)
        .map_err(|why| Error::new(ErrorKind::Internal, format!("entry {entry} of the log: {why}")))?;
    Ok(Some(decoded.records))
}

/// The error for contents that are not where the core expects them.
pub(in crate::engine) fn missing(id: JobId) -> Error {
    Error::new(ErrorKind::Internal, format!("the contents of job {id} are not where they were written"))
}
