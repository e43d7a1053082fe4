//! Listings: the jobs that match a filter, fetched page by page.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_stream::Stream;

use super::error::Result;
use super::{Client, status};
use crate::job::{JobFilter, JobState, JobView, Kind, QueueName, StateSet};
use crate::proto::{read, render, v1};

/// Jobs fetched in one call.
const PAGE_JOBS: u32 = 200;

/// The jobs that match a filter, newest first: [`Client::list`] reads them, [`Rpc::jobs`](super::Rpc::jobs) has generated
/// messages. Pages are fetched as the jobs are read. Ends after the last job, or after an error.
#[must_use = "a listing fetches nothing until it is read"]
pub struct Jobs<T = JobView>(Pin<Box<dyn Stream<Item = Result<T>> + Send>>);

impl Jobs {
    pub(super) fn new(client: Client, filter: &JobFilter) -> Self {
        let matches_any = filter.states != StateSet::NONE;
        Self::paged(client, matches_any.then(|| request(filter)), read::job)
    }
}

impl Jobs<v1::Job> {
    pub(super) fn messages(client: Client, request: v1::ListJobsRequest) -> Self {
        Self::paged(client, Some(request), Some)
    }
}

impl<T: Send + 'static> Jobs<T> {
    fn paged(client: Client, first: Option<v1::ListJobsRequest>, read: fn(v1::Job) -> Option<T>) -> Self {
        let pages = stream::try_unfold(first, move |request| next_page(client.clone(), request, read));
        Self(Box::pin(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten()))
    }

    /// The next job; `None` after the last.
    ///
    /// # Errors
    ///
    /// As any call: the page of this job could not be fetched.
    pub async fn next(&mut self) -> Option<Result<T>> {
        self.0.next().await
    }
}

impl<T> Stream for Jobs<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl<T> std::fmt::Debug for Jobs<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

type Page<T> = Option<(Vec<T>, Option<v1::ListJobsRequest>)>;

/// The requested page and the request for the next one.
async fn next_page<T>(
    client: Client,
    request: Option<v1::ListJobsRequest>,
    read: fn(v1::Job) -> Option<T>,
) -> Result<Page<T>> {
    let Some(request) = request else { return Ok(None) };
    let answer = client.rpc().list_jobs(request.clone()).await?;
    let page: Option<Vec<_>> = answer.jobs.into_iter().map(read).collect();
    let page = page.ok_or_else(|| status::unreadable(client.address(), "a page of jobs"))?;
    let page_token = answer.next_page_token;
    let next = (!page_token.is_empty()).then_some(v1::ListJobsRequest { page_token, ..request });
    Ok(Some((page, next)))
}

fn request(filter: &JobFilter) -> v1::ListJobsRequest {
    let JobFilter { states, kind, queue, labels, created_from, created_before } = filter;
    let name = |name: Option<&str>| name.unwrap_or_default().to_owned();
    v1::ListJobsRequest {
        states: wire_states(*states),
        kind: name(kind.as_ref().map(Kind::as_str)),
        queue: name(queue.as_ref().map(QueueName::as_str)),
        labels: labels.clone().into_iter().collect(),
        create_time_from: created_from.map(render::timestamp),
        create_time_before: created_before.map(render::timestamp),
        page_size: PAGE_JOBS,
        ..v1::ListJobsRequest::default()
    }
}

/// An empty list on the wire means all.
pub(super) fn wire_states(states: StateSet) -> Vec<i32> {
    const ALL: [JobState; 6] = [
        JobState::Scheduled,
        JobState::Queued,
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
    ];
    if states == StateSet::ALL {
        return Vec::new();
    }
    ALL.into_iter().filter(|state| states.contains(*state)).map(|state| render::state(state).into()).collect()
}
