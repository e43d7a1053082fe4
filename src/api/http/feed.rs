//! The feed of all jobs as an event stream.

use axum::response::Response;
use tokio_stream::StreamExt;

use super::call;
use super::events::{EventId, Item, LAST_EVENT_ID, format, respond};
use super::problem::Problem;
use super::request::{BoundRequest, transcode};
use super::response::render;
use crate::api::grpc::Api;
use crate::proto::v1::job_service_server::JobService;
use crate::proto::v1::watch_jobs_response::Message;
use crate::proto::v1::{WatchJobsRequest, WatchJobsResponse};

/// Follows the state changes of all jobs.
pub(super) async fn watch(api: Api, request: BoundRequest<'_>) -> Result<Response, Problem> {
    let format = format(&request.parts.headers)?;
    let mut message: WatchJobsRequest = transcode(&request.message()?)?;
    if let Some(id) = request.header(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        message.after_cursor = id.to_owned();
    }
    let rpc = call::with_extensions(message, request.parts.extensions);
    let stream = api.watch_jobs(rpc).await;
    respond(format, stream.map(|response| response.into_inner().map(|item| item.map(Item::from))))
}

impl From<WatchJobsResponse> for Item {
    fn from(response: WatchJobsResponse) -> Self {
        let id = EventId::Cursor(response.cursor);
        match response.message {
            Some(Message::Change(change)) => {
                Self::Event { name: "change", id: Some(id), json: render("JobChange", &change) }
            }
            Some(Message::Gap(gap)) => {
                Self::Event { name: "gap", id: Some(id), json: render("FeedGap", &gap) }
            }
            Some(Message::Heartbeat(_)) | None => Self::Heartbeat(id),
        }
    }
}
