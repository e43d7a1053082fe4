//! Submit and wait in one call. The server sends the job's end on the open stream, regardless of its retention.

use futures_util::{StreamExt, stream};
use serde::de::DeserializeOwned;
use tokio::time::{self, Instant};
use tonic::{Request, Status, Streaming};

use super::error::{Result, ResultError};
use super::request::submission;
use super::tries::Tries;
use super::watch::{Messages, Opened, wire_types};
use super::{Client, Job, JobRequest, Watch, WatchOptions, jobs, status};
use crate::job::{Event, EventBody, EventTypes, JobId, Outcome, StateChange, WatchItem};
use crate::proto::v1::run_response::Message;
use crate::proto::{render, v1};

/// Most jobs that [`Client::run_all`] has open at a time.
const RUNS_MAX: usize = 256;

impl JobRequest {
    /// Submits the job, waits for its end and returns its result, in one call. The end is not lost, however short the
    /// job's retention is.
    ///
    /// It waits without a limit and across lost connections, like [`Watch`]. Running the same request again gives the same
    /// job.
    ///
    /// # Errors
    ///
    /// As [`JobRequest::submit`] and [`Job::result`]. RESULT_EXPIRED is possible only if the connection was lost at the
    /// job's end for longer than the retention and 5 s.
    pub async fn run<T: DeserializeOwned>(&self) -> Result<T, ResultError> {
        let (job, outcome) = self.run_to_end().await?;
        job.read(outcome)
    }

    /// [`JobRequest::run`], for the outcome as it is.
    ///
    /// # Errors
    ///
    /// As [`JobRequest::submit`] and [`Job::outcome`].
    pub async fn run_outcome(&self) -> Result<Outcome> {
        Ok(self.run_to_end::<()>().await?.1)
    }

    /// Submits the job and follows its events from the first one, in one call. Neither is lost, however short the job's
    /// retention is, while the watch is read. `after_sequence` of the options is not used.
    ///
    /// # Errors
    ///
    /// As [`JobRequest::submit`].
    pub async fn run_and_watch<T>(&self, options: WatchOptions) -> Result<(Job<T>, Watch)> {
        let (client, mut opened) = (self.client(), None);
        let watch = &mut opened;
        let send = move |job| async move {
            let (answer, of_run) = run_and_watch(client, &job, options).await?;
            *watch = Some(of_run);
            submission(client, &answer)
        };
        let submission = client.intercept(self.job_id(), self.spec().clone(), send).await?;
        let job = Job::submitted(client.clone(), self.job_id(), submission);
        // An interceptor that did not submit the job may still know it.
        let watch = opened.unwrap_or_else(|| job.watch_with(options));
        Ok((job, watch))
    }

    async fn run_to_end<T>(&self) -> Result<(Job<T>, Outcome)> {
        let options = WatchOptions { types: EventTypes::NONE, ..WatchOptions::default() };
        let (job, mut watch) = self.run_and_watch(options).await?;
        let mut end = None;
        // Reads to the end of the stream: dropping it before would reset it.
        while let Some(item) = watch.next().await {
            if let WatchItem::Event(Event { body: EventBody::State(StateChange { outcome, .. }), .. }) = item?
            {
                end = outcome;
            }
        }
        let outcome =
            end.ok_or_else(|| status::unreadable(self.client().address(), "an end without an outcome"))?;
        Ok((job, outcome))
    }
}

impl Client {
    /// [`JobRequest::run`] for many jobs, up to 256 at a time. The results are in the order of the requests.
    pub async fn run_all<T: DeserializeOwned>(
        &self,
        requests: Vec<JobRequest>,
    ) -> Vec<Result<T, ResultError>> {
        let runs = requests.into_iter().map(|request| async move { request.run().await });
        stream::iter(runs).buffered(RUNS_MAX).collect().await
    }
}

/// Submits the job and opens its stream, with retries.
pub(super) async fn run_and_watch(
    client: &Client,
    job: &v1::JobSpec,
    options: WatchOptions,
) -> Result<(v1::SubmitResponse, Watch)> {
    let mut tries = Tries::within(client, client.options().call_timeout);
    let (answer, opened) = loop {
        match open(client, job, options, &mut tries).await {
            Ok(run) => break run,
            Err(error) => tries.pause(error).await?,
        }
    };
    let job_id = JobId::parse("job_id", &answer.job_id)
        .map_err(|_| status::unreadable(client.address(), "the id of a job"))?;
    let options = WatchOptions { after_sequence: 0, ..options };
    let watch = Watch::new(client.clone(), job_id, options, Some(Instant::now()), Some(opened));
    Ok((answer, watch))
}

/// A gRPC deadline would bound the whole stream, so the client bounds only the time to the response of the submit.
async fn open(
    client: &Client,
    job: &v1::JobSpec,
    options: WatchOptions,
    tries: &mut Tries<'_>,
) -> Result<(v1::SubmitResponse, Opened)> {
    let link = client.connection().for_held_call();
    let message = v1::RunRequest {
        job: Some(job.clone()),
        cancel_on_disconnect: false,
        types: wire_types(options.types),
        heartbeat: Some(render::duration(options.heartbeat)),
    };
    let mut jobs = jobs(link.channel.clone());
    let opening = async {
        let mut messages = jobs.run(Request::new(message)).await?.into_inner();
        Ok((first(&mut messages).await?, messages))
    };
    match time::timeout(tries.begin(), opening).await {
        Ok(Ok((Some(answer), messages))) => Ok((answer, Opened { messages: Messages::Run(messages), link })),
        Ok(Ok((None, _))) => Err(status::unreadable(client.address(), "the answer to a run")),
        Ok(Err(status)) => Err(status::from_status(&status, client.address())),
        Err(_) => {
            client.connection().replace(&link);
            Err(status::timed_out(client.address()))
        }
    }
}

/// The response to the submit; `None` if the first message is another, or there is none.
async fn first(messages: &mut Streaming<v1::RunResponse>) -> Result<Option<v1::SubmitResponse>, Status> {
    match messages.message().await?.and_then(|first| first.message) {
        Some(Message::Submitted(answer)) => Ok(Some(answer)),
        _ => Ok(None),
    }
}
