//! Runs one attempt from start to outcome: joins the pumps and the supervisor and interprets the exit status.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::{Pin, pin};
use std::process::ExitStatus;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::group::Group;
use super::pump::{Captured, PumpSignals, pump};
use super::spec::CommandSpec;
use super::supervisor::{Ending, Stop, Supervisor, at, time_limit_at};
use super::{CommandControl, CommandEvent, CommandInput, CommandOutcome};

/// Runs the program once and returns its outcome. All events have been sent by then, unless the program was stopped
/// while the receiver did not read them.
///
/// When this function returns, the program is reaped and its process group has ended. If the future is dropped, the
/// group gets KILL at once, and a task of this runtime reaps the program. `events` may be closed at any time. If the
/// attempt is cancelled before the start, no process is started.
///
/// # Panics
///
/// Outside a tokio runtime with I/O and time enabled.
pub async fn run(
    spec: &CommandSpec,
    input: CommandInput,
    events: mpsc::Sender<CommandEvent>,
    control: CommandControl,
) -> CommandOutcome {
    if control.cancel.is_cancelled() || control.force.is_cancelled() {
        return CommandOutcome::Cancelled { forced: false };
    }
    let limit_at = time_limit_at(spec);
    let (group, pipes) = match Group::spawn(spec, &input.env, &control) {
        Ok(started) => started,
        Err(error) => {
            return CommandOutcome::NotStarted { message: error.message, retryable: error.retryable };
        }
    };
    let signals = PumpSignals::default();
    let mut pumps = pin!(pump(pipes, input.payload, spec, events, &signals));
    let mut supervised = pin!(Supervisor::new(group, spec, &control, &signals).run());
    let mut captured = None;
    let ending = loop {
        tokio::select! {
            // The supervisor is polled first: the pumps can exhaust the task's budget, and then no timer fires.
            biased;
            ending = &mut supervised => break ending,
            all = &mut pumps, if captured.is_none() => captured = Some(all),
        }
    };
    let delivered = match captured {
        Some(captured) => Ok(captured),
        None => deliver(pumps, &control, &ending, limit_at).await,
    };
    match delivered {
        Ok(captured) => conclude(spec, &ending, captured, signals.overflow.is_cancelled()),
        Err(abandoned) => abandoned,
    }
}

/// Waits until a slow receiver has read the last events. Does not wait if the program was stopped.
async fn deliver(
    pumps: Pin<&mut impl Future<Output = Captured>>,
    control: &CommandControl,
    ending: &Ending,
    limit_at: Option<Instant>,
) -> Result<Captured, CommandOutcome> {
    let empty = || Captured { result: Vec::new(), stderr_tail: String::new() };
    tokio::select! {
        biased;
        captured = pumps => Ok(captured),
        () = std::future::ready(()), if ending.stop.is_some() => Ok(empty()),
        () = control.force.cancelled() => Err(CommandOutcome::Cancelled { forced: true }),
        () = control.cancel.cancelled() => Err(CommandOutcome::Cancelled { forced: true }),
        () = at(limit_at) => Err(CommandOutcome::TimedOut),
    }
}

fn conclude(spec: &CommandSpec, ending: &Ending, captured: Captured, overflow: bool) -> CommandOutcome {
    match ending.stop {
        Some(Stop::Cancelled) => return CommandOutcome::Cancelled { forced: ending.forced },
        Some(Stop::TimeLimit) => return CommandOutcome::TimedOut,
        Some(Stop::Overflow) | None => {}
    }
    let status = ending.status.as_ref();
    let (exit_code, signal) =
        (status.ok().and_then(ExitStatus::code), status.ok().and_then(ExitStatus::signal));
    if overflow {
        let limit = spec.result_bytes_max;
        let message = format!(
            "result is more than {limit} bytes, the limit: store it elsewhere and print a reference, raise the \
             limit, or send output line by line"
        );
        return CommandOutcome::Failed { exit_code, signal, message, retryable: false };
    }
    if exit_code == Some(0) {
        let content_type = result_content_type(spec, &captured.result);
        return CommandOutcome::Success { result: captured.result.into(), content_type };
    }
    let mut message = format!("{} {}", spec.program.display(), describe(&ending.status));
    if !captured.stderr_tail.is_empty() {
        message.push_str(": ");
        message.push_str(&captured.stderr_tail);
    }
    let retryable = match exit_code {
        Some(code) => spec.retryable_exit_codes.contains(&code),
        None => true,
    };
    CommandOutcome::Failed { exit_code, signal, message, retryable }
}

fn result_content_type(spec: &CommandSpec, result: &[u8]) -> String {
    let default = || match str::from_utf8(result) {
        Ok(_) => "text/plain; charset=utf-8".to_owned(),
        Err(_) => "application/octet-stream".to_owned(),
    };
    spec.content_type.clone().unwrap_or_else(default)
}

fn describe(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exited with {code}"),
            (None, Some(9)) => "was killed by signal 9 (KILL), often because memory ran out".to_owned(),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => format!("ended with {status}"),
        },
        Err(error) => format!("ended, but its exit status cannot be read: {error}"),
    }
}
