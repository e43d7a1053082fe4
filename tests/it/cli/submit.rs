//! `submit`, `run` and `result`.

use std::time::Duration;

use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::{Log, Output, payload};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::fake::{Fake, Watching};
use super::*;

#[tokio::test]
async fn a_detached_submit_prints_its_id() {
    let fake = Fake::start().await;
    fake.script().submit.extend([accepted()]);
    let ran = run(&mut client(fake.address, &["submit", "demo.echo", r#"{"hi": "there"}"#])).await.exits(0);
    let job = fake.script().submitted[0].job.clone().expect("a job");
    assert_eq!(ran.stdout, format!("{}\n", job.job_id));
    assert_eq!(ran.stderr, "");
    assert!(matches!(job.payload.and_then(|payload| payload.body), Some(payload::Body::Json(_))));
}

#[tokio::test]
async fn a_job_id_that_is_not_a_uuid_gets_the_way_to_one() {
    let way_out = "a UUID; derive one from a name with UUIDv5, as in `uuidgen --sha1 --namespace @dns --name order-123`";
    for args in [
        &["submit", "demo.echo", "--job-id", "order-123"][..],
        &["run", "demo.echo", "--job-id", "order-123"],
        &["result", "order-123"],
        &["watch", "order-123"],
        &["jobs", "get", "order-123"],
        &["jobs", "cancel", "order-123"],
        &["jobs", "retry", "order-123"],
        &["jobs", "rm", "order-123"],
    ] {
        let ran =
            run(&mut jobstream(args)).await.exits(2).prints(&["\"order-123\" is not a job id", way_out]);
        assert!(!ran.stderr.contains("invalid character"), "{}", ran.stderr);
    }
    let nil = "00000000-0000-0000-0000-000000000000";
    run(&mut jobstream(&["result", nil])).await.exits(2).prints(&["is the nil UUID", "use another UUID"]);
}

#[tokio::test]
async fn a_submit_is_retried_with_the_same_id() {
    let fake = Fake::start().await;
    let mut details = ErrorDetails::with_error_info("DRAINING", "jobstream", HashMap::new());
    details.set_retry_info(Some(Duration::from_millis(900)));
    let draining = Status::with_error_details(Code::Unavailable, "draining", details);
    fake.script().submit.extend([Err(draining), Err(Status::unavailable("proxy")), accepted()]);
    let started = std::time::Instant::now();
    run(&mut client(fake.address, &["submit", "demo.echo"]))
        .await
        .exits(0)
        .prints(&["DRAINING", "trying again"]);
    assert!(started.elapsed() >= Duration::from_millis(900), "the retry delay of the server");
    let ids: Vec<_> = fake
        .script()
        .submitted
        .iter()
        .flat_map(|request| &request.job)
        .map(|job| job.job_id.clone())
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0] && !id.is_empty()), "{ids:?}");
}

#[tokio::test]
async fn a_full_queue_is_not_retried() {
    let fake = Fake::start().await;
    let mut details = ErrorDetails::with_error_info("QUEUE_FULL", "jobstream", HashMap::new());
    details.set_retry_info(Some(Duration::from_millis(1)));
    let full = Status::with_error_details(Code::ResourceExhausted, "no", details);
    fake.script().submit.extend([Err(full)]);
    run(&mut client(fake.address, &["submit", "demo.echo"]))
        .await
        .exits(8)
        .prints(&["error: no (QUEUE_FULL)"]);
    assert_eq!(fake.script().submitted.len(), 1);
}

#[tokio::test]
async fn every_violation_is_shown() {
    let fake = Fake::start().await;
    let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "jobstream", HashMap::new());
    details.add_bad_request_violation("job.kind", "is empty");
    details.add_bad_request_violation("job.queue", "has a space");
    let invalid = Status::with_error_details(Code::InvalidArgument, "2 fields are wrong", details);
    fake.script().submit.extend([Err(invalid)]);
    let ran = run(&mut client(fake.address, &["submit", ""])).await.exits(2);
    assert_eq!(
        ran.stderr,
        "error: 2 fields are wrong (INVALID_FIELD)\n  job.kind: is empty\n  job.queue: has a space\n"
    );
}

