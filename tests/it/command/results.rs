//! Results, output lines, logs, progress and exit codes of a program.

use super::*;

#[tokio::test]
async fn stdin_to_stdout_is_the_result() {
    let running = Running::start_with(shell("cat"), payload("héllo"), CommandControl::default());
    let (outcome, events) = running.outcome().await;
    let content_type = "text/plain; charset=utf-8".to_owned();
    assert_eq!(outcome, CommandOutcome::Success { result: Bytes::from("héllo"), content_type });
    assert_eq!(events, []);
}

#[tokio::test]
async fn full_size_payload_is_returned_unchanged() {
    let bytes: Vec<u8> = (0..1024 * 1024_u32).map(|index| (index % 251) as u8).collect();
    let running = Running::start_with(shell("cat"), payload(bytes.clone()), CommandControl::default());
    let content_type = "application/octet-stream".to_owned();
    assert_eq!(running.outcome().await.0, CommandOutcome::Success { result: bytes.into(), content_type });
}

#[tokio::test]
async fn content_type_is_the_configured_one() {
    let mut spec = shell("echo '{}'");
    spec.content_type = Some("application/json".to_owned());
    let CommandOutcome::Success { content_type, .. } = outcome_of(spec).await else { panic!("must succeed") };
    assert_eq!(content_type, "application/json");
}

#[tokio::test]
async fn every_line_is_sent_as_soon_as_it_is_written() {
    // The program writes the second line after the test has received the first.
    let dir = TempDir::new("lines");
    let gate = dir.fifo("gate").await;
    let mut running =
        Running::start(lines(&format!("echo one; cat {}; printf 'three\\nrest'", gate.display())));
    assert_eq!(running.line().await, "one");
    within("the gate", tokio::fs::write(&gate, "two\n")).await.expect("the gate opens");
    let (outcome, events) = running.outcome().await;
    assert_eq!(events, ["two\n", "three\n", "rest"].map(|line| CommandEvent::Output(Bytes::from(line))));
    assert_eq!(result_text(&outcome), "");
}

#[tokio::test]
async fn stderr_becomes_log_lines_and_progress() {
    let script = "printf 'start\\n::progress 0.5 halfway there\\n::error bad\\n::progress 3/10 files\\n::progress x\\nend' >&2";
    let (outcome, events) = Running::start(shell(script)).outcome().await;
    assert_eq!(result_text(&outcome), "");
    let expected = [
        log("start"),
        CommandEvent::Progress(Progress {
            fraction: Some(0.5),
            message: "halfway there".to_owned(),
            ..Progress::default()
        }),
        CommandEvent::Log(Log { level: LogLevel::Error, text: "bad".into(), stream: LogStream::Stderr }),
        CommandEvent::Progress(Progress {
            fraction: Some(0.3),
            done: Some(3.0),
            total: Some(10.0),
            unit: "files".to_owned(),
            message: String::new(),
        }),
        log("::progress x"),
        log("end"),
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn exit_75_is_retryable_and_other_codes_are_not() {
    for (code, expected) in [(75, true), (3, false), (127, false)] {
        let script = format!("echo out; echo first >&2; echo the reason >&2; exit {code}");
        let CommandOutcome::Failed { exit_code, signal, message, retryable } =
            outcome_of(shell(&script)).await
        else {
            panic!("must fail");
        };
        assert_eq!((exit_code, signal, retryable), (Some(code), None, expected));
        assert_eq!(message, format!("sh exited with {code}: first\nthe reason"));
    }
}

#[tokio::test]
async fn retryable_exit_codes_are_configurable() {
    let mut spec = shell("exit 3");
    spec.retryable_exit_codes = vec![3, 4];
    assert!(matches!(outcome_of(spec).await, CommandOutcome::Failed { retryable: true, .. }));
}

#[tokio::test]
async fn death_by_an_external_signal_is_retryable() {
    let CommandOutcome::Failed { exit_code, signal, message, retryable } =
        outcome_of(shell("kill -9 $$")).await
    else {
        panic!("must fail");
    };
    assert_eq!((exit_code, signal, retryable), (None, Some(9), true));
    assert!(message.starts_with("sh was killed by signal 9"), "{message}");
}

#[tokio::test]
async fn start_failure_has_a_reason() {
    let dir = TempDir::new("start");
    let script = dir.path.join("script");
    let mut missing_dir = shell("true");
    missing_dir.working_dir = Some(dir.path.join("none"));
    let mut nul = shell("true");
    nul.env = vec![("A".to_owned(), "b\0c".to_owned())];
    let mut cases = vec![
        (
            CommandSpec::new("no-such-program"),
            "no-such-program: not found in /usr/local/bin, /usr/bin, /bin (PATH)",
        ),
        (CommandSpec::new("/no/such/file"), "/no/such/file: no such file"),
        (missing_dir, "none does not exist: create it"),
        (nul, "variable A contains a NUL byte"),
    ];
    for (mode, content, expected) in [
        ("0644", "#!/bin/sh\n", "chmod +x"),
        ("0755", "#!/no/interpreter\n", "interpreter"),
        ("0755", "\u{1}", "#!"),
    ] {
        // Another process writes it: a file that is open for writing cannot be executed.
        let file = script.with_extension(expected.replace([' ', '+', '#', '!'], "_"));
        let write = format!("printf '{content}' > {0} && chmod {mode} {0}", file.display());
        result_text(&outcome_of(shell(&write)).await);
        cases.push((CommandSpec::new(file), expected));
    }
    for (spec, expected) in cases {
        let CommandOutcome::NotStarted { message, retryable } = outcome_of(spec).await else {
            panic!("{expected}")
        };
        assert!(message.starts_with("cannot start ") && message.contains(expected), "{message}");
        assert!(!retryable, "{message}");
    }
}

#[tokio::test]
async fn a_command_starts_in_its_directory() {
    let mut spec = shell("pwd");
    spec.working_dir = Some("/usr".into());
    assert_eq!(result_text(&outcome_of(spec).await), "/usr\n");
}
