//! `watch`: resumption, gaps and heartbeats.

use jobstream::proto::v1::watch_result_response::Message;
use jobstream::proto::v1::{Gap, Heartbeat, Output};
use serde_json::Value;

use super::fake::{Fake, Proxy, Watching};
use super::*;

fn chunk(sequence: u32, chunk: &str) -> Result<Message, Status> {
    event(sequence, Event::Output(Output { payload: Some(text(chunk)), ..Output::default() }))
}

fn watching(messages: Vec<Result<Message, Status>>) -> Watching {
    Watching { messages, ..Watching::default() }
}

fn after_sequences(fake: &Fake) -> Vec<u32> {
    fake.script().watched.iter().map(|request| request.after_sequence).collect()
}

#[tokio::test]
async fn an_interrupted_stream_resumes_after_the_last_event() {
    let fake = Fake::start().await;
    fake.script().watch.extend([
        watching(vec![chunk(1, "a"), chunk(2, "b"), Err(Status::unavailable("cut"))]),
        // A stream that a proxy ends with OK lacks the final event.
        watching(vec![chunk(2, "b"), chunk(3, "c")]),
        watching(vec![Err(refusal(Code::Unavailable, "CONNECTION_CLOSING"))]),
        watching(vec![
            Ok(Message::Heartbeat(Heartbeat { sequence: 3 })),
            chunk(4, "d"),
            end(5, succeeded("!")),
        ]),
    ]);
    let ran = run(&mut client(fake.address, &["watch", ID])).await.exits(0);
    assert_eq!(ran.stdout, "abcd!");
    assert_eq!(after_sequences(&fake), [0, 2, 3, 3]);
}

#[tokio::test]
async fn a_watch_resumes_after_a_lost_connection() {
    let fake = Fake::start().await;
    let proxy = Proxy::to(fake.address).await;
    fake.script().watch.extend([
        Watching { messages: vec![chunk(1, "a"), chunk(2, "b")], stays_open: true },
        watching(vec![chunk(3, "c"), end(4, succeeded("!"))]),
    ]);
    let mut child = client(proxy.address, &["watch", ID]).spawn().expect("the command starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut first = [0; 2];
    let read = tokio::io::AsyncReadExt::read_exact(&mut stdout, &mut first);
    time::timeout(TIMEOUT, read).await.expect("in time").expect("two chunks");
    proxy.cut();
    let mut rest = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut rest);
    time::timeout(TIMEOUT, read).await.expect("in time").expect("the rest");
    assert_eq!((&first, rest.as_str()), (b"ab", "c!"));
    let output = child.wait_with_output().await.expect("the command ran");
    Finished::new(output).exits(0).prints(&["lost the server: trying again"]);
    assert_eq!(after_sequences(&fake), [0, 2]);
}

#[tokio::test]
async fn an_unreachable_server_ends_the_watch_with_how_to_resume() {
    let fake = Fake::start().await;
    fake.script().watch.push_back(watching(vec![chunk(1, "a"), Err(Status::unavailable("cut"))]));
    let args = ["watch", ID, "--reconnect", "0s", "--after-sequence", "0"];
    run(&mut client(fake.address, &args))
        .await
        .exits(7)
        .prints(&["lost the server", &format!("`jobstream watch {ID} --after-sequence 1`")]);
}

#[tokio::test]
async fn a_job_not_found_after_a_disconnect_ends_the_watch() {
    let fake = Fake::start().await;
    fake.script().watch.extend([
        watching(vec![chunk(1, "a"), Err(Status::unavailable("cut"))]),
        watching(vec![Err(refusal(Code::NotFound, "JOB_NOT_FOUND"))]),
    ]);
    run(&mut client(fake.address, &["watch", ID])).await.exits(5).prints(&["JOB_NOT_FOUND", "restart"]);
    assert_eq!(after_sequences(&fake), [0, 1]);
}

#[tokio::test]
async fn a_gap_is_printed_and_moves_the_resume_point() {
    let fake = Fake::start().await;
    let gap = Ok(Message::Gap(Gap { first: 3, last: 9 }));
    fake.script()
        .watch
        .extend([watching(vec![gap, Err(Status::unavailable("cut"))]), watching(vec![end(10, failed())])]);
    let args = ["watch", ID, "--after-sequence", "2"];
    run(&mut client(fake.address, &args)).await.exits(1).prints(&["events 3 to 9 are no longer retained"]);
    assert_eq!(after_sequences(&fake), [2, 9]);
}

#[tokio::test]
async fn json_output_is_one_event_per_line() {
    let fake = Fake::start().await;
    for format in ["json", "jsonl"] {
        let heartbeat = Ok(Message::Heartbeat(Heartbeat { sequence: 0 }));
        let gap = Ok(Message::Gap(Gap { first: 1, last: 1 }));
        let messages = vec![heartbeat, gap, change(2, JobState::Running), end(3, cancelled())];
        fake.script().watch.push_back(watching(messages));
        let ran = run(&mut client(fake.address, &["watch", ID, "-o", format])).await.exits(3);
        let lines: Vec<Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        assert_eq!(lines.len(), 3, "{}", ran.stdout);
        assert_eq!(lines[0]["gap"]["last"], 1);
        assert_eq!(lines[1]["event"]["stateChange"]["state"], "RUNNING");
        assert_eq!(lines[2]["event"]["stateChange"]["outcome"]["cancellation"]["reason"], "no need");
    }
}

#[tokio::test]
async fn output_of_an_earlier_attempt_is_marked_as_void() {
    let fake = Fake::start().await;
    let second = JobEvent {
        sequence: 2,
        attempt: 2,
        event: Some(Event::StateChange(StateChange {
            state: JobState::Running.into(),
            ..StateChange::default()
        })),
        ..JobEvent::default()
    };
    let messages = vec![chunk(1, "a\n"), Ok(Message::Event(second)), end(3, succeeded("b"))];
    fake.script().watch.push_back(watching(messages));
    run(&mut client(fake.address, &["watch", ID]))
        .await
        .exits(0)
        .prints(&["attempt 2: the output above is void"]);
}