#[tokio::test]
async fn the_exit_code_of_a_wait_is_that_of_the_outcome() {
    let fake = Fake::start().await;
    for (end, code, stdout, stderr) in [
        (succeeded("done"), 0, "done", ""),
        (failed(), 1, "", "HANDLER: boom"),
        (cancelled(), 3, "", "was cancelled: no need"),
    ] {
        fake.script().submit.extend([accepted()]);
        let messages = vec![change(1, JobState::Queued), self::end(2, end)];
        fake.script().watch.push_back(Watching { messages, ..Watching::default() });
        let ran =
            run(&mut client(fake.address, &["submit", "k", "--wait"])).await.exits(code).prints(&[stderr]);
        assert_eq!(ran.stdout, stdout);
    }
}

#[tokio::test]
async fn an_interrupted_wait_resumes_after_the_last_event() {
    let fake = Fake::start().await;
    fake.script().submit.extend([accepted()]);
    for messages in [
        vec![change(1, JobState::Queued), Err(Status::unavailable("cut"))],
        vec![change(2, JobState::Running), end(3, succeeded("done"))],
    ] {
        fake.script().watch.push_back(Watching { messages, ..Watching::default() });
    }
    let ran = run(&mut client(fake.address, &["submit", "k", "--wait"])).await.exits(0);
    assert_eq!(ran.stdout, "done");
    let script = fake.script();
    assert_eq!((script.submitted.len(), script.asked.len()), (1, 0));
    let resumed: Vec<_> = script.watched.iter().map(|request| request.after_sequence).collect();
    assert_eq!(resumed, [1]);
}

#[tokio::test]
async fn a_missed_end_is_reported_as_an_expired_result() {
    let fake = Fake::start().await;
    fake.script().submit.extend([accepted()]);
    for messages in
        [vec![Err(Status::unavailable("cut"))], vec![Err(refusal(Code::NotFound, "RESULT_EXPIRED"))]]
    {
        fake.script().watch.push_back(Watching { messages, ..Watching::default() });
    }
    run(&mut client(fake.address, &["submit", "k", "--wait"])).await.exits(9).prints(&["the job ended"]);
}

#[tokio::test]
async fn errors_have_exit_codes_of_their_own() {
    let fake = Fake::start().await;
    for (status, code) in [
        (refusal(Code::Unauthenticated, ""), 4),
        (refusal(Code::PermissionDenied, ""), 4),
        (refusal(Code::NotFound, "JOB_NOT_FOUND"), 5),
        (refusal(Code::NotFound, "RESULT_EXPIRED"), 9),
        (refusal(Code::Internal, "INTERNAL"), 10),
    ] {
        fake.script().result.extend([Err(status)]);
        run(&mut client(fake.address, &["result", ID])).await.exits(code).prints(&["error: no"]);
    }
}

#[tokio::test]
async fn a_wait_that_times_out_prints_how_to_resume() {
    let fake = Fake::start().await;
    fake.script().result.extend([running()]);
    let address = fake.address.to_string();
    run(&mut jobstream(&["result", ID, "--address", &address]))
        .await
        .exits(6)
        .prints(&["it is RUNNING", &format!("`jobstream result {ID} --wait --address http://{address}`")]);

    fake.script().result.extend((0..20).map(|_| running()));
    let ran = run(&mut client(fake.address, &["result", ID, "--wait=600ms"])).await.exits(6).prints(&[ID]);
    assert_eq!(ran.stdout, "");
    let asked = fake.script().asked.len();
    assert!((2..=12).contains(&asked), "an early response is not followed by a busy loop: {asked} requests");
}

#[tokio::test]
async fn an_unreachable_server_is_named_with_its_address_source() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let by_variable = run(&mut client(address, &["jobs", "ls"])).await.exits(7);
    by_variable.prints(&[
        &format!("http://{address} (from JOBSTREAM_ADDRESS): Connection refused"),
        "jobstream dev",
    ]);
    let by_flag = run(&mut jobstream(&["jobs", "ls", "--address", &address.to_string()])).await.exits(7);
    by_flag.prints(&["(from --address)"]);
    run(&mut client(address, &["jobs", "ls", "--address", "host"]))
        .await
        .exits(2)
        .prints(&["the port is missing"]);
}

#[tokio::test]
async fn a_server_that_does_not_respond_times_out() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let silent = run(&mut client(address, &["jobs", "ls", "--rpc-timeout", "200ms"])).await.exits(7);
    silent.prints(&["did not answer in time"]);
}

