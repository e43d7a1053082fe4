//! Watches a job's events to its end. It resumes after the last sequence when a stream breaks or stalls.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream;
use tokio::time::{self, Instant};
use tokio_stream::Stream;
use tonic::{Request, Status, Streaming};

use super::backoff::Outage;
use super::connection::Link;
use super::error::{Error, Result};
use super::{Client, WatchOptions, jobs, restart, status};
use crate::job::{EventTypes, JobId, JobState, WatchItem};
use crate::proto::read::Incoming;
use crate::proto::v1::watch_result_response::Message;
use crate::proto::v1::{job_event, run_response};
use crate::proto::{read, render, v1};

/// A stream is replaced when this many heartbeats are missing.
pub(super) const HEARTBEATS_MISSED_MAX: u32 = 3;

/// Timeout for the server to close the stream after the event that ends the job.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The events of one job, in order, none twice, none missed; it ends after the event that ends the job.
///
/// The first call of [`Watch::next`] opens the stream. When it breaks, is refused as unavailable or misses three
/// heartbeats, it is opened again after the last sequence. The watch ends with an error if the job is unknown or removed,
/// like [`Job::outcome`](super::Job::outcome), or if the server is unavailable for longer than `patience`. Dropping the
/// watch does not affect the job.
///
/// ```no_run
/// use jobstream::client::{Client, WatchItem, WatchOptions};
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let job = client.job("resize").submit::<()>().await?;
/// let mut options = WatchOptions::default();
/// options.after_sequence = 1;
/// let mut watch = job.watch_with(options);
/// while let Some(item) = watch.next().await {
///     match item? {
///         WatchItem::Event(event) => println!("{}: {:?}", event.sequence, event.body),
///         WatchItem::Gap { first, last } => println!("events {first} to {last} are no longer retained"),
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "a watch does nothing until it is read"]
pub struct Watch {
    messages: Pin<Box<dyn Stream<Item = Result<Message>> + Send>>,
    address: String,
    job_id: JobId,
    last_sequence: u32,
}

impl Watch {
    /// `opened` is a stream that is open already.
    pub(super) fn new(
        client: Client,
        job_id: JobId,
        options: WatchOptions,
        seen: Option<Instant>,
        opened: Option<Opened>,
    ) -> Self {
        let address = client.address().to_owned();
        let follower = Follower {
            outage: Outage::new(client.options()),
            client,
            job_id,
            options,
            last: options.after_sequence,
            seen,
            stream: opened,
            has_ended: false,
        };
        let messages = stream::try_unfold(follower, |mut follower| async {
            Ok(follower.next().await?.map(|message| (message, follower)))
        });
        Self { messages: Box::pin(messages), address, job_id, last_sequence: options.after_sequence }
    }

    /// The job's id.
    pub fn job_id(&self) -> JobId {
        self.job_id
    }

    /// Sequence of the newest item: another watch can resume after it.
    pub fn last_sequence(&self) -> u32 {
        self.last_sequence
    }

    /// The next item; `None` after the event that ends the job, and after an error. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// See [`Watch`].
    pub async fn next(&mut self) -> Option<Result<WatchItem>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// [`Watch::next`] as the generated message: an event or a gap, never a heartbeat.
    ///
    /// # Errors
    ///
    /// See [`Watch`].
    pub async fn next_message(&mut self) -> Option<Result<Message>> {
        std::future::poll_fn(|context| self.poll_message(context)).await
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        let message = std::task::ready!(self.messages.as_mut().poll_next(context));
        match &message {
            Some(Ok(Message::Event(event))) => self.last_sequence = event.sequence,
            Some(Ok(Message::Gap(gap))) => self.last_sequence = gap.last,
            Some(Ok(Message::Heartbeat(_)) | Err(_)) | None => {}
        }
        Poll::Ready(message)
    }
}

impl Stream for Watch {
    type Item = Result<WatchItem>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let event = match std::task::ready!(self.poll_message(context)) {
                Some(Ok(Message::Event(event))) => event,
                Some(Ok(Message::Gap(v1::Gap { first, last }))) => {
                    return Poll::Ready(Some(Ok(WatchItem::Gap { first, last })));
                }
                Some(Ok(Message::Heartbeat(_))) => continue,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            match read::event(event) {
                Incoming::Known(event) => return Poll::Ready(Some(Ok(WatchItem::Event(event)))),
                Incoming::New => {}
                Incoming::Unreadable => {
                    self.messages = Box::pin(stream::empty());
                    return Poll::Ready(Some(Err(status::unreadable(&self.address, "an event"))));
                }
            }
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job_id, last_sequence, .. } = self;
        f.debug_struct("Watch")
            .field("job_id", job_id)
            .field("last_sequence", last_sequence)
            .finish_non_exhaustive()
    }
}

/// A stream and the connection it came over.
pub(super) struct Opened {
    pub(super) messages: Messages,
    pub(super) link: Link,
}

