//! Programs that write too much, do not read, or close their pipes.

use super::*;

/// Returns the resident memory of this process in bytes.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("statm");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

/// A generous limit, because other tests run in this process. The failure would be gigabytes.
const GROWTH_MAX: usize = 200 * 1024 * 1024;
/// The bytes that one program writes to stderr.
const FLOOD_BYTES: usize = 1024 * 1024 * 1024;

#[tokio::test]
async fn endless_result_fails_early_and_names_the_limit() {
    let before = resident();
    let CommandOutcome::Failed { message, retryable, signal, .. } = outcome_of(shell("exec yes")).await
    else {
        panic!("must fail");
    };
    assert!(message.starts_with("result is more than 1048576 bytes"), "{message}");
    assert_eq!((retryable, signal), (false, Some(9)));
    assert!(resident() < before + GROWTH_MAX);
}

#[tokio::test]
async fn result_of_exactly_the_limit_is_accepted() {
    let limited = |script| {
        let mut spec = shell(script);
        spec.result_bytes_max = 5;
        spec
    };
    assert_eq!(result_text(&outcome_of(limited("printf 12345")).await), "12345");
    let over = outcome_of(limited("printf 123456")).await;
    assert!(matches!(over, CommandOutcome::Failed { .. }), "{over:?}");
}

#[tokio::test]
async fn flood_on_stderr_is_counted_and_not_stored() {
    let before = resident();
    let flood = format!("head -c {FLOOD_BYTES} /dev/zero >&2");
    let script = format!("{flood}; echo >&2; echo ::progress 1 done >&2; echo ok");
    let (outcome, events) = Running::start(shell(&script)).outcome().await;
    assert_eq!(result_text(&outcome), "ok\n");
    let log_bytes = |event: &CommandEvent| match event {
        CommandEvent::Log(Log { stream: LogStream::Stderr, text, .. }) => text.len(),
        _ => 0,
    };
    let stored: usize = events.iter().map(log_bytes).sum();
    assert_eq!(stored, 256 * 1024);
    let [.., CommandEvent::Progress(progress), CommandEvent::Log(Log { stream, text, .. })] = &events[..]
    else {
        panic!("progress is parsed and the loss is reported: {:?}", events.last());
    };
    assert_eq!((progress.fraction, *stream), (Some(1.0), LogStream::Log));
    assert!(text.starts_with(&format!("{} more bytes of stderr", FLOOD_BYTES - stored)), "{text}");
    assert!(resident() < before + GROWTH_MAX);
}

#[tokio::test]
async fn slow_reader_causes_backpressure_without_loss() {
    let (sender, mut events) = mpsc::channel(1);
    let spec = lines("i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done");
    let before = resident();
    let task =
        tokio::spawn(
            async move { run(&spec, CommandInput::default(), sender, CommandControl::default()).await },
        );
    for expected in 0..3000 {
        tokio::task::yield_now().await;
        let event = within("a line", events.recv()).await;
        assert_eq!(event, Some(CommandEvent::Output(Bytes::from(format!("line-{expected}\n")))));
    }
    assert!(matches!(within("the outcome", task).await, Ok(CommandOutcome::Success { .. })));
    assert!(resident() < before + GROWTH_MAX);
}

#[tokio::test]
async fn dropped_reader_does_not_block_the_program() {
    let (sender, events) = mpsc::channel(1);
    drop(events);
    let mut spec = lines("head -c 1000000 /dev/zero | tr '\\0' '\\n'; yes | head -n 100000 >&2; exit 3");
    spec.log_bytes_max = 1 << 30;
    let outcome =
        within("the outcome", run(&spec, CommandInput::default(), sender, CommandControl::default())).await;
    assert!(matches!(outcome, CommandOutcome::Failed { exit_code: Some(3), .. }), "{outcome:?}");
}

#[tokio::test]
async fn unread_payload_does_not_block_the_program() {
    let big = || payload(vec![b'x'; 1024 * 1024]);
    for script in ["head -c 500000 /dev/zero | tr '\\0' x", "exec <&-; head -c 500000 /dev/zero | tr '\\0' x"]
    {
        let running = Running::start_with(shell(script), big(), CommandControl::default());
        assert_eq!(result_text(&running.outcome().await.0).len(), 500_000);
    }
}

#[tokio::test]
async fn closing_only_stdout_does_not_end_the_attempt() {
    let (outcome, events) =
        Running::start(shell("echo out; exec >&-; echo later >&2; exit 4")).outcome().await;
    assert!(matches!(outcome, CommandOutcome::Failed { exit_code: Some(4), .. }), "{outcome:?}");
    assert_eq!(events, [log("later")]);
}

#[tokio::test]
async fn closing_both_pipes_does_not_end_the_attempt() {
    let dir = TempDir::new("both");
    let gate = dir.fifo("gate").await;
    let mut running =
        Running::start(shell(&format!("exec >&- 2>&-; read code < {}; exit $code", gate.display())));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut running.task).await;
    assert!(early.is_err(), "the attempt continues without pipes: {early:?}");
    within("the gate", tokio::fs::write(&gate, "4\n")).await.expect("the gate opens");
    let (outcome, _) = running.outcome().await;
    assert!(matches!(outcome, CommandOutcome::Failed { exit_code: Some(4), .. }), "{outcome:?}");
}
