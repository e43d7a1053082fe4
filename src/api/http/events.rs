//! Event streams: server-sent events, or one JSON object per line (NDJSON).

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};
use tokio_stream::{Empty, Stream, StreamExt};
use tonic::{Code, Status};

use super::observe::StreamStatus;
use super::problem::Problem;
use super::request::{BoundRequest, transcode};
use super::response::render;
use super::{call, idempotency, submit};
use crate::api::grpc::Api;
use crate::error::Error;
use crate::job::quoted;
use crate::proto::v1::job_event::Event;
use crate::proto::v1::job_service_server::JobService;
use crate::proto::v1::run_response::Message as RunMessage;
use crate::proto::v1::watch_result_response::Message as WatchMessage;
use crate::proto::v1::{GetResultRequest, RunRequest, RunResponse, WatchResultRequest, WatchResultResponse};

const EVENT_STREAM: &str = "text/event-stream";
const NDJSON: &str = "application/x-ndjson";
/// The header with which a browser resumes after the last event that it received.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";
/// Turns off the buffering of nginx.
const NO_BUFFERING: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
/// How long a browser waits before it reconnects, in milliseconds.
const RECONNECT_AFTER_MS: u64 = 1_000;

/// The form of an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Server-sent events for a client that names their type, such as EventSource: it reconnects by itself.
    EventSource,
    /// Server-sent events for other clients, such as curl.
    ServerSentEvents,
    NewlineDelimitedJson,
}

/// Follows the events of one job.
pub(super) async fn watch(api: Api, request: BoundRequest<'_>) -> Result<Response, Problem> {
    let format = format(&request.parts.headers)?;
    let mut message: WatchResultRequest = transcode(&request.message()?)?;
    let resumed = request.header(LAST_EVENT_ID).filter(|id| !id.is_empty());
    if let Some(id) = resumed {
        message.after_sequence = id.parse().map_err(|_| {
            let description = format!("is {}: send the id of the last event, a whole number", quoted(id));
            Error::invalid("Last-Event-ID", description)
        })?;
    }
    if message.after_sequence > 0 {
        match has_ended_by(&api, &message, &request).await {
            Ok(true) => return Ok(StatusCode::NO_CONTENT.into_response()),
            Ok(false) => {}
            Err(status) => return respond(format, Err::<Empty<_>, _>(status)),
        }
    }
    let rpc = call::with_extensions(message, request.parts.extensions);
    let stream = api.watch_result(rpc).await;
    respond(format, stream.map(|response| response.into_inner().map(|item| item.map(Item::from))))
}

/// Submits a job and follows its events.
pub(super) async fn run(api: Api, request: BoundRequest<'_>) -> Result<Response, Problem> {
    // An EventSource cannot send this request, and a client that repeats it would submit another job.
    let format = match format(&request.parts.headers)? {
        Format::EventSource => Format::ServerSentEvents,
        format => format,
    };
    let mut message = request.message()?;
    idempotency::apply(&api, &request, &mut message).await?;
    let message: RunRequest = transcode(&message)?;
    let rpc = call::with_extensions(message, request.parts.extensions);
    let stream = api.run(rpc).await;
    respond(format, stream.map(|response| response.into_inner().map(|item| item.map(Item::from))))
}

/// Whether the job has ended, and its last event is not newer than the one that the client has.
async fn has_ended_by(
    api: &Api,
    message: &WatchResultRequest,
    request: &BoundRequest<'_>,
) -> Result<bool, Status> {
    let result = GetResultRequest { job_id: message.job_id.clone(), wait: None };
    let result = submit::get_result(api, result, request.parts.extensions.clone()).await?;
    Ok(result.outcome.is_some() && message.after_sequence >= result.sequence)
}

/// The form that the request accepts. Server-sent events unless it accepts only NDJSON, or only JSON as `curl --json` does.
pub(super) fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if accepted.peek().is_none() {
        return Ok(Format::ServerSentEvents);
    }
    let types: Vec<_> = accepted
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    let accepts = |names: &[&str]| types.iter().any(|range| names.contains(&range.as_str()));
    if accepts(&[EVENT_STREAM]) {
        Ok(Format::EventSource)
    } else if accepts(&[NDJSON, "application/ndjson", "application/json", "application/*"]) {
        Ok(Format::NewlineDelimitedJson)
    } else if accepts(&["*/*", "text/*"]) {
        Ok(Format::ServerSentEvents)
    } else {
        let detail = format!(
            "the request accepts {}: this stream has the types {EVENT_STREAM} and {NDJSON}",
            quoted(&types.join(", "))
        );
        Err(Problem::new(StatusCode::NOT_ACCEPTABLE, Code::InvalidArgument, "NOT_ACCEPTABLE", detail))
    }
}

