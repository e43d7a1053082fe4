//! A decorator of the router that injects bugs. It forwards all other calls unchanged.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::body::Body;
use tower::Service;

use super::bugs::Bug;
use crate::proto::v1::{self, Disposition, JobState};
use crate::server::router::Router;

const SUBMIT_PATH: &str = "/jobstream.v1.JobService/Submit";
const LEASE_PATH: &str = "/jobstream.v1.WorkerService/Lease";
const REPORT_PATH: &str = "/jobstream.v1.WorkerService/Report";
/// Bytes before each gRPC message: a flag and its length.
const FRAME_HEAD_BYTES: usize = 5;

/// What the bugs need to know of earlier calls.
#[derive(Default)]
pub(super) struct Seen {
    /// The job of each lease.
    jobs: HashMap<String, String>,
    /// The newest lease of each job.
    newest_leases: HashMap<String, String>,
    /// The client's job id, by the id under which the job runs a second time.
    chosen_ids: HashMap<String, String>,
}

#[derive(Clone)]
pub(super) struct FaultyService {
    router: Router,
    bug: Option<Bug>,
    seen: Rc<RefCell<Seen>>,
}

impl Service<Request<Body>> for FaultyService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.router.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.clone();
        match (self.bug, request.uri().path()) {
            (Some(Bug::AcceptsStaleLeases | Bug::DropsJobIds), LEASE_PATH) => {
                service.lease(request).boxed_local()
            }
            (Some(Bug::AcceptsStaleLeases), REPORT_PATH) => service.report(request).boxed_local(),
            (Some(Bug::DropsJobIds), SUBMIT_PATH) => service.submit(request).boxed_local(),
            _ => self.router.call(request).boxed_local(),
        }
    }
}

impl FaultyService {
    pub(super) fn new(router: Router, bug: Option<Bug>, seen: Rc<RefCell<Seen>>) -> Self {
        Self { router, bug, seen }
    }

    /// Records the leases. Replaces the id of a job that runs a second time by the client's id.
    async fn lease(mut self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let response = self.router.call(request).await?;
        Ok(change_response(response, |leased: &mut v1::LeaseResponse| {
            let mut seen = self.seen.borrow_mut();
            for assignment in &mut leased.assignments {
                if let Some(id) = seen.chosen_ids.get(&assignment.job_id) {
                    assignment.job_id = id.clone();
                }
                let (id, lease) = (assignment.job_id.clone(), assignment.lease_id.clone());
                seen.jobs.insert(lease.clone(), id.clone());
                seen.newest_leases.insert(id, lease);
            }
        })
        .await)
    }

    /// Replaces the lease of each report by the newest lease of its job.
    async fn report(mut self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (parts, mut request) = read_request::<v1::ReportRequest>(request).await;
        for report in &mut request.reports {
            let seen = self.seen.borrow();
            if let Some(newest) = seen.jobs.get(&report.lease_id).and_then(|id| seen.newest_leases.get(id)) {
                report.lease_id = newest.clone();
            }
        }
        self.router.call(with_message(parts, &request)).await
    }

    /// Submits a finished job again under a new id that the client does not know.
    async fn submit(mut self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (parts, mut request) = read_request::<v1::SubmitRequest>(request).await;
        let mut response = self.router.call(with_message(parts.clone(), &request)).await?;
        let mut is_finished = false;
        response = change_response(response, |submitted: &mut v1::SubmitResponse| {
            let is_final = [JobState::Succeeded, JobState::Failed, JobState::Cancelled];
            is_finished =
                submitted.disposition() == Disposition::Existing && is_final.contains(&submitted.state());
        })
        .await;
        let Some(spec) = request.job.as_mut().filter(|_| is_finished) else { return Ok(response) };
        let chosen = std::mem::replace(&mut spec.job_id, uuid::Uuid::now_v7().to_string());
        self.seen.borrow_mut().chosen_ids.insert(spec.job_id.clone(), chosen.clone());
        let response = self.router.call(with_message(parts, &request)).await?;
        Ok(change_response(response, |submitted: &mut v1::SubmitResponse| submitted.job_id = chosen).await)
    }
}

async fn read_request<M: Message + Default>(request: Request<Body>) -> (Parts, M) {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("the client sends all of it").to_bytes();
    (parts, M::decode(&body[FRAME_HEAD_BYTES..]).expect("the client encoded it"))
}

fn with_message(parts: Parts, message: &impl Message) -> Request<Body> {
    Request::from_parts(parts, Body::new(Full::new(framed(message))))
}

/// Changes the message of a response. An error has no message.
async fn change_response<M: Message + Default>(
    response: Response<Body>,
    change: impl FnOnce(&mut M),
) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("the server ends its response");
    let trailers = body.trailers().cloned();
    let bytes = body.to_bytes();
    let Some(message) = bytes.get(FRAME_HEAD_BYTES..) else {
        return Response::from_parts(parts, with_trailers(bytes, trailers));
    };
    let mut message = M::decode(message).expect("the server encoded it");
    change(&mut message);
    Response::from_parts(parts, with_trailers(framed(&message), trailers))
}

fn with_trailers(bytes: Bytes, trailers: Option<http::HeaderMap>) -> Body {
    Body::new(Full::new(bytes).with_trailers(async move { trailers.map(Ok) }))
}

fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + message.encoded_len());
    frame.put_u8(0);
    frame.put_u32(message.encoded_len() as u32);
    message.encode_raw(&mut frame);
    frame.freeze()
}
