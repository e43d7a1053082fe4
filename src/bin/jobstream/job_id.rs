//! Ids of jobs as they are typed: whole, or their last characters.

use std::collections::BTreeMap;
use std::str::FromStr;

use jobstream::job::JobId;
use jobstream::proto::v1::ListJobsRequest;
use tokio_stream::StreamExt;

use crate::connect::{Client, PAGE_JOBS_MAX};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::narrowed::{self, List};
use crate::units;

/// Fewest characters of the end of an id. Their 32 bits are random in an id that jobstream made.
const END_CHARS_MIN: usize = 8;
/// Characters of a whole id.
const ID_CHARS: usize = 36;
/// Characters of a whole id without its hyphens.
const HEX_CHARS: usize = 32;
/// Most jobs in which ends are searched.
const SEARCHED_JOBS_MAX: usize = 50_000;
/// Most jobs of an ambiguous end in an error.
const AMBIGUOUS_SHOWN_MAX: usize = 5;

/// The id of a job as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IdArg {
    /// A UUID.
    Whole(JobId),
    /// The last characters of one, in lower case.
    End(String),
}

impl FromStr for IdArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_end = text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        match text.len() {
            HEX_CHARS => units::job_id(text).map(Self::Whole),
            END_CHARS_MIN..ID_CHARS if is_end => Ok(Self::End(text.to_lowercase())),
            1..END_CHARS_MIN if is_end => Err(format!(
                "{text:?} has {} characters: give the UUID or at least its last {END_CHARS_MIN} characters",
                text.len()
            )),
            _ => units::job_id(text).map(Self::Whole),
        }
    }
}

/// The jobs with these ids, in this order. Ends are searched in the newest jobs of the server.
///
/// # Errors
///
/// If no job, or more than one, has an id with such an end.
pub(crate) async fn resolve(client: &Client, ids: &[IdArg]) -> Result<Vec<JobId>> {
    let mut ends: BTreeMap<&str, Vec<JobId>> = BTreeMap::new();
    for id in ids {
        if let IdArg::End(end) = id {
            ends.insert(end, Vec::new());
        }
    }
    let is_complete = ends.is_empty() || search(client, &mut ends).await?;
    let narrowed = match ends.values().any(Vec::is_empty) {
        true => narrowed::reason(&client.api, &[List::Jobs]).await,
        false => None,
    };
    let mut resolved = Vec::with_capacity(ids.len());
    for id in ids {
        resolved.push(match id {
            IdArg::Whole(id) => *id,
            IdArg::End(end) => only(end, &ends[end.as_str()], is_complete)
                .map_err(|error| narrowed.iter().fold(error, |error, reason| error.detail(reason)))?,
        });
    }
    Ok(resolved)
}

/// The job with this id.
///
/// # Errors
///
/// As [`resolve`].
pub(crate) async fn resolve_one(client: &Client, id: &IdArg) -> Result<JobId> {
    let resolved = resolve(client, std::slice::from_ref(id)).await?;
    Ok(resolved[0])
}

/// Adds the jobs with each end. Returns whether every job of the server was searched.
async fn search(client: &Client, ends: &mut BTreeMap<&str, Vec<JobId>>) -> Result<bool> {
    let request = ListJobsRequest { page_size: PAGE_JOBS_MAX, ..ListJobsRequest::default() };
    let mut jobs = client.api.rpc().jobs(request);
    for _ in 0..SEARCHED_JOBS_MAX {
        let Some(job) = client.call(jobs.try_next()).await? else { return Ok(true) };
        for (_, found) in ends.iter_mut().filter(|(end, _)| job.job_id.ends_with(**end)) {
            found.push(of_server(&job.job_id)?);
        }
    }
    Ok(false)
}

/// An id that the server sent.
pub(crate) fn of_server(id: &str) -> Result<JobId> {
    let invalid = |error| Error::new(Exit::Other, format!("the server sent an invalid id: {error}"));
    JobId::parse("job_id", id).map_err(invalid)
}

fn only(end: &str, found: &[JobId], is_complete: bool) -> Result<JobId> {
    match found {
        [id] => Ok(*id),
        [] if is_complete => {
            Err(Error::new(Exit::NotFound, format!("no job has an id that ends with {end}"))
                .hint("`jobstream jobs ls` lists the jobs"))
        }
        [] => Err(Error::new(
            Exit::NotFound,
            format!(
                "none of the newest {SEARCHED_JOBS_MAX} jobs has an id that ends with {end}: the server has more"
            ),
        )
        .hint("give the whole id")),
        several => {
            let count = several.len();
            let error = Error::usage(format!("{count} jobs have an id that ends with {end}"));
            let shown = several.iter().take(AMBIGUOUS_SHOWN_MAX);
            let error = shown.fold(error, |error, id| error.detail(id.to_string()));
            Err(error.hint("give more characters, or the whole id"))
        }
    }
}

/// Fewest last characters, at least 8, that distinguish these ids.
pub(crate) fn distinct_end_chars<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    let ids: Vec<_> = ids.collect();
    let is_distinct = |chars: &usize| {
        let mut ends: Vec<_> = ids.iter().map(|id| end(id, *chars)).collect();
        ends.sort_unstable();
        ends.windows(2).all(|pair| pair[0] != pair[1])
    };
    (END_CHARS_MIN..ID_CHARS).find(is_distinct).unwrap_or(ID_CHARS)
}

/// The last characters of an id.
pub(crate) fn end(id: &str, chars: usize) -> &str {
    let start = id.len().saturating_sub(chars);
    id.get(start..).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "01890000-0000-7000-8000-00000000000a";
    const SECOND: &str = "01890000-0000-7000-9000-00000000000a";

    #[test]
    fn an_id_is_whole_or_its_last_characters() {
        let id = JobId::parse("id", FIRST).expect("an id");
        assert_eq!(FIRST.parse(), Ok(IdArg::Whole(id)));
        assert_eq!("0000000A".parse(), Ok(IdArg::End("0000000a".to_owned())));
        assert!("000000a".parse::<IdArg>().expect_err("short").contains("\"000000a\" has 7 characters"));
        for text in ["", "failed--", "0000000g", "x"] {
            assert!(text.parse::<IdArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_or_ambiguous_end_is_an_error() {
        let ids = [FIRST, SECOND].map(|id| JobId::parse("id", id).expect("an id"));
        assert_eq!(only("a", &ids[..1], false).expect("one"), ids[0]);
        let error = only("0000000a", &ids, true).expect_err("two");
        assert_eq!((error.exit, error.details), (Exit::Usage, vec![FIRST.to_owned(), SECOND.to_owned()]));
        assert_eq!(only("0000000b", &[], true).expect_err("none").exit, Exit::NotFound);
        assert!(only("0000000b", &[], false).expect_err("none").message.contains("newest 50000 jobs"));
    }

    #[test]
    fn shown_ends_are_as_long_as_needed() {
        assert_eq!(distinct_end_chars([FIRST].into_iter()), 8);
        assert_eq!(distinct_end_chars([FIRST, SECOND].into_iter()), 17);
        assert_eq!(distinct_end_chars([FIRST, FIRST].into_iter()), 36);
        assert_eq!(end(FIRST, 8), "0000000a");
    }
}