pub(super) fn respond<S>(format: Format, stream: Result<S, Status>) -> Result<Response, Problem>
where
    S: Stream<Item = Result<Item, Status>> + Send + 'static,
{
    let status = StreamStatus::default();
    let body = match stream {
        Ok(stream) => {
            let (first, status) = (tokio_stream::once(format.preamble()), status.clone());
            let items = stream.map(move |item| {
                if let Err(error) = &item {
                    status.fail(error.code());
                }
                format.encode(item)
            });
            Body::from_stream(first.chain(items).map(Ok::<_, Infallible>))
        }
        // A browser would not reconnect after a 503.
        Err(error) if format == Format::EventSource && error.code() == Code::Unavailable => {
            status.fail(error.code());
            Body::from(reconnect())
        }
        Err(error) => return Err(error.into()),
    };
    let mut response = Response::new(body);
    let media_type = match format {
        Format::EventSource | Format::ServerSentEvents => EVENT_STREAM,
        Format::NewlineDelimitedJson => NDJSON,
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(NO_BUFFERING.0, NO_BUFFERING.1);
    response.extensions_mut().insert(status);
    Ok(response)
}

/// One item of a stream.
pub(super) enum Item {
    /// An item with the name and the id of its event.
    Event {
        name: &'static str,
        id: Option<EventId>,
        json: Result<Value, Problem>,
    },
    Heartbeat(EventId),
}

/// What resumes a stream after an event.
pub(super) enum EventId {
    /// The sequence of the event in its job.
    Sequence(u32),
    /// The cursor of the feed. Heartbeats have one as well.
    Cursor(String),
}

impl From<WatchResultResponse> for Item {
    fn from(response: WatchResultResponse) -> Self {
        let message = response.message.map(|message| match message {
            WatchMessage::Event(event) => RunMessage::Event(event),
            WatchMessage::Gap(gap) => RunMessage::Gap(gap),
            WatchMessage::Heartbeat(heartbeat) => RunMessage::Heartbeat(heartbeat),
        });
        RunResponse { message }.into()
    }
}

impl From<RunResponse> for Item {
    fn from(response: RunResponse) -> Self {
        match response.message {
            Some(RunMessage::Submitted(submitted)) => {
                let json = Ok(submit::submitted_json(&submitted));
                Self::Event { name: "submitted", id: None, json }
            }
            Some(RunMessage::Event(event)) => Self::Event {
                name: event_name(event.event.as_ref()),
                id: Some(EventId::Sequence(event.sequence)),
                json: render("JobEvent", &event),
            },
            Some(RunMessage::Gap(gap)) => {
                let id = Some(EventId::Sequence(gap.last));
                Self::Event { name: "gap", id, json: render("Gap", &gap) }
            }
            Some(RunMessage::Heartbeat(heartbeat)) => Self::Heartbeat(EventId::Sequence(heartbeat.sequence)),
            None => Self::Heartbeat(EventId::Sequence(0)),
        }
    }
}

fn event_name(event: Option<&Event>) -> &'static str {
    match event {
        Some(Event::StateChange(_)) => "stateChange",
        Some(Event::Progress(_)) => "progress",
        Some(Event::Output(_)) => "output",
        Some(Event::Log(_)) => "log",
        None => "event",
    }
}

impl Format {
    /// What the stream starts with, so that proxies forward the headers at once.
    fn preamble(self) -> String {
        match self {
            Self::EventSource | Self::ServerSentEvents => reconnect(),
            Self::NewlineDelimitedJson => String::new(),
        }
    }

    /// The text of an item. An error is the last item.
    fn encode(self, item: Result<Item, Status>) -> String {
        match item {
            Ok(Item::Event { name, id, json: Ok(json) }) => self.event(name, id, json),
            Ok(Item::Event { json: Err(problem), .. }) => self.problem(&problem),
            Ok(Item::Heartbeat(id)) => self.heartbeat(id),
            Err(status) if self == Self::EventSource && status.code() == Code::Unavailable => reconnect(),
            Err(status) => self.problem(&status.into()),
        }
    }

    fn heartbeat(self, id: EventId) -> String {
        match (self, id) {
            (Self::NewlineDelimitedJson, EventId::Sequence(sequence)) => {
                line(None, "heartbeat", serde_json::json!({ "sequence": sequence }))
            }
            (Self::NewlineDelimitedJson, EventId::Cursor(cursor)) => {
                line(Some(cursor), "heartbeat", serde_json::json!({}))
            }
            (_, EventId::Sequence(_)) => ": heartbeat\n\n".to_owned(),
            // Without data it is no event, and a browser resumes after its id.
            (_, EventId::Cursor(cursor)) => format!(": heartbeat\nid: {cursor}\n\n"),
        }
    }

    fn event(self, name: &str, id: Option<EventId>, json: Value) -> String {
        match (self, id) {
            (Self::NewlineDelimitedJson, id) => {
                let key = if matches!(name, "submitted" | "gap" | "change") { name } else { "event" };
                let cursor = id.and_then(|id| match id {
                    EventId::Cursor(cursor) => Some(cursor),
                    EventId::Sequence(_) => None,
                });
                line(cursor, key, json)
            }
            (_, Some(EventId::Sequence(id))) => format!("id: {id}\nevent: {name}\ndata: {json}\n\n"),
            (_, Some(EventId::Cursor(id))) => format!("id: {id}\nevent: {name}\ndata: {json}\n\n"),
            (_, None) => format!("event: {name}\ndata: {json}\n\n"),
        }
    }

    fn problem(self, problem: &Problem) -> String {
        match self {
            Self::EventSource | Self::ServerSentEvents => {
                format!("event: problem\ndata: {}\n\n", problem.to_json())
            }
            Self::NewlineDelimitedJson => line(None, "error", problem.to_json()),
        }
    }
}

/// A line with one member, after the cursor of a feed.
fn line(cursor: Option<String>, key: &str, json: Value) -> String {
    let cursor = cursor.map(|cursor| ("cursor".to_owned(), cursor.into()));
    let members = cursor.into_iter().chain([(key.to_owned(), json)]);
    Value::Object(Map::from_iter(members)).to_string() + "\n"
}

fn reconnect() -> String {
    format!("retry: {RECONNECT_AFTER_MS}\n\n")
}
