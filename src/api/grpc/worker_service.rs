//! The methods of WorkerService.

use std::time::Duration;

use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::access::Access;
use super::call::{caller, principal_name};
use super::early_end::StreamLimits;
use super::error_details::add_details;
use super::quota_use::Open;
use super::work_stream::WorkStream;
use super::{Api, ConnectionInfo, respond_by};
use crate::access::Action;
use crate::engine::{LeaseCall, WorkerSession};
use crate::error::Error;
use crate::job::Peer;
use crate::proto::status::to_rpc_status;
use crate::proto::v1::worker_service_server::WorkerService;
use crate::proto::{parse, render, v1};

/// Longest time for the first message of a worker stream.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

#[tonic::async_trait]
impl WorkerService for Api {
    type WorkStream = WorkStream;

    async fn work(
        &self,
        request: Request<Streaming<v1::WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let connection = request.extensions().get::<ConnectionInfo>().cloned();
        let access = Access::of(request.extensions());
        access.some(&[Action::Work]).map_err(self.status())?;
        let limits = StreamLimits::of(request.extensions(), self.engine.now().wall);
        let permit = self.open(&caller(request.extensions()), Open::Stream).map_err(self.status())?;
        let principal = principal_name(request.extensions()).cloned();
        let mut requests = request.into_inner();
        let first = match timeout(HELLO_TIMEOUT, requests.message()).await {
            Ok(first) => first.map_err(|status| add_details(status, self.message_bytes_max))?,
            Err(_) => None,
        };
        let hello = first.and_then(|first| first.hello).ok_or_else(|| {
            let description = "is required in the first message, within 10 s";
            self.status()(Error::invalid("hello", description))
        })?;
        let mut hello = parse::hello(hello, address(connection.as_ref())).map_err(self.status())?;
        hello.peer.principal = principal;
        access.work(&hello.spec).map_err(self.status())?;
        let (session, welcome) = WorkerSession::connect(&self.engine, &hello).await.map_err(self.status())?;
        let bytes_max = hello.peer.response_bytes_max;
        let stream = WorkStream::new(self.clone(), requests, session, &welcome, bytes_max, limits);
        Ok(Response::new(stream.counted_by(permit)))
    }

    async fn lease(&self, request: Request<v1::LeaseRequest>) -> Result<Response<v1::LeaseResponse>, Status> {
        let address = address(request.extensions().get());
        let parse::Lease { spec, peer, wait, request_id } =
            parse::lease(request.get_ref(), address).map_err(self.status())?;
        let peer = Peer { principal: principal_name(request.extensions()).cloned(), ..peer };
        Access::of(request.extensions()).work(&spec).map_err(self.status())?;
        let call = LeaseCall::open(&self.engine, &spec, peer, request_id).await.map_err(self.status())?;
        let until = respond_by(wait, request.extensions().get());
        // After the timeout the call returns the assignments that are ready, possibly none.
        let _ = tokio::time::timeout_at(until, call.ready()).await;
        let taken = call.take().await.map_err(self.status())?;
        let assignments = taken.iter().map(render::assignment).collect();
        let lease = Some(render::duration(self.engine.options().core.lease));
        Ok(Response::new(v1::LeaseResponse { assignments, lease }))
    }

    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        Access::of(&extensions).some(&[Action::Work]).map_err(self.status())?;
        let (reports, renewed) = parse::reports(request, self.payload_bytes_max).map_err(self.status())?;
        let reported = self.engine.unary_reports(principal_name(&extensions), reports, &renewed).await;
        let (results, stops) = reported.map_err(self.status())?;
        let result = |result: crate::error::Result<()>| {
            result.map_or_else(
                |error| to_rpc_status(&self.status()(error)),
                |()| tonic_types::Status::default(),
            )
        };
        Ok(Response::new(v1::ReportResponse {
            results: results.into_iter().map(result).collect(),
            cancels: stops.into_iter().map(|(lease, stop)| render::attempt_cancel(lease, stop)).collect(),
        }))
    }
}

fn address(connection: Option<&ConnectionInfo>) -> String {
    connection.map(|connection| connection.peer.to_string()).unwrap_or_default()
}
