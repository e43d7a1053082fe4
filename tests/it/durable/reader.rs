//! Reads the final state of all jobs for the checker.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::{self, JobState};
use tonic::Code;
use tonic::transport::Channel;

use crate::checker::journal::Journal;
use crate::checker::rules::Found;
use crate::support::{Watched, until, wait_for, watch_request};

/// The jobs per page.
const PAGE: u32 = 1_000;
/// The number of concurrent reads.
const READERS: usize = 64;

/// Waits until every job has ended, and reads all jobs.
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

/// Checks that every job whose delete was acknowledged is not found. Returns the breaches.
pub(super) async fn check_removed(jobs: &mut JobServiceClient<Channel>, journal: &Journal) -> Vec<String> {
    let mut breaches = Vec::new();
    for (id, trace) in &journal.traces {
        if trace.is_removal_acknowledged {
            let request = v1::GetResultRequest { job_id: id.clone(), wait: None };
            match jobs.get_result(request).await {
                Err(status) if status.code() == Code::NotFound => {}
                answer => breaches.push(format!("{id}: it was removed, and answers {answer:?}")),
            }
        }
    }
    breaches
}
