//! The end of a job, as a command that waited for it shows it: the result on stdout, anything else on stderr.

use jobstream::proto::v1::outcome::End;
use jobstream::proto::v1::{GetResultResponse, JobState, Outcome, WaitReason};
use prost_types::Timestamp;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::json::{self, Object};
use crate::output::{Format, Output, raw, text};

/// Where a job is, and how it ended if it has.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// UUID of the job.
    pub(crate) job_id: String,
    /// Its state.
    pub(crate) state: JobState,
    /// Set once the state is final.
    pub(crate) outcome: Option<Outcome>,
    /// Why it waits, if it does.
    pub(crate) wait_reason: WaitReason,
    /// Sequence of its newest event.
    pub(crate) sequence: u32,
    /// When the result will be removed, if the server said.
    pub(crate) expire_time: Option<Timestamp>,
}

impl Standing {
    /// What GetResult answered for this job.
    pub(crate) fn new(job_id: &str, answer: GetResultResponse) -> Self {
        Self {
            job_id: job_id.to_owned(),
            state: answer.state(),
            wait_reason: answer.wait_reason(),
            sequence: answer.sequence,
            expire_time: answer.expire_time,
            outcome: answer.outcome,
        }
    }

    /// Whether the job has ended.
    pub(crate) fn has_ended(&self) -> bool {
        Exit::of_job(self.state) != Exit::WaitTimedOut
    }

    fn to_json(&self) -> Value {
        Object::default()
            .with("jobId", self.job_id.as_str())
            .with("state", text::state(self.state))
            .with_text("waitReason", text::wait_reason(self.wait_reason))
            .with_some("outcome", self.outcome.as_ref().map(json::outcome))
            .with("sequence", self.sequence)
            .with_some("expireTime", json::well_known(self.expire_time))
            .done()
    }
}

/// Shows the end of a job and returns what to exit with.
///
/// # Errors
///
/// If stdout cannot be written. A job that failed or was cancelled is an error too, so that `main` tells it last.
pub(crate) fn conclude(output: &Output, standing: &Standing) -> Result<Exit> {
    if output.format.is_json() {
        output.json(&standing.to_json())?;
    } else if let Some(End::Result(result)) = standing.outcome.as_ref().and_then(|end| end.end.as_ref()) {
        output.data(&raw::result(result))?;
        end_line(output, &raw::result(result))?;
    }
    judge(standing)
}

/// The exit of a job whose end has been shown already.
///
/// # Errors
///
/// If it failed or was cancelled.
pub(crate) fn judge(standing: &Standing) -> Result<Exit> {
    let exit = Exit::of_job(standing.state);
    let job_id = &standing.job_id;
    match standing.outcome.as_ref().and_then(|outcome| outcome.end.as_ref()) {
        Some(End::Failure(failure)) => {
            let error = Error::new(exit, format!("job {job_id} failed: {}", text::failure(failure)));
            let error = match failure.details.as_ref().map(json::payload) {
                Some(details) => error.detail(format!("details: {details}")),
                None => error,
            };
            Err(error.hint(format!("`jobstream jobs get {job_id}` shows its attempts")))
        }
        Some(End::Cancellation(end)) => {
            let reason = Some(&end.reason).filter(|reason| !reason.is_empty());
            let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let forced = if end.forced { " by force" } else { "" };
            Err(Error::new(exit, format!("job {job_id} was cancelled{forced}{because}")))
        }
        Some(End::Result(_)) | None => Ok(exit),
    }
}

/// A result without a newline must not share its line with the prompt.
fn end_line(output: &Output, result: &[u8]) -> Result<()> {
    let needs_one = output.format == Format::Table && output.stdout_is_terminal;
    match result.last() {
        Some(last) if needs_one && *last != b'\n' => output.raw(b"\n"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jobstream::proto::v1::{Cancellation, Failure, FailureReason};

    use super::*;
    use crate::payload::text_payload;

    fn ended(state: JobState, end: End) -> Standing {
        Standing {
            job_id: "id".into(),
            state,
            outcome: Some(Outcome { end: Some(end) }),
            wait_reason: WaitReason::Unspecified,
            sequence: 3,
            expire_time: None,
        }
    }

    #[test]
    fn the_exit_code_is_the_jobs_outcome() {
        let mut failure = Failure { message: "exited with 3".into(), ..Failure::default() };
        failure.set_reason(FailureReason::ExitStatus);
        let error = judge(&ended(JobState::Failed, End::Failure(failure))).expect_err("failed");
        assert_eq!(
            (error.exit, error.message.as_str()),
            (Exit::JobFailed, "job id failed: EXIT_STATUS: exited with 3")
        );

        let cancellation = Cancellation { reason: "no need".into(), forced: true };
        let error =
            judge(&ended(JobState::Cancelled, End::Cancellation(cancellation))).expect_err("cancelled");
        assert_eq!(error.exit, Exit::JobCancelled);
        assert_eq!(error.message, "job id was cancelled by force: no need");

        let exit = judge(&ended(JobState::Succeeded, End::Result(text_payload("x")))).expect("succeeded");
        assert_eq!(exit, Exit::Ok);
    }

    #[test]
    fn the_whole_object_holds_state_and_outcome() {
        let shown = ended(JobState::Succeeded, End::Result(text_payload("x"))).to_json();
        assert_eq!(
            shown.to_string(),
            r#"{"jobId":"id","state":"SUCCEEDED","outcome":{"result":{"text":"x"}},"sequence":3}"#
        );
    }
}
