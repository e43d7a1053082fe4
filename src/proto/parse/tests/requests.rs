//! The other requests: defaults, bounds and field paths.

use super::super::request::{event_types, heartbeat};
use super::*;
use crate::job::{EventTypes, JobFilter, JobState, StateSet};
use crate::proto::v1;

fn job() -> Option<v1::JobSpec> {
    Some(v1::JobSpec { kind: "resize".to_owned(), ..Default::default() })
}

#[test]
fn a_run_reports_the_violations_of_its_job_and_watch() {
    let limits = 1 << 20;
    let request = v1::RunRequest {
        job: Some(v1::JobSpec::default()),
        types: vec![1, 0],
        heartbeat: seconds(0),
        ..Default::default()
    };
    let error = run(request, limits).unwrap_err();
    assert_eq!(fields(&error), ["job.kind", "types[1]", "heartbeat"]);
    assert_eq!(violation(run(v1::RunRequest::default(), limits)), "job: is required");
    let request = v1::RunRequest { job: job(), cancel_on_disconnect: true, ..Default::default() };
    let parsed = run(request, limits).unwrap();
    assert_eq!((parsed.job.kind.as_str(), parsed.cancel_on_disconnect), ("resize", true));
    assert_eq!((parsed.types, parsed.heartbeat), (EventTypes::ALL, HEARTBEAT_DEFAULT));
}

#[test]
fn a_run_with_a_too_large_payload_is_refused() {
    let body = Some(v1::payload::Body::Text("fives".to_owned()));
    let payload = Some(v1::Payload { body, ..Default::default() });
    let job = job().map(|spec| v1::JobSpec { payload, ..spec });
    let request = v1::RunRequest { job, types: vec![9], ..Default::default() };
    let error = run(request, 4).unwrap_err();
    let expected = ErrorKind::PayloadTooLarge { field: "job.payload".to_owned(), size: 5, limit: 4 };
    assert_eq!(error.kind(), &expected);
}

#[test]
fn result_waits_are_limited_and_never_negative() {
    let read = |wait| get_result(&v1::GetResultRequest { job_id: ID.to_owned(), wait });
    assert_eq!(read(None).unwrap().wait, Duration::ZERO);
    assert_eq!(read(seconds(59)).unwrap().wait, Duration::from_secs(59));
    assert_eq!(read(seconds(i64::MAX)).unwrap().wait, RESULT_WAIT_MAX);
    assert_eq!(violation(read(seconds(-1))), "wait: is -1 s: allowed is 0 or more");
    let error = get_result(&v1::GetResultRequest { wait: seconds(-1), ..Default::default() }).unwrap_err();
    assert_eq!(fields(&error), ["job_id", "wait"]);
}

#[test]
fn watches_have_defaults_and_bounds() {
    let request = v1::WatchResultRequest { job_id: ID.to_owned(), after_sequence: 7, ..Default::default() };
    let parsed = watch_result(&request).unwrap();
    assert_eq!((parsed.after_sequence, parsed.types), (7, EventTypes::ALL));
    assert_eq!(parsed.heartbeat, Duration::from_secs(15));
    let flawed = v1::WatchResultRequest { types: vec![5], heartbeat: seconds(3601), ..Default::default() };
    assert_eq!(fields(&watch_result(&flawed).unwrap_err()), ["job_id", "types[0]", "heartbeat"]);
}

#[test]
fn heartbeats_are_1_second_to_1_hour() {
    assert_eq!(heartbeat("heartbeat", seconds(1)), Ok(Duration::from_secs(1)));
    assert_eq!(heartbeat("heartbeat", seconds(3600)), Ok(Duration::from_secs(3600)));
    let short = prost_types::Duration { seconds: 0, nanos: 999_000_000 };
    assert_eq!(
        violation(heartbeat("heartbeat", Some(short))),
        "heartbeat: is 0.999 s: allowed is 1 s to 1 h"
    );
    assert_eq!(
        violation(heartbeat("heartbeat", seconds(3601))),
        "heartbeat: is 3601 s: allowed is 1 s to 1 h"
    );
}

#[test]
fn event_types_are_known_numbers() {
    assert_eq!(event_types("types", &[]), Ok(EventTypes::ALL));
    assert_eq!(
        event_types("types", &[4, 2, 4]),
        Ok(EventTypes { progress: true, log: true, ..EventTypes::NONE })
    );
    assert_eq!(
        event_types("types", &[1, 3]),
        Ok(EventTypes { state_change: true, output: true, ..EventTypes::NONE })
    );
    assert_eq!(violation(event_types("types", &[1, 0])), "types[1]: 0 is not the number of an event type");
    let message = violation(event_types("types", &[-1, 2, 99, 5]));
    assert_eq!(message, "types[0]: -1 is not the number of an event type (and 2 more after it)");
}

#[test]
fn a_cancel_has_a_bounded_reason_and_grace() {
    let read = |reason: &str, grace| {
        cancel(v1::CancelRequest { job_id: ID.to_owned(), reason: reason.to_owned(), grace })
    };
    let parsed = read("no longer needed", None).unwrap();
    assert_eq!((parsed.reason.as_str(), parsed.grace), ("no longer needed", Duration::from_secs(10)));
    assert_eq!(read("", seconds(0)).unwrap().grace, Duration::ZERO);
    assert!(read(&"r".repeat(1024), seconds(3600)).is_ok());
    assert_eq!(violation(read(&"r".repeat(1025), None)), "reason: has 1025 bytes, the limit is 1024");
    assert_eq!(violation(read("", seconds(3601))), "grace: is 3601 s: allowed is 0 to 1 h");
}

