//! Follows a job's events to its end, across cut and silent streams: it resumes after the last sequence it saw.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream;
use tokio::time::{self, Instant};
use tokio_stream::Stream;
use tonic::{Request, Status, Streaming};

use super::backoff::Endurance;
use super::connection::Link;
use super::error::{Error, Result};
use super::{Client, WatchOptions, jobs, status, vanished};
use crate::job::{EventTypes, JobId, JobState, WatchItem};
use crate::proto::read::Incoming;
use crate::proto::v1::watch_result_response::Message;
use crate::proto::v1::{job_event, run_response};
use crate::proto::{read, render, v1};

/// A stream that is silent for this many heartbeats is given up.
const HEARTBEATS_MISSED_MAX: u32 = 3;

/// How long the stream may take to close after the event that ends the job; after it, it is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The events of one job, in order, none twice, none missed; it ends after the event that ends the job.
///
/// It opens with the first item that is asked for. A stream that is cut, refused for now or silent for three heartbeats
/// is opened anew after the last sequence seen. It ends with an error if the job is unknown or gone, as
/// [`Job::outcome`](super::Job::outcome) tells it, and when the server was away for all of `patience`. Dropping it
/// changes nothing for the job.
#[must_use = "a watch tells nothing until it is read"]
pub struct Watch {
    messages: Pin<Box<dyn Stream<Item = Result<Message>> + Send>>,
    address: String,
    job_id: JobId,
    last_sequence: u32,
}

impl Watch {
    /// `opened` is the stream to begin with, if there is one already.
    pub(super) fn new(
        client: Client,
        job_id: JobId,
        options: WatchOptions,
        seen: Option<Instant>,
        opened: Option<Opened>,
    ) -> Self {
        let address = client.address().to_owned();
        let follower = Follower {
            endurance: Endurance::new(client.options()),
            client,
            job_id,
            options,
            last: options.after_sequence,
            seen,
            stream: opened,
            is_over: false,
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

    /// Sequence of the newest item that was told: another watch can go on after it.
    pub fn last_sequence(&self) -> u32 {
        self.last_sequence
    }

    /// The next item; `None` after the event that ends the job, and after an error. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// As said at [`Watch`].
    pub async fn next(&mut self) -> Option<Result<WatchItem>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// [`Watch::next`], as the message that the server sent: an event or a gap, never a heartbeat. It has every field that
    /// this version knows, also of events that [`WatchItem`] cannot show.
    ///
    /// # Errors
    ///
    /// As said at [`Watch`].
    pub async fn next_message(&mut self) -> Option<Result<Message>> {
        std::future::poll_fn(|context| self.poll_message(context)).await
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        let message = std::task::ready!(self.messages.as_mut().poll_next(context));
        match &message {
            Some(Ok(Message::Event(event))) => self.last_sequence = event.sequence,
            Some(Ok(Message::Gap(gap))) => self.last_sequence = gap.to,
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
                Some(Ok(Message::Gap(v1::Gap { from, to }))) => {
                    return Poll::Ready(Some(Ok(WatchItem::Gap { from, to })));
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

/// The messages of one stream, from either call that has them.
pub(super) enum Messages {
    Watch(Streaming<v1::WatchResultResponse>),
    Run(Streaming<v1::RunResponse>),
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

/// A watch that survives its streams.
struct Follower {
    client: Client,
    job_id: JobId,
    options: WatchOptions,
    /// Sequence after which the next stream begins.
    last: u32,
    /// When the server last told that it has the job; it does by opening a stream.
    seen: Option<Instant>,
    stream: Option<Opened>,
    endurance: Endurance,
    /// The event that ends the job was told.
    is_over: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            if self.is_over {
                self.close().await;
                return Ok(None);
            }
            match self.message().await {
                Ok(message) => {
                    self.endurance.renew();
                    if let Some(message) = self.unseen(message) {
                        return Ok(Some(message));
                    }
                }
                Err(error) => {
                    self.stream = None;
                    let error = vanished::explain(&self.client, self.job_id, self.seen, error).await;
                    self.endurance.bear(&self.client, error).await?;
                }
            }
        }
    }

    /// The next message of the stream at hand, or of a new one.
    async fn message(&mut self) -> Result<Option<Message>> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = open(&self.client, self.request()).await?;
                // Not with each message: a slow reader may read what was sent by a server that is gone.
                self.seen = Some(Instant::now());
                self.stream.insert(stream)
            }
        };
        let silence_max = self.options.heartbeat.saturating_mul(HEARTBEATS_MISSED_MAX);
        let Ok(answer) = time::timeout(silence_max, stream.messages.next()).await else {
            return Err(give_up_on(&self.client, &stream.link, "the stream fell silent"));
        };
        let address = self.client.address();
        match answer {
            Ok(Some(message)) => Ok(message),
            // The server ends a stream well only after the event that ends the job: something between us did it.
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

    /// The message, unless an earlier stream sent it or it was not asked for.
    fn unseen(&mut self, message: Option<Message>) -> Option<Message> {
        match message? {
            Message::Event(event) if event.sequence > self.last => {
                self.last = event.sequence;
                self.is_wanted(&event).then_some(Message::Event(event))
            }
            Message::Gap(v1::Gap { from, to }) if to > self.last => {
                let from = from.max(self.last + 1);
                self.last = to;
                Some(Message::Gap(v1::Gap { from, to }))
            }
            Message::Event(_) | Message::Gap(_) | Message::Heartbeat(_) => None,
        }
    }

    /// State changes come with every stream: they show when the job has ended.
    fn is_wanted(&mut self, event: &v1::JobEvent) -> bool {
        let Some(job_event::Event::StateChange(change)) = &event.event else { return true };
        self.is_over = read::state(change.state()).is_some_and(JobState::is_final);
        self.is_over || self.options.types.state_change
    }

    /// Lets the stream close by itself: dropping it before would reset it.
    async fn close(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            // Whatever comes, the job's end is known.
            let _ = time::timeout(CLOSE_TIMEOUT, stream.messages.next()).await;
        }
    }
}

/// A stream's deadline would be that of its whole life, so only the opening is timed, on this side.
async fn open(client: &Client, request: v1::WatchResultRequest) -> Result<Opened> {
    let link = client.connection().for_held_call();
    let mut jobs = jobs(link.channel.clone());
    let opening = jobs.watch_result(Request::new(request));
    match time::timeout(client.options().call_timeout, opening).await {
        Ok(Ok(answer)) => Ok(Opened { messages: Messages::Watch(answer.into_inner()), link }),
        Ok(Err(status)) => Err(status::from_status(&status, client.address())),
        Err(_) => Err(give_up_on(client, &link, "the stream did not open")),
    }
}

/// Nothing comes over this connection, though it is open: the next stream takes another.
fn give_up_on(client: &Client, link: &Link, why: &str) -> Error {
    client.connection().replace(link);
    status::unreachable(client.address(), why)
}

/// None on the wire means all, so a watch of nothing but the end asks for state changes.
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
