//! The command line with a fake server and scripted responses: its requests, output and exit codes.

mod admin;
mod config;
mod confirm;
mod fake;
mod http_errors;
mod jobs;
mod submit;
pub(crate) mod terminal;
mod watch;
mod workers;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::outcome::End;
use jobstream::proto::v1::watch_result_response::Message;
use jobstream::proto::v1::{
    Cancellation, Failure, FailureReason, GetResultResponse, JobEvent, JobState, Outcome, Payload,
    StateChange, SubmitResponse, payload,
};
use tokio::process::Command;
use tokio::time;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const ID: &str = "01890000-0000-7000-8000-000000000001";

/// The time limit of a command.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A finished process.
struct Finished {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Finished {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the command exits"),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn prints(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in stderr: {}", self.stderr);
        }
        self
    }
}

/// Returns a command without settings in its environment.
fn jobstream(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Returns a command with the server's address in its environment.
fn client(server: SocketAddr, args: &[&str]) -> Command {
    let mut command = jobstream(args);
    command.env("JOBSTREAM_ADDRESS", server.to_string());
    command
}

async fn run(command: &mut Command) -> Finished {
    let output = time::timeout(TIMEOUT, command.output()).await.expect("the command ends in time");
    Finished::new(output.expect("the command starts"))
}

fn refusal(code: Code, reason: &str) -> Status {
    Status::with_error_details(code, "no", ErrorDetails::with_error_info(reason, "jobstream", HashMap::new()))
}

fn accepted() -> Result<SubmitResponse, Status> {
    let mut answer = SubmitResponse { sequence: 1, ..SubmitResponse::default() };
    answer.set_state(JobState::Queued);
    Ok(answer)
}

fn text(text: &str) -> Payload {
    Payload { body: Some(payload::Body::Text(text.to_owned())), ..Payload::default() }
}

fn succeeded(result: &str) -> (JobState, End) {
    (JobState::Succeeded, End::Result(text(result)))
}

fn failed() -> (JobState, End) {
    let mut failure = Failure { message: "boom".to_owned(), attempt: 1, ..Failure::default() };
    failure.set_reason(FailureReason::Handler);
    (JobState::Failed, End::Failure(failure))
}

fn cancelled() -> (JobState, End) {
    let cancellation = Cancellation { reason: "no need".to_owned(), ..Cancellation::default() };
    (JobState::Cancelled, End::Cancellation(cancellation))
}

fn ended((state, end): (JobState, End)) -> Result<GetResultResponse, Status> {
    let outcome = Some(Outcome { end: Some(end) });
    Ok(GetResultResponse { state: state.into(), outcome, sequence: 3, ..GetResultResponse::default() })
}

fn running() -> Result<GetResultResponse, Status> {
    Ok(GetResultResponse { state: JobState::Running.into(), sequence: 2, ..GetResultResponse::default() })
}

fn event(sequence: u32, event: Event) -> Result<Message, Status> {
    Ok(Message::Event(JobEvent { sequence, attempt: 1, event: Some(event), ..JobEvent::default() }))
}

fn change(sequence: u32, state: JobState) -> Result<Message, Status> {
    event(sequence, Event::StateChange(StateChange { state: state.into(), ..StateChange::default() }))
}

fn end(sequence: u32, (state, end): (JobState, End)) -> Result<Message, Status> {
    let outcome = Some(Outcome { end: Some(end) });
    event(
        sequence,
        Event::StateChange(StateChange { state: state.into(), outcome, ..StateChange::default() }),
    )
}
