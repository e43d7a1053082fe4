//! Follows a job's events to its end, across cut streams: it resumes after the last sequence it saw.

mod lines;
mod run;
mod show;

use std::time::Duration;

use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::watch_result_response::Message;
use jobstream::proto::v1::{
    CancelRequest, EventType, Gap, JobEvent, RunResponse, StateChange, WaitReason, WatchResultRequest,
    WatchResultResponse, run_response,
};
use tokio::time::{self, Instant};
use tonic::{Request, Status, Streaming};

use crate::connect::{Backoff, Client, pause_line};
use crate::error::{self, Result};
use crate::exit::Exit;
use crate::interrupt::{self, Interrupts};
use crate::outcome::Standing;
use crate::wait::may_come_back;

pub(crate) use lines::progress_line;
pub(crate) use run::{Run, begin};
pub(crate) use show::{Show, Stdout};

/// How often the server is to say that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A stream that is silent for longer than this is taken for dead: three heartbeats are missing.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// What to follow and how.
#[derive(Debug, Clone)]
pub(crate) struct FollowOptions {
    /// UUID of the job.
    pub(crate) job_id: String,
    /// Only events after this one.
    pub(crate) after_sequence: u32,
    /// How long to look for a lost server.
    pub(crate) patience: Duration,
    /// Only the event that ends the job.
    pub(crate) end_only: bool,
    /// On an interrupt cancel the job and follow it to its end, instead of leaving it.
    pub(crate) cancel_on_interrupt: bool,
}

/// How following ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The job ended.
    Ended(Standing),
    /// An interrupt came first; this has been told.
    Left(Exit),
}

/// News of the job.
#[derive(Debug)]
pub(crate) enum News {
    /// An event.
    Event(Box<JobEvent>),
    /// Events that are gone.
    Gap(Gap),
    /// The stream was lost: why, and when the next one comes. Not from the job.
    Lost(String),
}

/// Shows a job's events until it ends or an interrupt comes; first those of a stream that is open already, if there is one.
///
/// # Errors
///
/// If the job is unknown, the server stays away, or stdout cannot be written.
pub(crate) async fn follow(
    client: &Client,
    options: FollowOptions,
    open: Option<Messages>,
    show: &mut Show<'_>,
    interrupts: &mut Interrupts,
) -> Result<Followed> {
    let mut watch = Watch::new(client, &options, open);
    let ended = to_the_end(&mut watch, &options, show, interrupts).await;
    show.finish()?;
    Ok(match ended? {
        Some(standing) => Followed::Ended(standing),
        None => Followed::Left(interrupt::detached(client, &options.job_id, &watch.come_back())),
    })
}

/// Shows events up to the end of the job, or up to an interrupt that leaves it.
async fn to_the_end(
    watch: &mut Watch<'_>,
    options: &FollowOptions,
    show: &mut Show<'_>,
    interrupts: &mut Interrupts,
) -> Result<Option<Standing>> {
    let mut cancels = options.cancel_on_interrupt;
    loop {
        let news = tokio::select! {
            news = watch.next() => Some(news?),
            () = interrupts.next() => None,
        };
        match news {
            Some(news) => {
                show.news(&news)?;
                if let Some(standing) = end_of(&options.job_id, news) {
                    return Ok(Some(standing));
                }
            }
            None if cancels => {
                cancels = false;
                show.finish()?;
                cancel(watch.client, &options.job_id).await?;
            }
            None => return Ok(None),
        }
    }
}

async fn cancel(client: &Client, job_id: &str) -> Result<()> {
    client.output.tell("interrupted: cancelling the job; interrupt again to leave it");
    let request = CancelRequest {
        job_id: job_id.to_owned(),
        reason: "interrupted".to_owned(),
        ..CancelRequest::default()
    };
    client.retried(request, async |request| client.jobs().cancel(request).await).await?;
    Ok(())
}

/// Where the job stands, if this news is its end.
pub(crate) fn end_of(job_id: &str, news: News) -> Option<Standing> {
    let News::Event(event) = news else { return None };
    let JobEvent { sequence, event: Some(Event::StateChange(change)), .. } = *event else { return None };
    let state = StateChange::state(&change);
    let standing = Standing {
        job_id: job_id.to_owned(),
        state,
        outcome: change.outcome,
        wait_reason: WaitReason::Unspecified,
        sequence,
        expire_time: None,
    };
    standing.has_ended().then_some(standing)
}

/// The messages of one stream, from either call that has them.
pub(crate) enum Messages {
    Watch(Streaming<WatchResultResponse>),
    Run(Streaming<RunResponse>),
}

