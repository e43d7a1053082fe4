//! Programs as handlers with a real server: payload, result, events, exit codes and signals.

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::{FailureReason, JobState, LogLevel, LogStream};
use jobstream::worker::CommandHandler;
use jobstream::worker::command::{CommandSpec, OutputMode};
use rustix::process::{Pid, test_kill_process};
use serde_json::json;

use crate::support::{Setup, TestServer, Watched, job, json as payload, millis, text, until, watch_request};

/// Registers a shell script as the handler of `test.command`.
fn script(text: &str, change: impl FnOnce(&mut CommandSpec)) -> impl FnOnce(&mut Setup) {
    let mut spec = CommandSpec::new("sh");
    spec.args = vec!["-c".to_owned(), text.to_owned()];
    spec.inherited_env = vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())];
    change(&mut spec);
    move |setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker.command("test.command", CommandHandler::new(spec));
    }
}

async fn server(text: &str) -> TestServer {
    TestServer::with(script(text, |_| {})).await
}

fn command() -> v1::JobSpec {
    job("test.command")
}

/// Returns the text of a log line or a chunk of output.
fn event_text(event: &v1::JobEvent) -> Option<String> {
    match &event.event {
        Some(Event::Log(log)) => Some(log.text.clone()),
        Some(Event::Output(output)) => match output.payload.clone()?.body? {
            v1::payload::Body::Text(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Reads events until the first text of the program, and returns it.
async fn first_text(watched: &mut Watched) -> String {
    loop {
        if let Some(words) = watched.events.iter().find_map(event_text) {
            return words;
        }
        assert!(watched.step().await, "the watch ended early: {:?}", watched.ended);
    }
}

async fn is_gone(pid: i32) {
    let gone = || async { test_kill_process(Pid::from_raw(pid).expect("an id")).is_err() };
    until("the process is gone", gone).await;
}

#[tokio::test]
async fn the_payload_is_on_stdin_and_stdout_is_the_result() {
    let server = server("cat").await;
    let ended = server.run_to_end(v1::JobSpec { payload: Some(text("hello")), ..command() }).await;
    assert_eq!(ended.result(), &text("hello"));
    let value = payload(json!({"b": [1, 2.5, "x"], "a": null}));
    let ended = server.run_to_end(v1::JobSpec { payload: Some(value), ..command() }).await;
    assert_eq!(ended.result(), &text(r#"{"a":null,"b":[1,2.5,"x"]}"#));
}

#[tokio::test]
async fn a_command_with_a_json_content_type_returns_json() {
    let change = |spec: &mut CommandSpec| spec.content_type = Some("application/json".to_owned());
    let server = TestServer::with(script("cat", change)).await;
    let value = payload(json!({"n": 7}));
    let ended = server.run_to_end(v1::JobSpec { payload: Some(value.clone()), ..command() }).await;
    assert_eq!(ended.result(), &value);
}

#[tokio::test]
async fn json_of_a_program_keeps_all_digits() {
    const PRINTED: &str = r#"{"id":9007199254740993,"share":0.1234567890123456789}"#;
    let change = |spec: &mut CommandSpec| spec.content_type = Some("application/json".to_owned());
    let server = TestServer::with(script(&format!("printf %s '{PRINTED}'"), change)).await;
    let spec = v1::JobSpec { payload: Some(payload(json!({}))), ..command() };
    let exact = v1::Payload { content_type: "application/json".to_owned(), ..text(PRINTED) };
    assert_eq!(server.run_to_end(spec).await.result(), &exact);
}

#[tokio::test]
async fn the_environment_describes_the_job() {
    let server = server("env").await;
    let headers = [("trace-id".to_owned(), "abc".to_owned())].into();
    let spec = v1::JobSpec {
        queue: "tools".to_owned(),
        payload: Some(text("")),
        headers,
        attempt_timeout: Some(millis(90_000)),
        ..command()
    };
    let ended = server.run_to_end(spec).await;
    let Some(v1::payload::Body::Text(environment)) = &ended.result().body else { panic!("{ended:?}") };
    for line in [
        format!("JOBSTREAM_JOB_ID={}", ended.id),
        "JOBSTREAM_KIND=test.command".to_owned(),
        "JOBSTREAM_QUEUE=tools".to_owned(),
        "JOBSTREAM_ATTEMPT=1".to_owned(),
        "JOBSTREAM_CONTENT_TYPE=text/plain; charset=utf-8".to_owned(),
        "JOBSTREAM_HEADER_TRACE_ID=abc".to_owned(),
    ] {
        assert!(environment.lines().any(|own| own == line), "{line} is not in {environment}");
    }
    let left = environment.lines().find_map(|line| line.strip_prefix("JOBSTREAM_TIME_LEFT_MS="));
    let left: u32 = left.unwrap().parse().unwrap();
    assert!((80_000..=90_000).contains(&left), "{left}");
    assert!(!environment.contains("CARGO"), "the server's environment leaked: {environment}");
}

#[tokio::test]
async fn lines_of_stdout_are_output_events() {
    let lines = |spec: &mut CommandSpec| spec.output = OutputMode::Lines;
    let server = TestServer::with(script("echo one; read answer; echo two", lines)).await;
    let ended = server.run_to_end(command()).await;
    assert_eq!(ended.result(), &text(""));
    let watched = server.watch_all(&ended.id, 0).await;
    assert_eq!(watched.events.iter().filter_map(event_text).collect::<Vec<_>>(), ["one\n", "two\n"]);
}

#[tokio::test]
async fn stderr_becomes_log_and_progress_events() {
    let server = server(
        "echo plain >&2; echo '::warning nearly full' >&2; echo '::error full' >&2; \
         echo '::progress 3/10 files copying' >&2; echo done",
    )
    .await;
    let ended = server.run_to_end(command()).await;
    assert_eq!(ended.result(), &text("done\n"));
    let watched = server.watch_all(&ended.id, 0).await;
    let logs = watched.events.iter().filter_map(|event| match &event.event {
        Some(Event::Log(log)) => Some((log.level(), log.text.as_str(), log.stream())),
        _ => None,
    });
    assert_eq!(
        logs.collect::<Vec<_>>(),
        [
            (LogLevel::Info, "plain", LogStream::Stderr),
            (LogLevel::Warn, "nearly full", LogStream::Stderr),
            (LogLevel::Error, "full", LogStream::Stderr),
        ]
    );
    let progress = server.get(&ended.id).await.progress.unwrap();
    assert_eq!((progress.done, progress.total, progress.fraction), (Some(3.0), Some(10.0), Some(0.3)));
    assert_eq!((progress.unit.as_str(), progress.message.as_str()), ("files", "copying"));
}

#[tokio::test]
async fn exit_code_75_is_retried_and_other_codes_are_not() {
    let server = server("read code; echo \"attempt $JOBSTREAM_ATTEMPT\" >&2; exit $code").await;
    let retry = v1::RetryPolicy { max_attempts: 3, initial_backoff: Some(millis(1)), ..Default::default() };
    for (code, attempt, retryable) in [("75\n", 3, true), ("1\n", 1, false)] {
        let spec = v1::JobSpec { payload: Some(text(code)), retry: Some(retry), ..command() };
        let ended = server.run_to_end(spec).await;
        let failure = ended.failure();
        assert_eq!(failure.reason(), FailureReason::ExitStatus);
        assert_eq!((failure.attempt, failure.retryable), (attempt, retryable), "{failure:?}");
        assert_eq!(failure.r#type, format!("exit.{}", code.trim()));
        assert!(failure.message.contains(&format!("attempt {attempt}")), "{failure:?}");
    }
}

#[tokio::test]
async fn a_missing_program_is_reported() {
    let server = TestServer::with(|setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker =
            worker.command("test.command", CommandHandler::new(CommandSpec::new("/no/such/program")));
    })
    .await;
    let ended = server.run_to_end(command()).await;
    assert_eq!(ended.failure().reason(), FailureReason::NotStarted);
    assert!(ended.failure().message.contains("/no/such/program"), "{ended:?}");
}

#[tokio::test]
async fn cancel_signals_a_running_program_at_once() {
    let server = server("trap 'exit 0' TERM; echo $$ >&2; while :; do sleep 0.01; done").await;
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let id = server.submit(command()).await;
        let mut watched = server.watch(watch_request(&id, 0)).await;
        let pid = first_text(&mut watched).await.parse().unwrap();
        let begin = Instant::now();
        server.cancel(&id, Duration::from_secs(20)).await.unwrap();
        watched.rest().await.outcome();
        slowest = slowest.max(begin.elapsed());
        assert!(!server.end(&id).await.cancellation().forced);
        is_gone(pid).await;
    }
    println!("a running program was cancelled within {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn a_program_that_ignores_term_is_killed_after_the_grace_period() {
    let server = server("trap '' TERM; echo $$ >&2; while :; do sleep 0.01; done").await;
    let id = server.submit(command()).await;
    let mut watched = server.watch(watch_request(&id, 0)).await;
    let pid = first_text(&mut watched).await.parse().unwrap();
    let begin = Instant::now();
    server.cancel(&id, Duration::from_millis(300)).await.unwrap();
    watched.rest().await.outcome();
    let took = begin.elapsed();
    assert!(server.end(&id).await.cancellation().forced);
    assert!((300..1_300).contains(&took.as_millis()), "{took:?}");
    is_gone(pid).await;
}

#[tokio::test]
async fn the_attempt_timeout_ends_a_program_and_its_children() {
    let server = server("sleep 1000 & echo $! >&2; wait").await;
    let spec = v1::JobSpec { attempt_timeout: Some(millis(300)), ..command() };
    let id = server.submit(spec).await;
    let mut watched = server.watch(watch_request(&id, 0)).await;
    let child = first_text(&mut watched).await.parse().unwrap();
    let watched = watched.rest().await;
    watched.outcome();
    assert_eq!(watched.states().last(), Some(&JobState::Failed));
    assert_eq!(server.end(&id).await.failure().reason(), FailureReason::AttemptTimeout);
    is_gone(child).await;
}
