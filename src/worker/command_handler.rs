//! A program as the handler of a kind: what it is told, and what its end means for the job.

mod shortage;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::command::{
    self, CommandControl, CommandEvent, CommandInput, CommandOutcome, CommandSpec, LogSource, OrphanGuard,
    header_env,
};
use super::handler::HandlerResult;
use super::{JobContext, JobError};
use crate::job::{Encoding, Failure, FailureReason, JSON, LogLevel, LogStream, Payload, Progress};
use shortage::Shortage;

/// What runs the programs of a handler.
pub(super) struct Runner {
    handler: CommandHandler,
    shortage: Shortage,
}

/// Events a program may be ahead of the engine before it is made to wait.
const EVENTS_AHEAD_MAX: usize = 64;

/// How many programs of one kind run at a time, unless told otherwise.
const DEFAULT_COMMAND_SLOTS: u32 = 8;

/// A program that runs the attempts of one kind.
#[derive(Clone)]
pub struct CommandHandler {
    /// What is run, and how.
    pub spec: CommandSpec,
    /// How many run at a time. Default 8.
    pub slots: u32,
    /// Ends what runs if this process is killed.
    pub guard: Option<OrphanGuard>,
}

impl CommandHandler {
    /// Runs this command, with the default slots and no guard.
    pub fn new(spec: CommandSpec) -> Self {
        Self { spec, slots: DEFAULT_COMMAND_SLOTS, guard: None }
    }

    /// What runs it.
    pub(super) fn runner(self) -> Arc<Runner> {
        Arc::new(Runner { handler: self, shortage: Shortage::default() })
    }
}

impl Runner {
    /// Runs one attempt. One whose program cannot be started because the machine is out of something is given back.
    pub(super) async fn run(self: Arc<Self>, context: JobContext) -> HandlerResult {
        let outcome = self.handler.run(&context).await;
        let CommandOutcome::NotStarted { message, retryable: true } = &outcome else {
            self.shortage.is_over();
            return result(outcome, context.payload().encoding);
        };
        let pause = self.shortage.met(context.kind(), message);
        tokio::select! {
            () = tokio::time::sleep(shortage::SLOT_PAUSE) => Err(JobError::release(pause)),
            () = context.cancelled() => Err(JobError::cancelled()),
        }
    }
}

impl CommandHandler {
    async fn run(&self, context: &JobContext) -> CommandOutcome {
        let (sender, mut events) = mpsc::channel(EVENTS_AHEAD_MAX);
        let input = CommandInput { payload: context.payload().bytes.clone(), env: environment(context) };
        let cancel = context.cancel_token().clone();
        let control = CommandControl { cancel, guard: self.guard.clone(), ..CommandControl::default() };
        let tell = async {
            while let Some(event) = events.recv().await {
                tell(context, event).await;
            }
        };
        let (outcome, ()) = tokio::join!(command::run(&self.spec, input, sender, control), tell);
        outcome
    }
}

/// What the program finds in its environment beside the spec's.
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
    fixed.chain(header_env(context.headers())).collect()
}

async fn tell(context: &JobContext, event: CommandEvent) {
    match event {
        CommandEvent::Log { source, level, text } => {
            let stream = match source {
                LogSource::Stderr => LogStream::Stderr,
                LogSource::Runner => LogStream::Log,
            };
            let level = match level {
                command::LogLevel::Info => LogLevel::Info,
                command::LogLevel::Warning => LogLevel::Warn,
                command::LogLevel::Error => LogLevel::Error,
            };
            // A program can wait: its pipe fills.
            context.room().await;
            context.log_at(level, stream, &text);
        }
        // Lines are bounded far below a payload's limit; a lost lease ends the program by other means.
        CommandEvent::Output(chunk) => drop(context.output(text_or_data(chunk)).await),
        CommandEvent::Progress { fraction, done, total, unit, message } => {
            let (done, total) = (done.map(|done| done as f64), total.map(|total| total as f64));
            let fraction = fraction.or_else(|| Some(done? / total.filter(|total| *total > 0.0)?));
            let (unit, message) = (unit.unwrap_or_default(), message.unwrap_or_default());
            context.report_progress(Progress { fraction, done, total, unit, message });
        }
    }
}

fn result(outcome: CommandOutcome, input: Encoding) -> HandlerResult {
    match outcome {
        CommandOutcome::Success { result, content_type } => Ok(payload(result, &content_type, input)),
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

/// The result in the arm that reads best: JSON like its input, text if it is text, else bytes.
fn payload(result: Bytes, content_type: &str, input: Encoding) -> Payload {
    let is_json = input == Encoding::Json
        && content_type == JSON
        && serde_json::from_slice::<serde::de::IgnoredAny>(&result).is_ok();
    match is_json {
        true => Payload::json_text(result),
        false => text_or_data(result).with_content_type(content_type),
    }
}

fn text_or_data(bytes: Bytes) -> Payload {
    match std::str::from_utf8(&bytes) {
        Ok(_) => Payload::utf8(bytes),
        Err(_) => Payload::data(bytes),
    }
}