impl Messages {
    /// The next message, perhaps one that is not understood here; `None` after the last.
    async fn next(&mut self) -> Result<Option<Option<Message>>, Status> {
        match self {
            Self::Watch(messages) => Ok(messages.message().await?.map(|answer| answer.message)),
            Self::Run(messages) => Ok(messages.message().await?.map(|answer| match answer.message? {
                run_response::Message::Event(event) => Some(Message::Event(event)),
                run_response::Message::Gap(gap) => Some(Message::Gap(gap)),
                run_response::Message::Heartbeat(heartbeat) => Some(Message::Heartbeat(heartbeat)),
                run_response::Message::Submitted(_) => None,
            })),
        }
    }
}

/// A watch that survives its streams. Dropping the future of `next` loses nothing.
pub(crate) struct Watch<'a> {
    client: &'a Client,
    job_id: String,
    patience: Duration,
    end_only: bool,
    last: u32,
    stream: Option<Messages>,
    backoff: Backoff,
    lost_since: Option<Instant>,
    pause_until: Option<Instant>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(client: &'a Client, options: &FollowOptions, open: Option<Messages>) -> Self {
        Self {
            client,
            job_id: options.job_id.clone(),
            patience: options.patience,
            end_only: options.end_only,
            last: options.after_sequence,
            stream: open,
            backoff: Backoff::new(),
            lost_since: None,
            pause_until: None,
        }
    }

    /// The next news; never the same twice. Must not be called after the end of the job.
    pub(crate) async fn next(&mut self) -> Result<News> {
        loop {
            if let Some(until) = self.pause_until {
                time::sleep_until(until).await;
                self.pause_until = None;
            }
            match self.message().await {
                Ok(message) => {
                    (self.lost_since, self.backoff) = (None, Backoff::new());
                    if let Some(news) = self.unseen(message) {
                        return Ok(news);
                    }
                }
                Err(status) => return self.lose(&status),
            }
        }
    }

    async fn message(&mut self) -> Result<Option<Message>, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let messages = open(self.client, &self.job_id, self.last, self.end_only).await?;
                self.stream.insert(Messages::Watch(messages))
            }
        };
        let answer = time::timeout(SILENCE_MAX, stream.next())
            .await
            .map_err(|_| Status::unavailable("the server fell silent"))??;
        // The server ends a stream well only after the event that ends the job, and nobody asks after that one.
        answer.ok_or_else(|| Status::unavailable("the stream ended before the job"))
    }

    fn unseen(&mut self, message: Option<Message>) -> Option<News> {
        match message? {
            Message::Event(event) if event.sequence > self.last => {
                self.last = event.sequence;
                Some(News::Event(Box::new(event)))
            }
            Message::Gap(gap) if gap.to > self.last => {
                self.last = gap.to;
                Some(News::Gap(gap))
            }
            Message::Event(_) | Message::Gap(_) | Message::Heartbeat(_) => None,
        }
    }

    /// The command that goes on where this watch is.
    pub(crate) fn come_back(&self) -> String {
        match self.end_only {
            true => format!("jobstream result {} --wait", self.job_id),
            false => format!("jobstream watch {} --after-sequence {}", self.job_id, self.last),
        }
    }

    /// Sets a pause before the next stream, or gives up.
    fn lose(&mut self, status: &Status) -> Result<News> {
        self.stream = None;
        let since = *self.lost_since.get_or_insert_with(Instant::now);
        let pause = self.backoff.pause(error::retry_delay(status));
        if !may_come_back(status) || since.elapsed() + pause > self.patience {
            let error = self.client.error(status);
            let again = self.client.address.again();
            return Err(match error.exit {
                Exit::Unreachable | Exit::Rejected => {
                    error.hint(format!("come back with `{}{again}`", self.come_back()))
                }
                _ => error,
            });
        }
        self.pause_until = Some(Instant::now() + pause);
        Ok(News::Lost(pause_line(status, pause)))
    }
}

/// None means all; the event that ends the job is a state change.
fn types(end_only: bool) -> Vec<i32> {
    if end_only { vec![EventType::StateChange.into()] } else { Vec::new() }
}

async fn open(
    client: &Client,
    job_id: &str,
    after: u32,
    end_only: bool,
) -> Result<Streaming<WatchResultResponse>, Status> {
    let request = WatchResultRequest {
        job_id: job_id.to_owned(),
        after_sequence: after,
        types: types(end_only),
        heartbeat: HEARTBEAT.try_into().ok(),
    };
    // The deadline of a call is that of its whole stream, so only the opening is timed, on this side.
    let opening =
        time::timeout(client.timeout, async { client.jobs().watch_result(Request::new(request)).await });
    let answer = opening.await.map_err(|_| Status::deadline_exceeded("the server does not answer"))?;
    Ok(answer?.into_inner())
}