#[test]
fn a_retry_copies_unset_fields() {
    let limits = 1 << 20;
    let request = v1::RetryRequest { job_id: ID.to_owned(), ..Default::default() };
    let parsed = retry(request.clone(), limits).unwrap();
    assert_eq!((parsed.new_job_id, parsed.payload, parsed.kind), (None, None, None));
    let request =
        v1::RetryRequest { payload: Some(v1::Payload::default()), kind: "other".to_owned(), ..request };
    let parsed = retry(request, limits).unwrap();
    assert!(parsed.payload.unwrap().is_empty());
    assert_eq!(parsed.kind.unwrap().as_str(), "other");
    let content_type = "\n".to_owned();
    let flawed = v1::RetryRequest {
        new_job_id: "x".to_owned(),
        payload: Some(v1::Payload { content_type, body: None }),
        kind: "a b".to_owned(),
        ..Default::default()
    };
    let error = retry(flawed, limits).unwrap_err();
    assert_eq!(fields(&error), ["job_id", "new_job_id", "payload.content_type", "kind"]);
}

#[test]
fn a_listing_without_filters_matches_all() {
    let parsed = list_jobs(v1::ListJobsRequest::default()).unwrap();
    assert_eq!((parsed.filter, parsed.page_size, parsed.include_payloads), (JobFilter::default(), 50, false));
}

#[test]
fn every_filter_is_parsed() {
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let parsed = list_jobs(v1::ListJobsRequest {
        states: vec![5, 1],
        kind: "k".to_owned(),
        queue: "default".to_owned(),
        labels: [("a".to_owned(), "1".to_owned())].into(),
        create_time_from: time(1),
        create_time_before: time(2),
        page_size: 1000,
        page_token: "next".to_owned(),
        include_payloads: true,
    })
    .unwrap();
    let filter = parsed.filter;
    assert_eq!(filter.states, StateSet::NONE.with(JobState::Failed).with(JobState::Scheduled));
    assert_eq!((filter.kind.unwrap().as_str(), filter.queue.unwrap().as_str()), ("k", "default"));
    assert_eq!(filter.labels, [("a".to_owned(), "1".to_owned())].into());
    assert_eq!(filter.created_from.unwrap().as_micros(), 1_000_000);
    assert_eq!(filter.created_before.unwrap().as_micros(), 2_000_000);
    assert_eq!((parsed.page_size, parsed.page_token.as_str(), parsed.include_payloads), (1000, "next", true));
}

#[test]
fn a_feed_of_outcomes_has_the_final_states_of_its_filter() {
    let states = vec![v1::JobState::Running.into(), v1::JobState::Failed.into()];
    let request = v1::WatchJobsRequest { states, after_cursor: "a-1f".to_owned(), ..Default::default() };
    let parsed = watch_jobs(request.clone()).unwrap();
    let failed = StateSet::NONE.with(JobState::Failed);
    assert_eq!(parsed.filter.states, failed.with(JobState::Running));
    assert_eq!((parsed.after.unwrap().to_string(), parsed.heartbeat.as_secs()), ("a-1f".to_owned(), 15));
    let outcomes = v1::JobChanges::Outcomes.into();
    let parsed = watch_jobs(v1::WatchJobsRequest { include: outcomes, ..request }).unwrap();
    assert_eq!(parsed.filter.states, failed);
    let parsed = watch_jobs(v1::WatchJobsRequest { include: outcomes, ..Default::default() }).unwrap();
    assert_eq!((parsed.filter.states, parsed.after), (StateSet::ENDED, None));
}

#[test]
fn every_invalid_field_of_a_feed_is_reported() {
    let error = watch_jobs(v1::WatchJobsRequest {
        states: vec![9],
        kind: "a b".to_owned(),
        queue: "a b".to_owned(),
        after_cursor: "x".to_owned(),
        include: 7,
        heartbeat: Some(prost_types::Duration { seconds: 0, nanos: 1 }),
        ..Default::default()
    })
    .unwrap_err();
    assert_eq!(fields(&error), ["states[0]", "include", "kind", "queue", "after_cursor", "heartbeat"]);
}

#[test]
fn every_invalid_filter_is_reported() {
    let bad_time = Some(prost_types::Timestamp { seconds: 0, nanos: -1 });
    let error = list_jobs(v1::ListJobsRequest {
        states: vec![1, 7, 0],
        kind: "a b".to_owned(),
        queue: "é".to_owned(),
        labels: [(String::new(), String::new())].into(),
        create_time_from: bad_time,
        create_time_before: bad_time,
        page_size: 1001,
        ..Default::default()
    })
    .unwrap_err();
    let expected =
        ["create_time_from", "create_time_before", "states[1]", "kind", "queue", "labels[\"\"]", "page_size"];
    assert_eq!(fields(&error), expected);
    assert!(
        error.message().contains("states[1]: 7 is not the number of a job state (and 1 more after it)"),
        "{error}"
    );
    assert!(error.message().ends_with("page_size: is 1001, the limit is 1000"), "{error}");
}

#[test]
fn batches_have_1_to_1000_jobs() {
    assert!(batch_size("jobs", 1).is_ok() && batch_size("jobs", 1000).is_ok());
    assert_eq!(violation(batch_size("jobs", 0)), "jobs: has 0 jobs: allowed is 1 to 1000");
    assert_eq!(violation(batch_size("jobs", 1001)), "jobs: has 1001 jobs: allowed is 1 to 1000");
}

#[test]
fn queue_pages_have_up_to_1000_entries() {
    assert_eq!(page_size(0, 100), Ok(100));
    assert_eq!(page_size(7, 100), Ok(7));
    assert_eq!(violation(page_size(1001, 100)), "page_size: is 1001, the limit is 1000");
}
