//! The log of a server: failed jobs, refused calls, remote workers, and JSON.

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::raw_worker::{RawWorker, hello};
use crate::support::{Dev, Remote, job, text, wait_for};

/// A value that no line of the log may contain.
const PAYLOAD: &str = "a-secret-payload";

/// The lines of a JSON log. Each one must be JSON.
fn json_lines(stderr: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    stderr.lines().map(line).collect()
}

/// The level and the fields of the lines with this message.
fn with_message<'a>(lines: &'a [Value], message: &str) -> Vec<(&'a str, &'a Value)> {
    let matching = lines.iter().filter(|line| line["fields"]["message"] == message);
    matching.map(|line| (line["level"].as_str().expect("a level"), &line["fields"])).collect()
}

async fn fail(jobs: &mut JobServiceClient<tonic::transport::Channel>, message: &str) -> String {
    let spec = v1::JobSpec { payload: Some(text(message)), queue: "mail".to_owned(), ..job("broken") };
    let answer = jobs.submit(v1::SubmitRequest { job: Some(spec), ..Default::default() }).await;
    let job_id = answer.expect("an answer").into_inner().job_id;
    let wait = Some(crate::support::seconds(30));
    let request = v1::GetResultRequest { job_id: job_id.clone(), wait };
    let answer = wait_for("the job ends", jobs.get_result(request)).await.expect("an answer").into_inner();
    assert_eq!(answer.state(), v1::JobState::Failed);
    job_id
}

#[tokio::test]
async fn a_failed_job_is_one_line_without_its_payload() {
    let exec = "broken=sh -c 'cat >/dev/null; echo no such customer >&2; exit 3'";
    let dev = Dev::start(&["--log-format", "json", "--exec", exec]).await;
    let id = fail(&mut JobServiceClient::new(dev.channel()), PAYLOAD).await;
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains(PAYLOAD), "{stderr}");
    let lines = json_lines(&stderr);
    let failed = with_message(&lines, "job failed");
    let [("WARN", fields)] = failed[..] else { panic!("{stderr}") };
    assert_eq!(
        (&fields["job"], &fields["kind"], &fields["queue"]),
        (&id.into(), &"broken".into(), &"mail".into())
    );
    assert_eq!((&fields["attempt"], &fields["reason"]), (&1.into(), &"EXIT_STATUS".into()));
    assert!(!fields["error"].as_str().expect("an error").is_empty());
    let last = lines.last().expect("lines")["fields"]["message"].as_str().expect("text");
    assert!(last.starts_with("stopped after"), "{last}");
}

#[tokio::test]
async fn refused_calls_are_lines_and_a_stream_of_them_is_counted() {
    let dev = Dev::start(&["--log-format", "json"]).await;
    let mut jobs = JobServiceClient::new(dev.channel());
    for number in 0..200 {
        let spec = v1::JobSpec { payload: Some(text(PAYLOAD)), ..job("not a kind") };
        let request = v1::SubmitRequest { job: Some(spec), ..Default::default() };
        jobs.submit(request).await.expect_err(&format!("refusal {number}"));
    }
    dev.signal(Signal::TERM);
    let (_, stderr) = dev.end().await;
    assert!(!stderr.contains(PAYLOAD), "{stderr}");
    let lines = json_lines(&stderr);
    let refused = with_message(&lines, "call refused");
    assert!((10..=100).contains(&refused.len()), "{stderr}");
    for (level, fields) in &refused {
        assert_eq!((*level, &fields["method"]), ("WARN", &"jobstream.v1.JobService/Submit".into()));
        assert_eq!(fields["reason"], "INVALID_FIELD");
        assert!(fields["error"].as_str().expect("an error").starts_with("job.kind"), "{fields}");
        assert!(fields["peer"].as_str().expect("a peer").starts_with("127.0.0.1:"), "{fields}");
    }
    let omitted = with_message(&lines, "more calls were refused: at most 10 a second are logged");
    let omitted: u64 = omitted.iter().map(|(_, fields)| fields["omitted"].as_u64().expect("a number")).sum();
    assert_eq!(omitted as usize + refused.len(), 200, "{stderr}");
}

