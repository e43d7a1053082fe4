//! The calls that are measured, and a check of the response of each.

use std::time::Duration;

use bytes::Bytes;
use jobstream::proto::v1;
use prost::Message;

use super::calls::Check;
use super::echo::{Echo, PENDING_PATH, STREAM_PATH, UNARY_PATH};
use super::wire::{Call, last_message};
use super::{Failed, Result};

/// The payload of every job and every echo.
pub(super) const PAYLOAD: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
/// A kind that the server runs on the thread that dispatched the job.
pub(super) const ECHO_KIND: &str = "demo.echo";
/// A kind that a worker in a process of its own runs.
pub(super) const REMOTE_KIND: &str = "bench.remote";
/// A kind that sleeps for the time in its payload.
const SLOW_KIND: &str = "demo.sleep";
/// A kind without a worker: its jobs stay queued.
pub(super) const IDLE_KIND: &str = "bench.nobody";

/// A job of this kind.
pub(super) fn spec(kind: &str) -> v1::JobSpec {
    let body = Some(v1::payload::Body::Data(Bytes::from_static(PAYLOAD)));
    let payload = Some(v1::Payload { body, ..v1::Payload::default() });
    v1::JobSpec { kind: kind.to_owned(), payload, ..v1::JobSpec::default() }
}

/// The path of a method of JobService.
pub(super) fn path(method: &str) -> String {
    format!("/jobstream.v1.JobService/{method}")
}

/// The unary echo.
pub(super) fn echo() -> Result<(Call, Check)> {
    echo_of(UNARY_PATH)
}

/// The echo as a stream of as many messages as Run answers.
pub(super) fn echo_stream() -> Result<(Call, Check)> {
    echo_of(STREAM_PATH)
}

fn echo_of(path: &str) -> Result<(Call, Check)> {
    let call = Call::new(path, &Echo { body: Bytes::from_static(PAYLOAD) })?;
    Ok((call, |answer| {
        let echo = Echo::decode(last_message(answer)?)?;
        expect(echo.body[..] == PAYLOAD[..], "the echo answered something else")
    }))
}

/// A stream that stays silent.
pub(super) fn pending() -> Result<Call> {
    Call::new(PENDING_PATH, &Echo::default())
}

/// Submit of a job of this kind.
pub(super) fn submit(kind: &str) -> Result<(Call, Check)> {
    let request = v1::SubmitRequest { job: Some(spec(kind)), ..v1::SubmitRequest::default() };
    Ok((Call::new(&path("Submit"), &request)?, |answer| submitted_id(answer).map(|_| ())))
}

/// The id of the job that a Submit created.
pub(super) fn submitted_id(answer: &[u8]) -> Result<String> {
    let submitted = v1::SubmitResponse::decode(last_message(answer)?)?;
    expect(submitted.disposition() == v1::Disposition::Created, "the job is not new")?;
    expect(!submitted.job_id.is_empty(), "the job has no id")?;
    Ok(submitted.job_id)
}

/// Run of an echo job, with all its events.
pub(super) fn run() -> Result<(Call, Check)> {
    let request = v1::RunRequest { job: Some(spec(ECHO_KIND)), ..v1::RunRequest::default() };
    Ok((Call::new(&path("Run"), &request)?, |answer| {
        let result = result_of_run(answer)?;
        let is_echo = matches!(result.body, Some(v1::payload::Body::Data(data)) if data[..] == PAYLOAD[..]);
        expect(is_echo, "the result is not the payload")
    }))
}

/// Run time of a slow job.
pub(super) const JOB_TIME: Duration = Duration::from_millis(10);

/// Run of a slow job, with all its events.
pub(super) fn run_slow() -> Result<(Call, Check)> {
    let input = format!(r#"{{"seconds":{}}}"#, JOB_TIME.as_secs_f64());
    let payload = v1::Payload { body: Some(v1::payload::Body::Text(input)), ..v1::Payload::default() };
    let job = v1::JobSpec { payload: Some(payload), ..spec(SLOW_KIND) };
    let request = v1::RunRequest { job: Some(job), ..v1::RunRequest::default() };
    Ok((Call::new(&path("Run"), &request)?, |answer| result_of_run(answer).map(|_| ())))
}

/// The result that ends a run.
fn result_of_run(answer: &[u8]) -> Result<v1::Payload> {
    let run = v1::RunResponse::decode(last_message(answer)?)?;
    let Some(v1::run_response::Message::Event(event)) = run.message else {
        return Err(Failed::new("the run's last message is not its end").into());
    };
    let Some(v1::job_event::Event::StateChange(change)) = event.event else {
        return Err(Failed::new("the last event is no state change").into());
    };
    match change.outcome {
        Some(v1::Outcome { end: Some(v1::outcome::End::Result(result)) }) => Ok(result),
        _ => Err(Failed::new("the job did not end with a result").into()),
    }
}

/// WatchResult of a job.
pub(super) fn watch(job_id: &str) -> Result<Call> {
    let request = v1::WatchResultRequest { job_id: job_id.to_owned(), ..v1::WatchResultRequest::default() };
    Call::new(&path("WatchResult"), &request)
}

/// Cancel of a job, and a check that it is cancelled.
pub(super) fn cancel(job_id: &str) -> Result<(Call, Check)> {
    let request = v1::CancelRequest { job_id: job_id.to_owned(), ..v1::CancelRequest::default() };
    Ok((Call::new(&path("Cancel"), &request)?, |answer| {
        let cancelled = v1::CancelResponse::decode(last_message(answer)?)?;
        expect(cancelled.state() == v1::JobState::Cancelled, "the job was not cancelled at once")
    }))
}

/// Fails with this message unless the condition holds.
pub(super) fn expect(holds: bool, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Failed::new(otherwise).into()) }
}