#[tokio::test]
async fn a_run_writes_data_to_stdout_and_the_rest_to_stderr() {
    let fake = Fake::start().await;
    fake.script().submit.extend([accepted(), accepted(), accepted()]);
    let chunk = |chunk: &str| Event::Output(Output { payload: Some(text(chunk)), ..Output::default() });
    let log = Event::Log(Log { text: "hot \u{1b}[31m".to_owned(), ..Log::default() });
    for _ in 0..3 {
        let messages = vec![
            change(1, JobState::Queued),
            change(2, JobState::Running),
            event(3, chunk("one ")),
            event(4, log.clone()),
            event(5, chunk("two\n")),
            end(6, succeeded("three")),
        ];
        fake.script().watch.push_back(Watching { messages, ..Watching::default() });
    }
    let ran = run(&mut client(fake.address, &["run", "k"])).await.exits(0);
    assert_eq!(ran.stdout, "one two\nthree");
    let ran = ran.prints(&["QUEUED", "RUNNING", "log   | hot \\u{1b}[31m"]);
    assert!(!ran.stderr.contains("two"), "{}", ran.stderr);

    let quiet = run(&mut client(fake.address, &["run", "k", "-q"])).await.exits(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("one two\nthree", ""));

    let whole = run(&mut client(fake.address, &["run", "k", "-o", "json"])).await.exits(0);
    let object: Value = serde_json::from_str(&whole.stdout).expect("one object");
    assert_eq!(object["state"], "SUCCEEDED");
    assert_eq!(object["outcome"]["result"]["text"], "three");
}

#[tokio::test]
async fn an_interrupt_detaches_and_prints_how_to_resume() {
    let fake = Fake::start().await;
    let child = watching_command(&fake, &["run", "k"]).await;
    interrupt(&child.process);
    let ran = child.finish().await.exits(130);
    let id = fake.script().submitted[0].job.clone().expect("a job").job_id;
    ran.prints(&[&format!("job {id} continues"), &format!("`jobstream watch {id} --after-sequence 1`")]);
    assert_eq!(fake.script().cancelled.len(), 0);
}

#[tokio::test]
async fn an_interrupt_cancels_the_job_on_request() {
    let fake = Fake::start().await;
    fake.script().cancel.extend([Ok(Default::default())]);
    let child = watching_command(&fake, &["run", "k", "--cancel-on-interrupt"]).await;
    interrupt(&child.process);
    fake.cancelled().await;
    fake.push(end(2, cancelled()).expect("an event"));
    child.finish().await.exits(3).prints(&["was cancelled"]);
    assert_eq!(fake.script().cancelled[0].reason, "interrupted");
}

/// A command that has received the running state.
struct Watcher {
    process: Child,
    stderr: Lines<BufReader<ChildStderr>>,
}

async fn watching_command(fake: &Fake, args: &[&str]) -> Watcher {
    fake.script().submit.extend([accepted()]);
    let messages = vec![change(1, JobState::Running)];
    fake.script().watch.push_back(Watching { messages, stays_open: true });
    let mut process = client(fake.address, args).spawn().expect("the command starts");
    let mut stderr = BufReader::new(process.stderr.take().expect("a pipe")).lines();
    while time::timeout(TIMEOUT, stderr.next_line()).await.expect("in time").expect("a line")
        != Some("RUNNING".to_owned())
    {}
    Watcher { process, stderr }
}

impl Watcher {
    async fn finish(mut self) -> Finished {
        let output =
            time::timeout(TIMEOUT, self.process.wait_with_output()).await.expect("the command ends in time");
        let mut ran = Finished::new(output.expect("the command ran"));
        while let Some(line) = self.stderr.next_line().await.expect("a line") {
            ran.stderr += &format!("{line}\n");
        }
        ran
    }
}

fn interrupt(child: &Child) {
    let id = i32::try_from(child.id().expect("the command runs")).expect("a process id");
    kill_process(Pid::from_raw(id).expect("a process id"), Signal::INT).expect("it can be interrupted");
}

#[tokio::test]
async fn a_closed_stdout_ends_the_command_silently() {
    let fake = Fake::start().await;
    fake.script().submit.extend([accepted()]);
    let mut command = client(fake.address, &["submit", "k"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = command.stdout(writer).spawn().expect("the command starts");
    let output = time::timeout(TIMEOUT, child.wait_with_output()).await.expect("the command ends in time");
    let ran = Finished::new(output.expect("the command ran")).exits(10);
    assert_eq!(ran.stderr, "");
}

#[tokio::test]
async fn invalid_usage_sends_no_request() {
    for (args, hint) in [
        (vec!["submit", "k", "not json"], "--text"),
        (vec!["submit", "k", "@/no/such/file"], "/no/such/file"),
        (vec!["result", "7"], "invalid value"),
        (vec!["submti", "k"], "submit"),
    ] {
        run(&mut jobstream(&args)).await.exits(2).prints(&[hint]);
    }
}
