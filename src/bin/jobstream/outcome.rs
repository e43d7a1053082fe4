//! Shows the end of a job: the result on stdout, a failure or cancellation on stderr.

use jobstream::job::JobId;
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::outcome::End;
use jobstream::proto::v1::{GetResultResponse, JobEvent};
use serde_json::Value;

use crate::connect::{Address, Client};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::{Format, Output, json, raw, text};

/// Where a job is, and how it ended if it has.
#[derive(Debug, Clone)]
pub(crate) struct JobResult {
    /// The job.
    pub(crate) job_id: JobId,
    /// What GetResult answers for it.
    pub(crate) answer: GetResultResponse,
}

impl JobResult {
    /// The end of the job, if this event is it.
    pub(crate) fn at_end(job_id: JobId, event: &JobEvent) -> Option<Self> {
        let JobEvent { sequence, event: Some(Event::StateChange(change)), .. } = event else { return None };
        let answer = GetResultResponse {
            state: change.state,
            outcome: change.outcome.clone(),
            sequence: *sequence,
            ..GetResultResponse::default()
        };
        let result = Self { job_id, answer };
        result.has_ended().then_some(result)
    }

    /// Whether the job has ended.
    pub(crate) fn has_ended(&self) -> bool {
        Exit::of_job(self.answer.state()) != Exit::WaitTimedOut
    }

    fn to_json(&self) -> Result<Value> {
        json::message_of(("jobId", self.job_id.to_string()), "GetResultResponse", &self.answer)
    }

    fn end(&self) -> Option<&End> {
        self.answer.outcome.as_ref()?.end.as_ref()
    }
}

/// Shows the end of a job and returns the exit code.
///
/// # Errors
///
/// If stdout cannot be written. A failed or cancelled job is an error too, so that `main` prints it last.
pub(crate) fn show(client: &Client, result: &JobResult) -> Result<Exit> {
    let output = &client.output;
    if output.format.is_json() {
        output.json(&result.to_json()?)?;
    } else if let Some(End::Result(payload)) = result.end() {
        let content = raw::result(payload)?;
        output.data(&content)?;
        end_line(output, &content)?;
    }
    exit_code(&client.address, result)
}

/// The exit code of a job whose end was shown before.
///
/// # Errors
///
/// If it failed or was cancelled.
pub(crate) fn exit_code(address: &Address, result: &JobResult) -> Result<Exit> {
    let exit = Exit::of_job(result.answer.state());
    let job_id = result.job_id;
    match result.end() {
        Some(End::Failure(failure)) => {
            let error = Error::new(exit, format!("job {job_id} failed: {}", text::failure(failure)));
            let error = match failure.details.as_ref().map(text::payload) {
                Some(details) => error.detail(format!("details: {details}")),
                None => error,
            };
            Err(error.hint(format!("`jobstream jobs get {job_id}{}` shows its attempts", address.as_flag())))
        }
        Some(End::Cancellation(end)) => {
            Err(Error::new(exit, format!("job {job_id} was {}", text::cancellation(end))))
        }
        Some(End::Result(_)) | None => Ok(exit),
    }
}

/// Ends the line of a result, so that the shell's prompt starts a new one.
fn end_line(output: &Output, result: &[u8]) -> Result<()> {
    let needs_one = output.format == Format::Table && output.stdout_is_terminal;
    match result.last() {
        Some(last) if needs_one && *last != b'\n' => output.raw(b"\n"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jobstream::proto::v1::{Cancellation, Failure, FailureReason, JobState, Outcome};

    use super::*;
    use crate::connect::Source;
    use crate::payload::text_payload;

    fn address() -> Address {
        Address::new("h:1", Source::Flag).expect("an address")
    }

    const ID: &str = "01890000-0000-7000-8000-000000000001";

    fn ended(state: JobState, end: End) -> JobResult {
        let outcome = Some(Outcome { end: Some(end) });
        let answer =
            GetResultResponse { state: state.into(), outcome, sequence: 3, ..GetResultResponse::default() };
        JobResult { job_id: JobId::parse("id", ID).expect("an id"), answer }
    }

    #[test]
    fn the_exit_code_is_the_jobs_outcome() {
        let mut failure = Failure { message: "exited with 3".into(), ..Failure::default() };
        failure.set_reason(FailureReason::ExitStatus);
        let error =
            exit_code(&address(), &ended(JobState::Failed, End::Failure(failure))).expect_err("failed");
        assert_eq!(error.exit, Exit::JobFailed);
        assert_eq!(error.message, format!("job {ID} failed: EXIT_STATUS: exited with 3"));

        let cancellation = Cancellation { reason: "no need".into(), forced: true, principal: "ops".into() };
        let error = exit_code(&address(), &ended(JobState::Cancelled, End::Cancellation(cancellation)))
            .expect_err("cancelled");
        assert_eq!(error.exit, Exit::JobCancelled);
        assert_eq!(error.message, format!("job {ID} was cancelled by ops, by force: no need"));

        let exit = exit_code(&address(), &ended(JobState::Succeeded, End::Result(text_payload("x"))))
            .expect("succeeded");
        assert_eq!(exit, Exit::Ok);
    }

    #[test]
    fn the_whole_object_holds_state_and_outcome() {
        let ended = ended(JobState::Succeeded, End::Result(text_payload("x")));
        let shown = ended.to_json().expect("JSON");
        let expected = format!(
            r#"{{"jobId":"{ID}","state":"SUCCEEDED","outcome":{{"result":{{"text":"x"}}}},"sequence":3}}"#
        );
        assert_eq!(shown.to_string(), expected);
    }
}
