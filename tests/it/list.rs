//! ListJobs: filters, pages during changes, and the byte limit of pages.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::JobState;
use tonic::{Code, Status};

use crate::support::{TestServer, data, echo, job, json, refused, seconds, wait_for};

async fn list(server: &TestServer, request: v1::ListJobsRequest) -> Result<v1::ListJobsResponse, Status> {
    let answer = wait_for("ListJobs answers", server.jobs().list_jobs(request)).await;
    answer.map(tonic::Response::into_inner)
}

/// Returns the ids of all pages.
async fn list_all(server: &TestServer, request: &v1::ListJobsRequest) -> Vec<String> {
    let mut ids = Vec::new();
    let mut request = request.clone();
    loop {
        let page = list(server, request.clone()).await.expect("a page");
        ids.extend(page.jobs.into_iter().map(|job| job.job_id));
        if page.next_page_token.is_empty() {
            return ids;
        }
        request.page_token = page.next_page_token;
    }
}

fn labelled(spec: v1::JobSpec, labels: &[(&str, &str)]) -> v1::JobSpec {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    v1::JobSpec { labels: labels.iter().map(own).collect(), ..spec }
}

fn all() -> v1::ListJobsRequest {
    v1::ListJobsRequest::default()
}

#[tokio::test]
async fn jobs_are_listed_newest_first_without_payloads() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for number in 0..60 {
        ids.push(server.run_to_end(echo(&number.to_string())).await.id);
    }
    ids.reverse();
    let page = list(&server, all()).await.unwrap();
    assert_eq!(page.jobs.len(), 50);
    assert!(page.jobs.iter().map(|job| &job.job_id).eq(&ids[..50]));
    for job in &page.jobs {
        let outcome = job.outcome.as_ref().unwrap().end.as_ref().unwrap();
        assert_eq!(job.spec.as_ref().unwrap().payload, None);
        assert_eq!(outcome, &v1::outcome::End::Result(v1::Payload::default()));
    }
    let whole = list(&server, v1::ListJobsRequest { include_payloads: true, ..all() }).await.unwrap();
    for job in whole.jobs {
        assert_eq!(job, server.get(&job.job_id).await);
    }
}

#[tokio::test]
async fn the_last_time_of_protobuf_stays_valid() {
    let server = TestServer::start().await;
    let last = prost_types::Timestamp { seconds: 253_402_300_799, nanos: 999_999_999 };
    let spec = v1::JobSpec { start: Some(v1::job_spec::Start::StartTime(last)), ..echo("never") };
    server.submit(spec).await;
    let job = list(&server, all()).await.unwrap().jobs.remove(0);
    let Some(v1::job_spec::Start::StartTime(start)) = job.spec.unwrap().start else { panic!("no start") };
    for time in [start, job.next_attempt_time.expect("it is scheduled")] {
        assert_eq!(time.to_string(), "9999-12-31T23:59:59.999999Z");
    }
}

#[tokio::test]
async fn options_of_an_embedder_stay_valid() {
    let server = TestServer::with(|setup| setup.engine.core.retention = Duration::MAX).await;
    let ended = server.run_to_end(echo("kept")).await;
    let job = server.get(&ended.id).await;
    assert_eq!(job.expire_time.expect("it has ended").to_string(), "9999-12-31T23:59:59.999999Z");
    assert_eq!(job.spec.unwrap().retention, Some(seconds(315_576_000_000)), "the limit of protobuf");
}

#[tokio::test]
async fn all_filters_must_match() {
    let server = TestServer::start().await;
    let labels = [("team", "blue"), ("tier", "1")];
    let blue = server.run_to_end(labelled(echo("x"), &labels)).await.id;
    let other = v1::JobSpec { queue: "other".to_owned(), ..echo("x") };
    let other = server.run_to_end(labelled(other, &[("team", "red")])).await.id;
    let failed = server.run_to_end(labelled(job("demo.fail"), &labels[..1])).await.id;
    let waits = server.submit(job("nobody.serves.this")).await;
    let map = |labels: &[(&str, &str)]| labelled(job("x"), labels).labels;
    let time = server.get(&failed).await.create_time;
    let cases = [
        (v1::ListJobsRequest { kind: "demo.echo".into(), ..all() }, vec![&other, &blue]),
        (v1::ListJobsRequest { queue: "other".into(), ..all() }, vec![&other]),
        (v1::ListJobsRequest { states: vec![JobState::Failed.into()], ..all() }, vec![&failed]),
        (
            v1::ListJobsRequest { states: vec![JobState::Queued.into(), JobState::Failed.into()], ..all() },
            vec![&waits, &failed],
        ),
        (v1::ListJobsRequest { labels: map(&labels[..1]), ..all() }, vec![&failed, &blue]),
        (v1::ListJobsRequest { labels: map(&labels), ..all() }, vec![&blue]),
        (v1::ListJobsRequest { labels: map(&[("team", "blu")]), ..all() }, vec![]),
        (v1::ListJobsRequest { create_time_from: time, ..all() }, vec![&waits, &failed]),
        (v1::ListJobsRequest { create_time_before: time, ..all() }, vec![&other, &blue]),
        (v1::ListJobsRequest { kind: "demo.fail".into(), labels: map(&labels[..1]), ..all() }, vec![&failed]),
        (v1::ListJobsRequest { kind: "demo.fail".into(), queue: "other".into(), ..all() }, vec![]),
    ];
    for (request, expected) in cases {
        assert_eq!(list_all(&server, &request).await.iter().collect::<Vec<_>>(), expected, "{request:?}");
    }
}

