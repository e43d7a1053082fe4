//! WorkerService.

use std::time::Duration;

use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::malformed::named;
use super::work_stream::WorkStream;
use super::{Api, ConnectionInfo, answer_by};
use crate::engine::{LeaseCall, WorkerSession};
use crate::error::Error;
use crate::proto::status::to_rpc_status;
use crate::proto::v1::worker_service_server::WorkerService;
use crate::proto::{parse, render, v1};

/// How long a stream may take to introduce its worker.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

#[tonic::async_trait]
impl WorkerService for Api {
    type WorkStream = WorkStream;

    async fn work(
        &self,
        request: Request<Streaming<v1::WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let connection = request.extensions().get::<ConnectionInfo>().cloned();
        let mut requests = request.into_inner();
        let first = match timeout(HELLO_TIMEOUT, requests.message()).await {
            Ok(first) => first.map_err(|status| named(status, self.message_bytes_max))?,
            Err(_) => None,
        };
        let hello = first.and_then(|first| first.hello).ok_or_else(|| {
            let description = "is required in the first message, within 10 s";
            self.status()(Error::invalid("hello", description))
        })?;
        let hello = parse::hello(hello, address(connection.as_ref())).map_err(self.status())?;
        let (session, welcome) = WorkerSession::connect(&self.engine, &hello).map_err(self.status())?;
        let closing = connection.map(|connection| connection.closing);
        let bytes_max = hello.peer.response_bytes_max;
        Ok(Response::new(WorkStream::new(self.clone(), requests, session, &welcome, bytes_max, closing)))
    }

    async fn lease(&self, request: Request<v1::LeaseRequest>) -> Result<Response<v1::LeaseResponse>, Status> {
        let address = address(request.extensions().get());
        let parse::Lease { spec, peer, wait } =
            parse::lease(request.get_ref(), address).map_err(self.status())?;
        let call = LeaseCall::open(&self.engine, &spec, peer).map_err(self.status())?;
        let until = answer_by(wait, request.extensions().get());
        // Whatever came by then is taken; nothing is an answer too.
        let _ = tokio::time::timeout_at(until, call.ready()).await;
        let assignments = call.take().iter().map(render::assignment).collect();
        let lease = Some(render::duration(self.engine.options().core.lease));
        Ok(Response::new(v1::LeaseResponse { assignments, lease }))
    }

    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let (reports, renewed) = parse::reports(request.into_inner(), &self.limits).map_err(self.status())?;
        let mut answer = v1::ReportResponse::default();
        for (lease, news) in reports {
            let ends = matches!(news, Ok(crate::job::AttemptUpdate::End(_)));
            let taken = self.engine.take_unary_report(lease, Some(news));
            let is_over = ends && taken.is_ok();
            answer.results.push(taken.map_or_else(
                |error| to_rpc_status(&error, &self.boot_id),
                |()| tonic_types::Status::default(),
            ));
            if !is_over {
                answer.cancels.extend(self.cancel_of(lease));
            }
        }
        for lease in renewed {
            // A lease that is gone is told by its cancel.
            let _ = self.engine.take_unary_report(lease, None);
            answer.cancels.extend(self.cancel_of(lease));
        }
        Ok(Response::new(answer))
    }
}

impl Api {
    fn cancel_of(&self, lease: crate::job::LeaseId) -> Option<v1::AttemptCancel> {
        self.engine.stop_of(lease).map(|stop| render::attempt_cancel(lease, stop))
    }
}

fn address(connection: Option<&ConnectionInfo>) -> String {
    connection.map(|connection| connection.peer.to_string()).unwrap_or_default()
}
