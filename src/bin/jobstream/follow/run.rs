//! Opens a job's stream with its submit, so that its end comes whatever its retention is.

use jobstream::proto::v1::run_response::Message;
use jobstream::proto::v1::{JobSpec, RunRequest, SubmitResponse};
use tokio::time;
use tonic::{Request, Status};

use super::{HEARTBEAT, Messages, types};
use crate::connect::Client;
use crate::error::Result;

/// A job that was submitted, and its open stream.
pub(crate) struct Run {
    /// The answer to the submit.
    pub(crate) answer: SubmitResponse,
    /// The stream behind it.
    pub(crate) messages: Messages,
}

/// Submits the job and opens its stream in one call; again if the server is unavailable: the job's id makes sure that it
/// runs once.
///
/// # Errors
///
/// What the last try ended with.
pub(crate) async fn begin(client: &Client, job: JobSpec, end_only: bool) -> Result<Run> {
    let request = RunRequest {
        job: Some(job),
        cancel_on_disconnect: false,
        types: types(end_only),
        heartbeat: HEARTBEAT.try_into().ok(),
    };
    client.tried(async || open(client, request.clone()).await).await
}

/// The deadline of a call is that of its whole stream, so only the way to the first message is timed, on this side.
async fn open(client: &Client, request: RunRequest) -> Result<Run, Status> {
    let opening = async {
        let mut messages = client.jobs().run(Request::new(request)).await?.into_inner();
        match messages.message().await?.and_then(|first| first.message) {
            Some(Message::Submitted(answer)) => Ok(Run { answer, messages: Messages::Run(messages) }),
            _ => Err(Status::unavailable("the stream did not begin with the answer to the submit")),
        }
    };
    let opened = time::timeout(client.timeout, opening).await;
    opened.map_err(|_| Status::deadline_exceeded("the server does not answer"))?
}