#[tokio::test]
async fn pages_are_stable_during_changes() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(server.run_to_end(echo("x")).await.id);
    }
    let mut listed = Vec::new();
    let mut request = v1::ListJobsRequest { page_size: 7, ..all() };
    let mut deleted = BTreeSet::new();
    loop {
        let page = list(&server, request.clone()).await.unwrap();
        listed.extend(page.jobs.into_iter().map(|job| job.job_id));
        server.run_to_end(echo("came later")).await;
        // A listed job, and one of a later page.
        for id in [listed[listed.len() - 1].clone(), ids[deleted.len()].clone()] {
            if deleted.insert(id.clone()) {
                server.delete(&id).await.unwrap();
            }
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let unique: BTreeSet<_> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len(), "a job was listed twice");
    for id in &ids {
        assert!(unique.contains(id) || deleted.contains(id), "{id} was skipped");
    }
    assert!(listed.iter().all(|id| ids.contains(id)), "a job accepted later was listed");
}

#[tokio::test]
async fn invalid_page_tokens_are_rejected() {
    let server = TestServer::start().await;
    for _ in 0..3 {
        server.run_to_end(echo("x")).await;
    }
    let first = list(&server, v1::ListJobsRequest { page_size: 1, ..all() }).await.unwrap();
    let valid = first.next_page_token;
    let cut = valid[..valid.len() - 1].to_owned();
    let absurd = [
        "1",
        "../../etc/passwd",
        "\u{0}",
        "🦀",
        cut.as_str(),
        &format!("{valid}0"),
        &"0".repeat(32),
        &"f".repeat(4_000),
    ];
    for page_token in absurd {
        let request = v1::ListJobsRequest { page_token: page_token.to_owned(), ..all() };
        let status = list(&server, request).await.unwrap_err();
        let details = refused(&status, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "page_token");
        assert!(status.message().len() < 400, "{}", status.message());
    }
    let other = v1::ListJobsRequest { page_token: valid.clone(), kind: "demo.echo".into(), ..all() };
    refused(&list(&server, other).await.unwrap_err(), Code::InvalidArgument, "INVALID_FIELD");
    // A forged position is a valid position.
    for position in ["f".repeat(16), "0".repeat(16)] {
        let forged = format!("{}{position}", &valid[..16]);
        let page = list(&server, v1::ListJobsRequest { page_token: forged, ..all() }).await.unwrap();
        assert!(page.jobs.len() <= 3);
    }
}

#[tokio::test]
async fn page_sizes_have_a_limit() {
    let server = TestServer::start().await;
    for page_size in [1_001, u32::MAX] {
        let status = list(&server, v1::ListJobsRequest { page_size, ..all() }).await.unwrap_err();
        let details = refused(&status, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "page_size");
    }
}

#[tokio::test]
async fn pages_with_payloads_stay_below_the_message_limit() {
    let server = TestServer::start().await;
    // A payload and a result of a megabyte.
    let large = v1::JobSpec { payload: Some(data(vec![7; 1 << 20])), ..job("demo.echo") };
    // Small as text, and five times as large as values on the wire.
    let wide = v1::JobSpec { payload: Some(json(serde_json::json!(vec![0; 180_000]))), ..job("demo.echo") };
    let mut payloads = HashMap::new();
    for spec in [&large, &large, &wide, &large, &wide, &wide] {
        let id = server.run_to_end(spec.clone()).await.id;
        payloads.insert(id, spec.payload.clone());
    }
    let mut request = v1::ListJobsRequest { include_payloads: true, page_size: 1_000, ..all() };
    let mut pages = 0;
    loop {
        let page = list(&server, request.clone()).await.unwrap();
        pages += 1;
        for job in page.jobs {
            assert_eq!(job.spec.unwrap().payload, payloads.remove(&job.job_id).unwrap());
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert!(payloads.is_empty() && pages > 1);
    assert_eq!(list(&server, all()).await.unwrap().jobs.len(), 6);
}

#[tokio::test]
async fn a_selective_filter_finds_a_job_across_empty_pages() {
    let server = TestServer::start().await;
    let wanted = server.run_to_end(labelled(echo("x"), &[("found", "yes")])).await.id;
    for _ in 0..3 {
        let jobs = crate::support::batch(1_000);
        let request = v1::BatchSubmitRequest { jobs, atomic: false };
        wait_for("BatchSubmit answers", server.jobs().batch_submit(request)).await.unwrap();
    }
    let labels = labelled(job("x"), &[("found", "yes")]).labels;
    let request = v1::ListJobsRequest { labels, page_size: 1, ..all() };
    assert_eq!(list_all(&server, &request).await, [wanted]);
    assert_eq!(list_all(&server, &v1::ListJobsRequest { page_size: 1_000, ..all() }).await.len(), 3_001);
}
