//! Holds what a server says in the end against what it said before: what is wrong, in words, job by job.
//!
//! It only compares. Who fills the journal, and what happened to the server meanwhile, is not its business.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::{self, JobState};
use tonic::Code;
use tonic::transport::Channel;

use super::journal::{Journal, Story};
use crate::support::{Watched, end_of, until, wait_for, watch_request};

/// Jobs of one page of a list.
const PAGE: u32 = 1_000;
/// Jobs that are read at a time.
const READERS: usize = 64;
/// Breaches that are told of a job: more say nothing new.
const TOLD_MAX: usize = 3;

/// All that a server says of one job.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) job: v1::Job,
    pub(super) result: v1::GetResultResponse,
    pub(super) events: Vec<v1::JobEvent>,
}

/// Waits until every job has ended, and reads all of them.
pub(super) async fn find_all(jobs: &mut JobServiceClient<Channel>) -> BTreeMap<String, Found> {
    let waiting = [JobState::Scheduled, JobState::Queued, JobState::Running].map(Into::into).to_vec();
    let open = v1::ListJobsRequest { states: waiting, page_size: 1, ..Default::default() };
    until("every job ends", async || {
        jobs.clone().list_jobs(open.clone()).await.is_ok_and(|page| page.get_ref().jobs.is_empty())
    })
    .await;
    let mut found = BTreeMap::new();
    let mut request = v1::ListJobsRequest { page_size: PAGE, ..Default::default() };
    loop {
        let page = wait_for("a page", jobs.list_jobs(request.clone())).await.expect("a list").into_inner();
        let ids = page.jobs.into_iter().map(|job| job.job_id);
        let read = ids.map(|id| (id, jobs.clone()));
        let read = read.map(|(id, jobs)| async move { (id.clone(), find(jobs, &id).await) });
        found.extend(stream::iter(read).buffer_unordered(READERS).collect::<Vec<_>>().await);
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

async fn find(mut jobs: JobServiceClient<Channel>, id: &str) -> Found {
    let job = jobs.get_job(v1::GetJobRequest { job_id: id.to_owned() }).await.expect("it was listed");
    let request = v1::GetResultRequest { job_id: id.to_owned(), wait: None };
    let result = jobs.get_result(request).await.expect("it was listed").into_inner();
    let events = Watched::open(&mut jobs, watch_request(id, 0)).await.rest().await.events;
    Found { job: job.into_inner().job.expect("a job"), result, events }
}

/// Whether each job that was removed for certain is gone. Answers what is wrong.
pub(super) async fn check_removed(jobs: &mut JobServiceClient<Channel>, journal: &Journal) -> Vec<String> {
    let mut breaches = Vec::new();
    for (id, story) in &journal.stories {
        if story.is_removal_answered {
            let request = v1::GetResultRequest { job_id: id.clone(), wait: None };
            match jobs.get_result(request).await {
                Err(status) if status.code() == Code::NotFound => {}
                answer => breaches.push(format!("{id}: it was removed, and answers {answer:?}")),
            }
        }
    }
    breaches
}

/// What is wrong. Jobs are run at most `runs_max` times each.
pub(super) fn check(journal: &Journal, found: &BTreeMap<String, Found>, runs_max: usize) -> Vec<String> {
    let unknown = found.keys().filter(|id| !journal.stories.contains_key(*id));
    let mut breaches: Vec<_> = unknown.map(|id| format!("{id}: nobody submitted it")).collect();
    for (id, story) in &journal.stories {
        let wrong = match found.get(id) {
            Some(found) => check_found(story, found, runs_max),
            None if story.is_acknowledged && !story.is_removal_sent => {
                vec![format!("it was acknowledged, and is gone: {story:?}")]
            }
            None => Vec::new(),
        };
        let wrong = story.breaches.iter().cloned().chain(wrong).chain(check_alone(story));
        breaches.extend(wrong.take(TOLD_MAX).map(|what| format!("{id}: {what}")));
    }
    breaches
}

/// What was told before contradicts itself.
fn check_alone(story: &Story) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut seen = BTreeMap::new();
    for event in &story.events {
        let first = *seen.entry(event.sequence).or_insert(event);
        if first != event {
            breaches.push(format!("two events with one sequence: {first:?} and {event:?}"));
        }
    }
    let ends = story.ends.windows(2).filter(|ends| ends[0].1 != ends[1].1);
    breaches.extend(ends.map(|ends| format!("two ends were told: {:?} and {:?}", ends[0], ends[1])));
    breaches
}

/// What was told before contradicts what is found, or that itself.
fn check_found(story: &Story, found: &Found, runs_max: usize) -> Vec<String> {
    let Found { job, result, events } = found;
    let mut breaches = Vec::new();
    let mut wrong = |is_wrong: bool, what: String| is_wrong.then(|| breaches.push(what));
    let outcome = job.outcome.as_ref();
    wrong(outcome.is_none(), format!("it has not ended: {job:?}"));
    wrong(story.is_removal_answered, "it was removed, and is listed".to_owned());
    wrong(result.outcome.as_ref() != outcome, format!("GetResult says {result:?}, GetJob {outcome:?}"));
    let last = events.last();
    wrong(last.and_then(end_of) != outcome, format!("a watch ends with {last:?}, GetJob says {outcome:?}"));
    for (by, told) in &story.ends {
        wrong(Some(told) != outcome, format!("{by} told {told:?}, and now it is {outcome:?}"));
    }
    wrong(
        !events.is_sorted_by(|one, next| one.sequence < next.sequence),
        format!("out of order: {events:?}"),
    );
    for event in &story.events {
        let now = events.iter().find(|now| now.sequence == event.sequence);
        let differs = match now {
            Some(now) => now != event,
            // Only the newest progress is kept.
            None => !matches!(event.event, Some(v1::job_event::Event::Progress(_))),
        };
        wrong(differs, format!("a watch told {event:?}, and now it is {now:?}"));
        wrong(event.sequence > job.sequence, format!("{event:?} is beyond {}", job.sequence));
    }
    let newest = job.attempts.last().map_or(0, |attempt| attempt.attempt);
    let ended_by = last.map_or(0, |event| event.attempt);
    wrong(
        (job.attempt, newest) != (ended_by, ended_by),
        format!("attempt {ended_by} ended it, and {newest} is its newest: {job:?}"),
    );
    wrong(job.attempts.len() > runs_max, format!("it ran {} times: {:?}", job.attempts.len(), job.attempts));
    check_result(story, job, &mut breaches);
    breaches
}

/// Every kind that answers its payload must have.
fn check_result(story: &Story, job: &v1::Job, breaches: &mut Vec<String>) {
    let spec = job.spec.as_ref();
    if spec.map(|spec| (&spec.payload, &spec.labels)) != Some((&story.spec.payload, &story.spec.labels)) {
        breaches.push(format!("{:?} was sent, and kept as {spec:?}", story.spec));
    }
    let end = job.outcome.as_ref().and_then(|outcome| outcome.end.as_ref());
    let result = match end {
        Some(v1::outcome::End::Result(result)) => result,
        other => return breaches.push(format!("it did not succeed: {other:?}")),
    };
    if story.spec.kind == "demo.echo" && Some(result) != story.spec.payload.as_ref() {
        breaches.push(format!("{:?} was to be answered, not {result:?}", story.spec.payload));
    }
}
