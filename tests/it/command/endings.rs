//! The end of a running program by cancel, force, time limit or a dropped future.
//! Its whole process group ends with it.

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// A program and its child that print their ids and ignore TERM.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo $$ $!; wait; while :; do sleep 1000; done";

/// Returns the output on stdout. The messages of shells on stderr differ.
fn output(events: &[CommandEvent]) -> String {
    let chunks = events.iter().filter_map(|event| match event {
        CommandEvent::Output(chunk) => Some(String::from_utf8_lossy(chunk)),
        _ => None,
    });
    chunks.collect()
}

async fn assert_dead(pids: &[i32]) {
    eventually("every process of the group is dead", || !pids.iter().any(|pid| is_alive(*pid))).await;
    assert!(!pids.iter().any(|pid| is_our_zombie(*pid)), "{pids:?}");
}

#[tokio::test]
async fn cancel_sends_term_and_waits_for_the_program() {
    let script = "trap 'echo cleaning; exit 0' TERM; echo $$; while :; do sleep 0.01; done";
    let mut running = Running::start(lines(script));
    let pids = running.pids().await;
    running.control.cancel.cancel();
    let (outcome, events) = running.outcome().await;
    assert_eq!(outcome, CommandOutcome::Cancelled { forced: false });
    assert_eq!(output(&events), "cleaning\n");
    assert_dead(&pids).await;
}

#[tokio::test]
async fn cancel_reaches_the_whole_group() {
    let mut running = Running::start(lines("sleep 1000 & echo $$ $!; wait"));
    let pids = running.pids().await;
    running.control.cancel.cancel();
    assert_eq!(running.outcome().await.0, CommandOutcome::Cancelled { forced: false });
    assert_dead(&pids).await;
}

#[tokio::test]
async fn child_of_a_terminated_parent_has_the_grace_period() {
    let dir = TempDir::new("grace");
    let gate = dir.fifo("gate").await;
    let child =
        format!("trap 'cat {}; exit' TERM; echo $PPID $$; while :; do sleep 0.01; done", gate.display());
    let mut running = Running::start(lines(&format!("sh -c \"{}\" & wait", child.replace('$', "\\$"))));
    let pids = running.pids().await;
    running.control.cancel.cancel();
    eventually("the parent has died of it", || !is_alive(pids[0])).await;
    let early = tokio::time::timeout(Duration::from_millis(200), &mut running.task).await;
    assert!(early.is_err(), "the child has not ended: {early:?}");
    within("the gate", tokio::fs::write(&gate, "child\n")).await.expect("the gate opens");
    let (outcome, events) = running.outcome().await;
    assert_eq!(outcome, CommandOutcome::Cancelled { forced: false });
    assert_eq!(output(&events), "child\n");
    assert_dead(&pids).await;
}

#[tokio::test]
async fn force_ends_a_program_that_ignores_cancel() {
    let mut running = Running::start(lines(STUBBORN));
    let pids = running.pids().await;
    running.control.cancel.cancel();
    let still = tokio::time::timeout(Duration::from_millis(200), &mut running.task).await;
    assert!(still.is_err(), "it ignores TERM, so only force ends it: {still:?}");
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    running.control.force.cancel();
    assert_eq!(running.outcome().await.0, CommandOutcome::Cancelled { forced: true });
    assert_dead(&pids).await;
}

#[tokio::test]
async fn force_works_on_a_stopped_program_and_without_cancel() {
    let mut running = Running::start(lines("echo $$; kill -STOP $$"));
    let pids = running.pids().await;
    eventually("it is stopped", || process(pids[0]).is_some_and(|(state, _)| state == 'T')).await;
    running.control.force.cancel();
    assert_eq!(running.outcome().await.0, CommandOutcome::Cancelled { forced: true });
    assert_dead(&pids).await;
}

#[tokio::test]
async fn cancel_before_the_start_starts_nothing() {
    let control = CommandControl::default();
    control.cancel.cancel();
    let dir = TempDir::new("unstarted");
    let trace = dir.path.join("trace");
    let spec = shell(&format!("touch {}", trace.display()));
    let running = Running::start_with(spec, CommandInput::default(), control);
    assert_eq!(running.outcome().await.0, CommandOutcome::Cancelled { forced: false });
    assert!(!trace.exists());
}

#[tokio::test]
async fn time_limit_is_term_then_kill() {
    for (script, grace) in
        [("sleep 1000 & echo $$ $!; wait", Duration::from_secs(600)), (STUBBORN, Duration::ZERO)]
    {
        let mut spec = lines(script);
        spec.time_limit = Some(Duration::from_millis(300));
        spec.kill_grace = grace;
        let mut running = Running::start(spec);
        let pids = running.pids().await;
        assert_eq!(running.outcome().await.0, CommandOutcome::TimedOut);
        assert_dead(&pids).await;
    }
}

