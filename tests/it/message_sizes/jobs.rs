//! Responses with jobs of maximal size.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use prost::Message;
use serde_json::json;

use super::{BYTES_MAX, assert_fits, submit_all};
use crate::support::raw_worker::{RawWorker, hello};
use crate::support::{TestServer, job, json as json_payload, wait_for};

/// Returns a list that is small as text and large as a value on the wire: `0,` takes 11 bytes there.
fn large_value() -> v1::Payload {
    json_payload(json!(vec![0; (2 * 1024 * 1024 - 33 * 1024) / 11]))
}

#[tokio::test]
async fn the_largest_job_within_the_default_limits_can_be_read() {
    let server = TestServer::start().await;
    let retry = v1::RetryPolicy {
        max_attempts: 20,
        initial_backoff: Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 }),
        ..v1::RetryPolicy::default()
    };
    let spec =
        v1::JobSpec { payload: Some(large_value()), retry: Some(retry), ..super::job_with_max_metadata() };
    let id = server.submit(spec).await;
    let mut worker = RawWorker::open(&server, hello(1, 1)).await;
    for _ in 0..15 {
        let lease = worker.assigned(1).await.remove(0).lease_id;
        let details = json_payload(json!(vec![0; 8_000]));
        let failure = v1::Failure {
            message: "m".repeat(4 << 10),
            details: Some(details),
            retryable: true,
            ..v1::Failure::default()
        };
        let fail = v1::AttemptFail { failure: Some(failure), retry_after: None };
        let number = worker.report(&lease, News::Fail(fail)).await;
        assert_eq!(worker.acked(number).await, None);
    }
    let lease = worker.assigned(1).await.remove(0).lease_id;
    let result = v1::AttemptComplete { result: Some(large_value()) };
    worker.report(&lease, News::Complete(result)).await;
    assert_eq!(server.end(&id).await.result(), &large_value());

    let job = server.get(&id).await;
    assert_fits(&job);
    assert_eq!(job.attempts.len(), 16);
    let failure = job.attempts[0].failure.as_ref().expect("it failed");
    assert_eq!((failure.message.len(), failure.details.is_some()), (4 << 10, false));
    let payload = job.spec.expect("a spec").payload.expect("a payload");
    assert_eq!(payload.content_type, "application/json", "JSON that does not fit comes as text");
    assert!(matches!(payload.body, Some(v1::payload::Body::Text(text)) if text.starts_with("[0,0,")));

    let request = v1::ListJobsRequest { include_payloads: true, ..v1::ListJobsRequest::default() };
    let page = wait_for("ListJobs answers", server.jobs().list_jobs(request)).await;
    let page = page.expect("a client reads it").into_inner();
    assert_eq!(page.jobs.len(), 1);
    assert_fits(&page);
}

/// The progress and the cancel reason of these jobs are larger than their specs.
#[tokio::test]
async fn pages_of_jobs_are_bounded_by_their_encoded_size() {
    const JOBS: usize = 950;
    let server = TestServer::start().await;
    let labels: HashMap<_, _> = (0..5).map(|number| (format!("{number:064}"), "v".repeat(256))).collect();
    let names = "n".repeat(122);
    let spec = v1::JobSpec { labels: labels.clone(), queue: names.clone(), ..job(&names) };
    let ids = submit_all(&server, vec![spec; JOBS]).await;
    let name = "w".repeat(128);
    let hello = v1::Hello { name, kinds: vec![names], ..hello(1, 1_000) };
    let mut worker = RawWorker::open(&server, hello).await;
    let assigned = worker.assigned(JOBS).await;
    worker.accept(&assigned).await;
    let (message, unit) = ("p".repeat(1 << 10), "u".repeat(64));
    let progress = v1::Progress { message, unit, done: Some(1.0), ..v1::Progress::default() };
    let mut last = 0;
    for assignment in &assigned {
        last = worker.report(&assignment.lease_id, News::Progress(progress.clone())).await;
    }
    assert_eq!(worker.acked(last).await, None);
    for job_id in &ids {
        let (reason, grace) = ("r".repeat(1 << 10), Some(prost_types::Duration::default()));
        let request = v1::CancelRequest { job_id: job_id.clone(), reason, grace };
        wait_for("Cancel answers", server.jobs().cancel(request)).await.expect("it runs");
    }
    let mut request = v1::ListJobsRequest { page_size: 1_000, ..v1::ListJobsRequest::default() };
    let (mut listed, mut largest) = (Vec::new(), 0);
    loop {
        let page = wait_for("ListJobs answers", server.jobs().list_jobs(request.clone())).await;
        let page = page.expect("a client reads it").into_inner();
        largest = largest.max(page.encoded_len());
        listed.extend(page.jobs.into_iter().map(|job| job.job_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert!(largest <= BYTES_MAX, "{largest} bytes");
    assert!(listed.iter().eq(ids.iter().rev()), "each once, newest first");
    assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), JOBS);
    // Dropping the worker does not block.
    tokio::time::timeout(Duration::from_secs(1), async { drop(worker) }).await.expect("at once");
}