/// The messages of one stream, of WatchResult or of Run.
pub(super) enum Messages {
    Watch(Streaming<v1::WatchResultResponse>),
    Run(Streaming<v1::RunResponse>),
}

impl Messages {
    /// The next message; the inner `None` is one of a newer kind, the outer `None` the end of the stream.
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

/// The state of a watch across its streams.
struct Follower {
    client: Client,
    job_id: JobId,
    options: WatchOptions,
    /// Sequence after which the next stream begins.
    last: u32,
    /// When the server last opened a stream, so had the job.
    seen: Option<Instant>,
    stream: Option<Opened>,
    outage: Outage,
    /// The event that ends the job was returned.
    has_ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            if self.has_ended {
                self.close().await;
                return Ok(None);
            }
            match self.message().await {
                Ok(message) => {
                    self.outage.end();
                    if let Some(message) = self.unseen(message) {
                        return Ok(Some(message));
                    }
                }
                Err(error) => {
                    self.stream = None;
                    let error = restart::explain(&self.client, self.job_id, self.seen, error).await;
                    self.outage.pause(&self.client, error).await?;
                }
            }
        }
    }

    /// The next message of the open stream, or of a new one.
    async fn message(&mut self) -> Result<Option<Message>> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = open(&self.client, self.request()).await?;
                // Not with each message: a slow reader may read messages of a server that has ended.
                self.seen = Some(Instant::now());
                self.stream.insert(stream)
            }
        };
        let silence_max = self.options.heartbeat.saturating_mul(HEARTBEATS_MISSED_MAX);
        let Ok(answer) = time::timeout(silence_max, stream.messages.next()).await else {
            return Err(replace_connection(&self.client, &stream.link, "the stream stalled"));
        };
        let address = self.client.address();
        match answer {
            Ok(Some(message)) => Ok(message),
            // The server ends a stream with OK only after the event that ends the job: a proxy ended this one.
            Ok(None) => Err(status::unreachable(address, "the stream ended before the job")),
            Err(status) => Err(status::from_status(&status, address)),
        }
    }

    fn request(&self) -> v1::WatchResultRequest {
        v1::WatchResultRequest {
            job_id: self.job_id.to_string(),
            after_sequence: self.last,
            types: wire_types(self.options.types),
            heartbeat: Some(render::duration(self.options.heartbeat)),
        }
    }

    /// The message, unless an earlier stream sent it or its type was not requested.
    fn unseen(&mut self, message: Option<Message>) -> Option<Message> {
        match message? {
            Message::Event(event) if event.sequence > self.last => {
                self.last = event.sequence;
                self.is_wanted(&event).then_some(Message::Event(event))
            }
            Message::Gap(v1::Gap { first, last }) if last > self.last => {
                let first = first.max(self.last + 1);
                self.last = last;
                Some(Message::Gap(v1::Gap { first, last }))
            }
            Message::Event(_) | Message::Gap(_) | Message::Heartbeat(_) => None,
        }
    }

    /// Every stream has state changes, because they show when the job has ended.
    fn is_wanted(&mut self, event: &v1::JobEvent) -> bool {
        let Some(job_event::Event::StateChange(change)) = &event.event else { return true };
        self.has_ended = read::state(change.state()).is_some_and(JobState::is_final);
        self.has_ended || self.options.types.state_change
    }

    /// Waits for the server to close the stream: dropping it before would reset it.
    async fn close(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            // Errors do not matter: the job's end is known.
            let _ = time::timeout(CLOSE_TIMEOUT, stream.messages.next()).await;
        }
    }
}

/// A gRPC deadline would bound the whole stream, so the client bounds only its opening.
async fn open(client: &Client, request: v1::WatchResultRequest) -> Result<Opened> {
    let link = client.connection().for_held_call();
    let mut jobs = jobs(link.channel.clone());
    let opening = jobs.watch_result(Request::new(request));
    match time::timeout(client.options().call_timeout, opening).await {
        Ok(Ok(answer)) => Ok(Opened { messages: Messages::Watch(answer.into_inner()), link }),
        Ok(Err(status)) => Err(status::from_status(&status, client.address())),
        Err(_) => Err(replace_connection(client, &link, "the stream did not open")),
    }
}

/// Replaces a connection that is open but does not answer.
pub(super) fn replace_connection(client: &Client, link: &Link, why: &str) -> Error {
    client.connection().replace(link);
    status::unreachable(client.address(), why)
}

/// An empty list on the wire means all, so a watch of the end alone requests state changes.
pub(super) fn wire_types(types: EventTypes) -> Vec<i32> {
    if types == EventTypes::ALL {
        return Vec::new();
    }
    let EventTypes { state_change, progress, output, log } = types;
    let wanted = [
        (v1::EventType::StateChange, state_change || types == EventTypes::NONE),
        (v1::EventType::Progress, progress),
        (v1::EventType::Output, output),
        (v1::EventType::Log, log),
    ];
    wanted.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(wire, _)| wire.into()).collect()
}