#[tokio::test]
async fn flood_delays_neither_time_limit_nor_cancel() {
    for mode in [OutputMode::Lines, OutputMode::Result] {
        let mut spec = shell("trap '' TERM; yes >&2");
        spec.output = mode;
        spec.time_limit = Some(Duration::from_millis(200));
        spec.kill_grace = Duration::from_millis(100);
        let start = Instant::now();
        assert_eq!(outcome_of(spec).await, CommandOutcome::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
    let mut running = Running::start(lines("echo $$; exec yes"));
    running.line().await;
    running.control.cancel.cancel();
    assert_eq!(running.outcome().await.0, CommandOutcome::Cancelled { forced: false });
}

#[tokio::test]
async fn background_child_that_holds_the_pipes_is_killed() {
    let start = Instant::now();
    let mut running = Running::start(lines("trap '' HUP; sleep 1000 & echo $!"));
    let pids = running.pids().await;
    assert_eq!(result_text(&running.outcome().await.0), "");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_dead(&pids).await;
}

#[tokio::test]
async fn background_child_without_pipes_is_killed() {
    let mut running = Running::start(lines("sleep 1000 <&- >&- 2>&- & echo $!"));
    let pids = running.pids().await;
    assert_eq!(result_text(&running.outcome().await.0), "");
    assert_dead(&pids).await;
}

#[tokio::test]
async fn output_of_a_background_child_is_included() {
    // The shell is a zombie until its group has ended, so the child polls its state.
    let script = "(until grep -q ') Z' /proc/$$/stat; do sleep 0.01; done; echo late) & echo early";
    assert_eq!(result_text(&outcome_of(shell(script)).await), "early\nlate\n");
}

#[tokio::test]
async fn process_outside_the_group_does_not_block_the_end() {
    let mut running = Running::start(lines("setsid sh -c 'echo $$; exec yes >&2' & wait $!; sleep 1000"));
    let pids = running.pids().await;
    running.control.force.cancel();
    assert_eq!(running.outcome().await.0, CommandOutcome::Cancelled { forced: true });
    // Its pipe has no reader, so SIGPIPE ends it.
    assert_dead(&pids).await;
}

#[tokio::test]
async fn output_is_complete_with_a_pipe_held_outside_the_group() {
    let dir = TempDir::new("escaped");
    let gate = dir.fifo("gate").await;
    let gate = gate.display();
    let script = format!("setsid sh -c 'echo $$; echo >{gate}; exec sleep 1000' & read go <{gate}; echo end");
    let (outcome, events) = Running::start(lines(&script)).outcome().await;
    assert_eq!(result_text(&outcome), "");
    let text = output(&events);
    let (pid, rest) = text.split_once('\n').expect("two lines");
    assert_eq!(rest, "end\n");
    let escaped = Pid::from_raw(pid.parse().expect("a process id")).expect("a process id");
    kill_process(escaped, Signal::KILL).expect("the runner did not end it");
}

#[tokio::test]
async fn dropped_future_kills_the_group_and_leaves_no_zombie() {
    let mut running = Running::start(lines(STUBBORN));
    let pids = running.pids().await;
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    running.task.abort();
    assert!(within("the abort", running.task).await.expect_err("aborted").is_cancelled());
    eventually("the group is dead and reaped", || {
        !pids.iter().any(|pid| is_alive(*pid))
            && process(pids[0]).is_none_or(|(_, parent)| parent != own_id())
    })
    .await;
}

#[tokio::test]
async fn cancel_ends_the_wait_for_a_blocked_reader() {
    let (sender, mut events) = mpsc::channel(1);
    let control = CommandControl::default();
    let cancel = control.cancel.clone();
    let spec = lines("echo $$; yes | head -n 100");
    let task = tokio::spawn(async move { run(&spec, CommandInput::default(), sender, control).await });
    let Some(CommandEvent::Output(first)) = within("a line", events.recv()).await else {
        panic!("the first event is a line")
    };
    let pid = String::from_utf8_lossy(&first).trim().parse().expect("a process id");
    eventually("the program has ended", || process(pid).is_none()).await;
    assert!(!task.is_finished(), "output is still undelivered");
    cancel.cancel();
    let outcome = within("the outcome", task).await.expect("the runner does not panic");
    assert_eq!(outcome, CommandOutcome::Cancelled { forced: true });
}

fn own_id() -> i32 {
    std::process::id().cast_signed()
}
