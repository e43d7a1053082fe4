//! `jobs`: lists of several pages, and commands with several ids.

use jobstream::proto::v1::{CancelResponse, GetJobResponse, Job, ListJobsResponse, RetryResponse};
use serde_json::Value;

use super::fake::Fake;
use super::*;

const OTHER: &str = "01890000-0000-7000-8000-000000000002";

fn page(ids: &[&str], token: &str) -> Result<ListJobsResponse, Status> {
    let job = |id: &&str| Job { job_id: (*id).to_owned(), state: JobState::Queued.into(), ..Job::default() };
    Ok(ListJobsResponse { jobs: ids.iter().map(job).collect(), next_page_token: token.to_owned() })
}

#[tokio::test]
async fn a_list_continues_after_short_and_empty_pages() {
    let fake = Fake::start().await;
    fake.script().list.extend([page(&["a"], "1"), page(&[], "2"), page(&["b"], "3"), page(&["c"], "")]);
    let args = ["jobs", "ls", "--state", "queued,RUNNING", "--kind", "k", "--label", "a=b", "--since", "15m"];
    let ran = run(&mut client(fake.address, &args)).await.exits(0);
    let ids: Vec<_> = ran.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let listed = &fake.script().listed;
    let tokens: Vec<_> = listed.iter().map(|request| request.page_token.as_str()).collect();
    assert_eq!(tokens, ["", "1", "2", "3"]);
    for request in listed {
        assert_eq!(request.states, [i32::from(JobState::Queued), i32::from(JobState::Running)]);
        assert_eq!((request.kind.as_str(), request.labels["a"].as_str()), ("k", "b"));
        assert_eq!(request.create_time_from, listed[0].create_time_from, "filters stay the same");
    }
}

#[tokio::test]
async fn a_list_stops_at_its_limit() {
    let fake = Fake::start().await;
    fake.script().list.extend([page(&["a", "b"], "1"), page(&["c", "d"], "2")]);
    let ran = run(&mut client(fake.address, &["jobs", "ls", "--limit", "3", "-o", "json"])).await.exits(0);
    let jobs: Vec<Value> = serde_json::from_str(&ran.stdout).expect("an array");
    assert_eq!(jobs.len(), 3);
    let sizes: Vec<_> = fake.script().listed.iter().map(|request| request.page_size).collect();
    assert_eq!(sizes, [4, 4]);
    ran.prints(&["these are the newest 3; see more with --limit"]);

    fake.script().list.extend([page(&["a", "b"], "1"), page(&[], "")]);
    let ran = run(&mut client(fake.address, &["jobs", "ls", "--limit", "2"])).await.exits(0);
    assert_eq!(ran.stderr, "", "there are no more jobs");
}

#[tokio::test]
async fn an_empty_list_is_empty_in_every_format() {
    let fake = Fake::start().await;
    for (format, expected) in [("json", "[]\n"), ("jsonl", ""), ("table", "")] {
        fake.script().list.extend([page(&[], "")]);
        let ran = run(&mut client(fake.address, &["jobs", "ls", "-o", format])).await.exits(0);
        assert_eq!(ran.stdout, expected);
    }
}

#[tokio::test]
async fn an_invalid_id_does_not_stop_the_other_ids() {
    let fake = Fake::start().await;
    let job = Job { job_id: OTHER.to_owned(), state: JobState::Running.into(), ..Job::default() };
    let missing = Err(refusal(Code::NotFound, "JOB_NOT_FOUND"));
    fake.script().get.extend([missing, Ok(GetJobResponse { job: Some(job) })]);
    let ran = run(&mut client(fake.address, &["jobs", "get", ID, OTHER, "-o", "json"])).await.exits(5);
    let object: Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!((&object["jobId"], &object["state"]), (&OTHER.into(), &"RUNNING".into()));
}

#[tokio::test]
async fn cancel_retry_and_rm_print_a_result_for_each_id() {
    let fake = Fake::start().await;
    let cancelled = CancelResponse { state: JobState::Cancelled.into(), sequence: 2 };
    fake.script().cancel.extend([Ok(cancelled), Ok(cancelled)]);
    let args = ["jobs", "cancel", ID, OTHER, "--reason", "why", "--grace", "2s"];
    let ran = run(&mut client(fake.address, &args)).await.exits(0);
    assert_eq!(ran.stdout, format!("{ID}\tCANCELLED\n{OTHER}\tCANCELLED\n"));
    assert_eq!(fake.script().cancelled[0].grace.map(|grace| grace.seconds), Some(2));

    fake.script().retry.extend([Ok(RetryResponse { job_id: OTHER.to_owned(), ..RetryResponse::default() })]);
    let ran = run(&mut client(fake.address, &["jobs", "retry", ID, "--payload", "1"])).await.exits(0);
    assert_eq!(ran.stdout, format!("{OTHER}\n"));
    let retried = fake.script().retried[0].clone();
    assert!(!retried.new_job_id.is_empty() && retried.payload.is_some(), "{retried:?}");

    fake.script()
        .delete
        .extend([Ok(Default::default()), Err(refusal(Code::FailedPrecondition, "ILLEGAL_STATE"))]);
    let ran =
        run(&mut client(fake.address, &["jobs", "rm", ID, OTHER])).await.exits(10).prints(&["ILLEGAL_STATE"]);
    assert_eq!(ran.stdout, format!("{ID}\n"));
}

#[tokio::test]
async fn calls_for_many_jobs_run_at_the_same_time_and_are_shown_in_order() {
    let fake = Fake::start().await;
    let ids: Vec<_> = (0..32).map(|number| format!("01890000-0000-7000-8000-{number:012x}")).collect();
    {
        let mut script = fake.script();
        script.cancels_held = 16;
        let cancelled = CancelResponse { state: JobState::Cancelled.into(), sequence: 2 };
        script.cancel = ids.iter().map(|_| Ok(cancelled)).collect();
    }
    let args: Vec<_> = ["jobs", "cancel"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let ran = run(&mut client(fake.address, &args)).await.exits(0);
    let expected: String = ids.iter().map(|id| format!("{id}\tCANCELLED\n")).collect();
    assert_eq!(ran.stdout, expected);
    assert_eq!(fake.script().held_max, 16);
}

#[tokio::test]
async fn calls_that_are_retried_at_the_same_time_are_one_line() {
    let fake = Fake::start().await;
    let mut details = ErrorDetails::with_error_info("DRAINING", "jobstream", HashMap::new());
    details.set_retry_info(Some(Duration::from_secs(1)));
    let unavailable = || Err(Status::with_error_details(Code::Unavailable, "no", details.clone()));
    let job = || Ok(GetJobResponse { job: Some(Job { job_id: ID.to_owned(), ..Job::default() }) });
    // Sixteen calls fail at once, and at random times a second later.
    fake.script().get.extend((0..32).map(|_| unavailable()).chain((0..16).map(|_| job())));
    let ids: Vec<_> = (0..16).map(|number| format!("01890000-0000-7000-8000-{number:012x}")).collect();
    let args: Vec<_> = ["jobs", "get"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let ran = run(&mut client(fake.address, &args)).await.exits(0);
    let lines = ran.stderr.matches("trying again").count();
    // More than two only if the answers are as slow as the pause between them.
    assert!((1..=4).contains(&lines), "{}", ran.stderr);
}
