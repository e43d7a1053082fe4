//! Loading the contents of evicted jobs from the log.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::num::NonZeroU64;

use super::codec;
use super::{Commit, Log, Position, failed};
use crate::core::{Contents, Core, LogPlace, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::job::JobId;

impl Commit {
    /// Passes the core the sequence of the next entry and, if a command took several entries, the sequence of each record. `queued`
    /// entries were queued before.
    pub(super) fn tell_where<'a>(
        &self,
        core: &mut Core,
        queued: u64,
        entries: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        let sequence = |index: usize| self.sequence(queued + index as u64);
        core.write_to(sequence(entries.len()));
        if entries.len() < 2 {
            return;
        }
        for (index, entry) in entries.enumerate() {
            let written = codec::decode(entry).expect("what was encoded can be decoded");
            core.were_written(&written.records, sequence(index));
        }
    }

    /// The sequence of the entry behind the first `queued`.
    pub(super) fn sequence(&self, queued: u64) -> NonZeroU64 {
        self.first_sequence.saturating_add(queued)
    }

    /// The position of the entry with this sequence.
    fn position_of(&self, sequence: u64) -> Position {
        Position((sequence + 1).saturating_sub(self.first_sequence.get()))
    }

    /// The contents of jobs, in the order of `places`; `None` for contents that were rewritten elsewhere since.
    ///
    /// # Errors
    ///
    /// `LogFailed` if they never became durable. For one job alone, `LogDamaged`, and `LogFailed` if it cannot be read.
    pub(in crate::engine) async fn contents(
        &self,
        places: Vec<LogPlace>,
    ) -> Result<Vec<Result<Option<Contents>>>> {
        let newest = self.position_of(places.iter().map(LogPlace::last).max().unwrap_or_default());
        poll_fn(|context| self.poll_durable(newest, context)).await?;
        // Until the caller goes on: contents that were read are held as long as it does not.
        let _load = self.loads.acquire().await.map_err(|_| failed())?;
        Ok(read_back(&*self.log, &places).await)
    }
}

/// Reads each entry once, however many jobs it holds.
async fn read_back(log: &dyn Log, places: &[LogPlace]) -> Vec<Result<Option<Contents>>> {
    let mut entries: BTreeMap<u64, HashMap<JobId, usize>> = BTreeMap::new();
    for (index, place) in places.iter().enumerate() {
        for entry in place.entries() {
            entries.entry(entry).or_default().insert(place.id, index);
        }
    }
    let mut found: Vec<Result<Option<Vec<Record>>>> = places.iter().map(|_| Ok(Some(Vec::new()))).collect();
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
    places.iter().zip(found).map(|(place, records)| contents(place, records?)).collect()
}

async fn records(log: &dyn Log, entry: u64) -> Result<Option<Vec<Record>>> {
    let Some(bytes) = log.read(entry).await? else { return Ok(None) };
    let decoded = codec::decode(&bytes)
        .map_err(|why| Error::new(ErrorKind::Internal, format!("entry {entry} of the log: {why}")))?;
    Ok(Some(decoded.records))
}

fn contents(place: &LogPlace, records: Option<Vec<Record>>) -> Result<Option<Contents>> {
    let Some(records) = records else { return Ok(None) };
    match Contents::of(place, records) {
        Some(contents) => Ok(Some(contents)),
        None => Err(missing(place.id)),
    }
}

/// The error for contents that are not where the core expects them.
pub(in crate::engine) fn missing(id: JobId) -> Error {
    Error::new(ErrorKind::Internal, format!("the contents of job {id} are not where they were written"))
}
