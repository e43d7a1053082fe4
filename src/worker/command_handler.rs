//! Runs a program as the handler of a kind: the environment of the program, its reports, and the outcome of the
//! attempt.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::command::{
    self, CommandControl, CommandEvent, CommandInput, CommandOutcome, CommandSpec, OrphanGuard, OrphanReaper,
    header_env, trace_env,
};
use super::handler::{HandlerResult, result_payload, text_or_data};
use super::start_backoff::StartBackoff;
use super::{JobContext, JobError};
use crate::job::{Encoding, Failure, FailureReason, Log};

/// Runs the programs of one handler.
pub(super) struct Runner {
    handler: CommandHandler,
    backoff: StartBackoff,
}

/// Capacity of the channel for a program's events. When it is full, the program's pipes are not read.
const EVENTS_QUEUED_MAX: usize = 64;

/// Default of [`CommandHandler::slots`].
const DEFAULT_COMMAND_SLOTS: u32 = 8;

/// A program that runs the attempts of one kind.
#[derive(Clone)]
pub struct CommandHandler {
    /// The program, its environment and its bounds.
    pub spec: CommandSpec,
    /// How many programs run at a time. Default 8.
    pub slots: u32,
    /// Kills running programs if this process is killed.
    pub guard: Option<OrphanGuard>,
    /// Reaps orphans of programs, while [`OrphanReaper::run`] runs.
    pub reaper: OrphanReaper,
}

impl CommandHandler {
    /// A handler that runs this command, with the default slots and no guard.
    pub fn new(spec: CommandSpec) -> Self {
        Self { spec, slots: DEFAULT_COMMAND_SLOTS, guard: None, reaper: OrphanReaper::default() }
    }

    pub(super) fn runner(self) -> Arc<Runner> {
        Arc::new(Runner { handler: self, backoff: StartBackoff::default() })
    }
}

impl Runner {
    /// Runs one attempt. If the program cannot be started for a transient reason, the job is released with a back-off.
    pub(super) async fn run(self: Arc<Self>, context: JobContext) -> HandlerResult {
        let outcome = self.handler.run(&context).await;
        let CommandOutcome::NotStarted { message, retryable: true } = &outcome else {
            self.backoff.reset();
            return result(outcome, context.payload().encoding);
        };
        Err(self.backoff.release(&context, message).await)
    }
}

impl CommandHandler {
    async fn run(&self, context: &JobContext) -> CommandOutcome {
        let (sender, mut events) = mpsc::channel(EVENTS_QUEUED_MAX);
        let input = CommandInput { payload: context.payload().bytes.clone(), env: environment(context) };
        let cancel = context.cancel_token().clone();
        let (guard, reaper) = (self.guard.clone(), self.reaper.clone());
        let control = CommandControl { cancel, guard, reaper, ..CommandControl::default() };
        let report_events = async {
            while let Some(event) = events.recv().await {
                report(context, event).await;
            }
        };
        let (outcome, ()) = tokio::join!(command::run(&self.spec, input, sender, control), report_events);
        outcome
    }
}

/// The environment variables of one attempt, in addition to those of the spec.
fn environment(context: &JobContext) -> Vec<(String, String)> {
    let time_left = context.deadline().saturating_duration_since(tokio::time::Instant::now());
    let fixed = [
        ("JOBSTREAM_JOB_ID", context.job_id().to_string()),
        ("JOBSTREAM_KIND", context.kind().to_owned()),
        ("JOBSTREAM_QUEUE", context.queue().to_owned()),
        ("JOBSTREAM_ATTEMPT", context.attempt().to_string()),
        ("JOBSTREAM_TIME_LEFT_MS", time_left.as_millis().to_string()),
        ("JOBSTREAM_CONTENT_TYPE", context.payload().content_type().to_owned()),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value));
    let trace = trace_env(context.trace_context());
    fixed.chain(header_env(context.headers())).chain(trace).collect()
}

async fn report(context: &JobContext, event: CommandEvent) {
    match event {
        CommandEvent::Log(Log { level, text, stream }) => {
            // Wait under backpressure instead of dropping the line: the program blocks when its pipe is full.
            context.wait_for_capacity().await;
            context.log_at(level, stream, &text);
        }
        // The error is ignored: lines are far smaller than the payload limit, and a lost lease cancels the attempt.
        CommandEvent::Output(chunk) => drop(context.output(text_or_data(chunk)).await),
        CommandEvent::Progress(progress) => context.report_progress(progress),
    }
}

fn result(outcome: CommandOutcome, input: Encoding) -> HandlerResult {
    match outcome {
        CommandOutcome::Success { result, content_type } => Ok(result_payload(result, &content_type, input)),
        CommandOutcome::Failed { exit_code, signal, message, retryable } => {
            let error_type = match (exit_code, signal) {
                (Some(code), _) => format!("exit.{code}"),
                (None, Some(signal)) => format!("signal.{signal}"),
                (None, None) => String::new(),
            };
            let failure = Failure { retryable, ..Failure::new(FailureReason::ExitStatus, message) };
            Err(JobError::of(failure).with_type(error_type))
        }
        CommandOutcome::Cancelled { .. } => Err(JobError::cancelled()),
        CommandOutcome::TimedOut => {
            let message = "the command ran longer than its time limit";
            Err(JobError::of(Failure::new(FailureReason::AttemptTimeout, message)))
        }
        CommandOutcome::NotStarted { message, retryable } => {
            Err(JobError::of(Failure { retryable, ..Failure::new(FailureReason::NotStarted, message) }))
        }
    }
}
