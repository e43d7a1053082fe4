//! Follows the state changes of all jobs. It resumes after the last cursor when a stream breaks or stalls.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream;
use tokio::time;
use tokio_stream::Stream;
use tonic::{Request, Streaming};

use super::backoff::Outage;
use super::connection::Link;
use super::error::Result;
use super::list::wire_states;
use super::watch::{HEARTBEATS_MISSED_MAX, replace_connection};
use super::{Client, FeedOptions, jobs, status};
use crate::job::{ChangeFilter, JobChange, Kind, QueueName, StateSet};
use crate::proto::read::Incoming;
use crate::proto::v1::watch_jobs_response::Message;
use crate::proto::{read, render, v1};

/// An item of a [`Feed`].
#[derive(Debug, Clone, PartialEq)]
pub enum FeedItem {
    /// A job changed its state.
    Change(Arc<JobChange>),
    /// The server does not retain this number of changes of all jobs, before the filter; 0 if it is not known.
    Gap {
        /// The number of changes.
        missed: u64,
    },
}

/// The state changes of all jobs that match a filter, in order, each once. The stream does not end by itself.
///
/// The first call of [`Feed::next`] opens the stream. When it breaks, is refused as unavailable or misses three heartbeats, it
/// is opened again after the last cursor. Changes that the server does not retain are one gap: after a restart of the
/// server, and if the reader was too slow or away for too long. The feed ends with an error if the server is unavailable
/// for longer than `patience`.
///
/// ```no_run
/// use jobstream::client::{Client, FeedItem};
/// use jobstream::job::{ChangeFilter, StateSet};
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let ended = ChangeFilter { states: StateSet::ENDED, ..ChangeFilter::default() };
/// let mut feed = client.watch_jobs(&ended);
/// while let Some(item) = feed.next().await {
///     match item? {
///         FeedItem::Change(change) => println!("{} is {:?}", change.job_id, change.state()),
///         FeedItem::Gap { missed } => println!("{missed} changes are missing"),
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "a feed does nothing until it is read"]
pub struct Feed {
    messages: Pin<Box<dyn Stream<Item = Result<v1::WatchJobsResponse>> + Send>>,
    address: String,
    cursor: String,
}

impl Feed {
    pub(super) fn new(client: Client, filter: &ChangeFilter, options: FeedOptions) -> Self {
        let address = client.address().to_owned();
        let cursor = options.after_cursor.clone();
        if filter.states == StateSet::NONE {
            return Self { messages: Box::pin(stream::empty()), address, cursor };
        }
        let follower = Follower {
            outage: Outage::new(client.options()),
            client,
            heartbeat: options.heartbeat,
            request: request(filter, options),
            stream: None,
        };
        let messages = stream::try_unfold(follower, |mut follower| async {
            let message = follower.next().await?;
            Ok(Some((message, follower)))
        });
        Self { messages: Box::pin(messages), address, cursor }
    }

    /// The cursor after the newest message: another feed can resume after it. Empty before the first message.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The next item; `None` after an error, and if the filter has no states. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// See [`Feed`].
    pub async fn next(&mut self) -> Option<Result<FeedItem>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// [`Feed::next`] as the generated message, heartbeats included.
    ///
    /// # Errors
    ///
    /// See [`Feed`].
    pub async fn next_message(&mut self) -> Option<Result<v1::WatchJobsResponse>> {
        std::future::poll_fn(|context| self.poll_message(context)).await
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<v1::WatchJobsResponse>>> {
        let message = ready!(self.messages.as_mut().poll_next(context));
        if let Some(Ok(message)) = &message {
            self.cursor.clone_from(&message.cursor);
        }
        Poll::Ready(message)
    }
}

impl Stream for Feed {
    type Item = Result<FeedItem>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let message = match ready!(self.poll_message(context)) {
                Some(Ok(message)) => message.message,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            let change = match message {
                Some(Message::Change(change)) => change,
                Some(Message::Gap(v1::FeedGap { missed })) => {
                    return Poll::Ready(Some(Ok(FeedItem::Gap { missed })));
                }
                Some(Message::Heartbeat(_)) | None => continue,
            };
            match read::job_change(change) {
                Incoming::Known(change) => {
                    return Poll::Ready(Some(Ok(FeedItem::Change(Arc::new(change)))));
                }
                Incoming::New => {}
                Incoming::Unreadable => {
                    self.messages = Box::pin(stream::empty());
                    return Poll::Ready(Some(Err(status::unreadable(&self.address, "a change"))));
                }
            }
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// The state of a feed across its streams.
struct Follower {
    client: Client,
    heartbeat: Duration,
    /// The request of the next stream, with the last cursor.
    request: v1::WatchJobsRequest,
    stream: Option<(Streaming<v1::WatchJobsResponse>, Link)>,
    outage: Outage,
}

impl Follower {
    async fn next(&mut self) -> Result<v1::WatchJobsResponse> {
        loop {
            match self.message().await {
                Ok(message) => {
                    self.outage.end();
                    self.request.after_cursor.clone_from(&message.cursor);
                    return Ok(message);
                }
                Err(error) => {
                    self.stream = None;
                    self.outage.pause(&self.client, error).await?;
                }
            }
        }
    }

    /// The next message of the open stream, or of a new one.
    async fn message(&mut self) -> Result<v1::WatchJobsResponse> {
        let (stream, link) = match &mut self.stream {
            Some(stream) => stream,
            None => self.stream.insert(open(&self.client, self.request.clone()).await?),
        };
        let silence_max = self.heartbeat.saturating_mul(HEARTBEATS_MISSED_MAX);
        let Ok(message) = time::timeout(silence_max, stream.message()).await else {
            return Err(replace_connection(&self.client, link, "the stream stalled"));
        };
        let address = self.client.address();
        match message {
            Ok(Some(message)) => Ok(message),
            // The server ends a feed only with an error: a proxy ended this one.
            Ok(None) => Err(status::unreachable(address, "the stream ended")),
            Err(status) => Err(status::from_status(&status, address)),
        }
    }
}

/// A gRPC deadline would bound the whole stream, so the client bounds only its opening.
async fn open(
    client: &Client,
    request: v1::WatchJobsRequest,
) -> Result<(Streaming<v1::WatchJobsResponse>, Link)> {
    let link = client.connection().for_held_call();
    let mut jobs = jobs(link.channel.clone());
    let opening = jobs.watch_jobs(Request::new(request));
    match time::timeout(client.options().call_timeout, opening).await {
        Ok(Ok(answer)) => Ok((answer.into_inner(), link)),
        Ok(Err(status)) => Err(status::from_status(&status, client.address())),
        Err(_) => Err(replace_connection(client, &link, "the stream did not open")),
    }
}

fn request(filter: &ChangeFilter, options: FeedOptions) -> v1::WatchJobsRequest {
    let ChangeFilter { states, kind, queue, labels } = filter;
    let name = |name: Option<&str>| name.unwrap_or_default().to_owned();
    v1::WatchJobsRequest {
        states: wire_states(*states),
        kind: name(kind.as_ref().map(Kind::as_str)),
        queue: name(queue.as_ref().map(QueueName::as_str)),
        labels: labels.clone().into_iter().collect(),
        after_cursor: options.after_cursor,
        include: v1::JobChanges::States.into(),
        heartbeat: Some(render::duration(options.heartbeat)),
    }
}