#[tokio::test]
async fn streams_and_jobs_of_batches_that_are_refused_are_lines() {
    let dev = Dev::start(&["--log-format", "json"]).await;
    let mut jobs = JobServiceClient::new(dev.channel());
    let request = v1::BatchSubmitRequest { jobs: vec![job("demo.echo"), job("not a kind")], atomic: false };
    jobs.batch_submit(request).await.expect("partial results");
    let unknown = v1::WatchResultRequest { job_id: crate::support::new_id(), ..Default::default() };
    jobs.watch_result(unknown).await.expect_err("no such job");
    let empty = v1::SubmitStreamRequest::default();
    let mut stream = jobs.submit_stream(tokio_stream::once(empty)).await.expect("a stream").into_inner();
    while let Ok(Some(_)) = stream.message().await {}
    dev.signal(Signal::TERM);
    let (_, stderr) = dev.end().await;
    let lines = json_lines(&stderr);
    let refused: Vec<_> = with_message(&lines, "call refused")
        .iter()
        .map(|(_, fields)| (fields["method"].as_str().unwrap(), fields["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        ("jobstream.v1.JobService/BatchSubmit", "INVALID_FIELD"),
        ("jobstream.v1.JobService/WatchResult", "JOB_NOT_FOUND"),
        ("jobstream.v1.JobService/SubmitStream", "INVALID_FIELD"),
    ];
    assert_eq!(refused, expected, "{stderr}");
    for (_, fields) in with_message(&lines, "call refused") {
        assert!(fields["peer"].as_str().expect("a peer").starts_with("127.0.0.1:"), "{fields}");
    }
}

#[tokio::test]
async fn the_message_of_a_decoder_is_not_logged_because_it_may_quote_the_payload() {
    let dev = Dev::start(&["--log-format", "json"]).await;
    let mut worker = RawWorker::try_open(dev.channel(), hello(7, 1)).await.expect("a welcome");
    let request = v1::SubmitRequest { job: Some(job("remote")), ..Default::default() };
    JobServiceClient::new(dev.channel()).submit(request).await.expect("an answer");
    let assignment = worker.assigned(1).await.remove(0);
    let reason = v1::FailureReason::BadPayload.into();
    let failure = v1::Failure { reason, message: format!("not a number: {PAYLOAD}"), ..Default::default() };
    let news = News::Fail(v1::AttemptFail { failure: Some(failure), retry_after: None });
    let number = worker.report(&assignment.lease_id, news).await;
    worker.acked(number).await;
    dev.signal(Signal::TERM);
    let (_, stderr) = dev.end().await;
    assert!(!stderr.contains(PAYLOAD), "{stderr}");
    assert_eq!(with_message(&json_lines(&stderr), "job failed")[0].1["reason"], "BAD_PAYLOAD");
}

#[tokio::test]
async fn a_remote_worker_logs_each_failed_attempt_without_its_payload() {
    let dev = Dev::start(&[]).await;
    let exec = "broken=sh -c 'cat >/dev/null; echo no such customer >&2; exit 3'";
    let mut remote = Remote::connected(&dev, &["--log-format", "json", "--exec", exec]).await;
    let id = fail(&mut JobServiceClient::new(dev.channel()), PAYLOAD).await;
    let line = remote.wait_for_line("attempt failed").await;
    assert!(!line.contains(PAYLOAD), "{line}");
    let lines = json_lines(&line);
    let [("WARN", fields)] = with_message(&lines, "attempt failed")[..] else { panic!("{line}") };
    assert_eq!((&fields["job"], &fields["kind"]), (&id.into(), &"broken".into()));
    assert_eq!((&fields["queue"], &fields["attempt"]), (&"mail".into(), &1.into()));
    assert_eq!(fields["reason"], "EXIT_STATUS");
    assert!(!fields["error"].as_str().expect("an error").is_empty());
}

#[tokio::test]
async fn remote_workers_are_lines_from_their_start_to_their_end() {
    let dev = Dev::start(&["--log-format", "json"]).await;
    let remote = Remote::connected(&dev, &["--name", "leaving", "--exec", "upper=tr a-z A-Z"]).await;
    remote.signal(Signal::TERM);
    remote.ended().await;
    let mut jobs = JobServiceClient::new(dev.channel());
    let mut worker = RawWorker::try_open(dev.channel(), hello(7, 2)).await.expect("a welcome");
    let request = v1::SubmitRequest { job: Some(job("remote")), ..Default::default() };
    jobs.submit(request).await.expect("an answer");
    let assignment = worker.assigned(1).await.remove(0);
    let number = worker.report(&assignment.lease_id, News::Progress(v1::Progress::default())).await;
    worker.acked(number).await;
    dev.sh("jobstream workers drain raw-7 >/dev/null").await;
    drop(worker);
    crate::support::until("the worker is disconnected", async || {
        dev.sh("jobstream workers ls -o json").await.contains("DISCONNECTED")
    })
    .await;
    dev.signal(Signal::TERM);
    let (_, stderr) = dev.end().await;
    let lines = json_lines(&stderr);
    let joined = with_message(&lines, "worker joined");
    assert_eq!(joined.len(), 2, "{stderr}");
    assert_eq!(
        (joined[0].0, &joined[0].1["name"], &joined[0].1["kinds"]),
        ("INFO", &"leaving".into(), &1.into())
    );
    assert_eq!(joined[1].1["slots"], 2);
    let left = with_message(&lines, "worker left");
    assert_eq!((left[0].0, &left[0].1["name"]), ("INFO", &"leaving".into()));
    assert_eq!(with_message(&lines, "worker drains")[0].1["name"], "raw-7");
    let lost = with_message(&lines, "worker lost");
    let [("WARN", fields)] = lost[..] else { panic!("{stderr}") };
    assert_eq!((&fields["name"], &fields["running"]), (&"raw-7".into(), &1.into()));
    assert_eq!(fields["worker"], joined[1].1["worker"]);
}
