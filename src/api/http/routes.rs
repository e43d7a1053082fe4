//! The route table: every HTTP path of the API. The router, the OpenAPI document and the tests read it.

use http::Method;

use super::call::{self, UnaryCall};
use super::route::{Body, Handler, IdempotencyKey, Route, Rpc};

const JOB: &str = "/v1/jobs/{job_id}";
const QUEUE: &str = "/v1/queues/{queue}";

/// The routes, in the order of the documentation.
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/v1/jobs", &SUBMIT, Handler::Submit)
            .body(Body::Field("job"))
            .idempotency_key(IdempotencyKey::Sets(&["job", "job_id"])),
        unary(Method::POST, "/v1/jobs:batch", &BATCH_SUBMIT, call::batch_submit)
            .body(Body::Message)
            .idempotency_key(IdempotencyKey::Refused),
        route(Method::POST, "/v1/jobs:run", &RUN, Handler::Run)
            .body(Body::Message)
            .idempotency_key(IdempotencyKey::Sets(&["job", "job_id"])),
        unary(Method::GET, "/v1/jobs", &LIST_JOBS, call::list_jobs)
            .aliases(&[("state", "states"), ("label", "labels")]),
        unary(Method::GET, JOB, &GET_JOB, call::get_job),
        unary(Method::DELETE, JOB, &DELETE, call::delete),
        route(Method::GET, "/v1/jobs/{job_id}/payload", &GET_JOB, Handler::JobPayload),
        route(Method::GET, "/v1/jobs/{job_id}/result", &GET_RESULT, Handler::Result),
        route(Method::GET, "/v1/jobs/{job_id}/result/payload", &GET_RESULT, Handler::ResultPayload),
        route(Method::GET, "/v1/jobs/{job_id}/events", &WATCH_RESULT, Handler::Events),
        unary(Method::POST, JOB, &CANCEL, call::cancel).action("cancel").body(Body::Message),
        unary(Method::POST, JOB, &RETRY, call::retry)
            .action("retry")
            .body(Body::Message)
            .idempotency_key(IdempotencyKey::Sets(&["new_job_id"])),
        unary(Method::POST, "/v1/leases", &LEASE, call::lease).body(Body::Message),
        unary(Method::POST, "/v1/reports", &REPORT, call::report).body(Body::Message),
        unary(Method::GET, "/v1/queues", &LIST_QUEUES, call::list_queues),
        unary(Method::POST, QUEUE, &PAUSE_QUEUE, call::pause_queue).action("pause").body(Body::Message),
        unary(Method::POST, QUEUE, &RESUME_QUEUE, call::resume_queue).action("resume").body(Body::Message),
        unary(Method::POST, QUEUE, &PURGE_QUEUE, call::purge_queue).action("purge").body(Body::Message),
        unary(Method::GET, "/v1/workers", &LIST_WORKERS, call::list_workers),
        unary(Method::POST, "/v1/workers/{worker}", &DRAIN_WORKER, call::drain_worker)
            .action("drain")
            .body(Body::Message),
        unary(Method::GET, "/v1/server", &GET_SERVER_INFO, call::get_server_info),
    ]
}

/// The RPCs without a route: streams of requests, which HTTP/JSON cannot express.
#[cfg(test)]
pub(super) const WITHOUT_ROUTE: [Rpc; 2] = [rpc("JobService", "SubmitStream"), rpc("WorkerService", "Work")];

const SUBMIT: Rpc = rpc("JobService", "Submit");
const BATCH_SUBMIT: Rpc = rpc("JobService", "BatchSubmit");
const RUN: Rpc = rpc("JobService", "Run");
const GET_RESULT: Rpc = rpc("JobService", "GetResult");
const WATCH_RESULT: Rpc = rpc("JobService", "WatchResult");
const GET_JOB: Rpc = rpc("JobService", "GetJob");
const LIST_JOBS: Rpc = rpc("JobService", "ListJobs");
const CANCEL: Rpc = rpc("JobService", "Cancel");
const RETRY: Rpc = rpc("JobService", "Retry");
const DELETE: Rpc = rpc("JobService", "Delete");
const LEASE: Rpc = rpc("WorkerService", "Lease");
const REPORT: Rpc = rpc("WorkerService", "Report");
const GET_SERVER_INFO: Rpc = rpc("AdminService", "GetServerInfo");
const LIST_QUEUES: Rpc = rpc("AdminService", "ListQueues");
const PAUSE_QUEUE: Rpc = rpc("AdminService", "PauseQueue");
const RESUME_QUEUE: Rpc = rpc("AdminService", "ResumeQueue");
const PURGE_QUEUE: Rpc = rpc("AdminService", "PurgeQueue");
const LIST_WORKERS: Rpc = rpc("AdminService", "ListWorkers");
const DRAIN_WORKER: Rpc = rpc("AdminService", "DrainWorker");

const fn rpc(service: &'static str, method: &'static str) -> Rpc {
    Rpc { service, method }
}

fn route(method: Method, path: &'static str, rpc: &'static Rpc, handler: Handler) -> Route {
    Route {
        method,
        path,
        action: "",
        rpc,
        body: Body::None,
        aliases: &[],
        idempotency_key: IdempotencyKey::Ignored,
        handler,
    }
}

fn unary(method: Method, path: &'static str, rpc: &'static Rpc, call: UnaryCall) -> Route {
    route(method, path, rpc, Handler::Unary(call))
}

impl Route {
    fn action(mut self, action: &'static str) -> Self {
        self.action = action;
        self
    }

    fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = key;
        self
    }

    fn aliases(mut self, aliases: &'static [(&'static str, &'static str)]) -> Self {
        self.aliases = aliases;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::proto::json::messages;

    #[test]
    fn every_rpc_has_a_route_except_streams_of_requests() {
        let routed: BTreeSet<_> =
            routes().iter().map(|route| (route.rpc.service, route.rpc.method)).collect();
        for service in messages().services() {
            for method in service.methods() {
                let without = WITHOUT_ROUTE
                    .iter()
                    .any(|rpc| (rpc.service, rpc.method) == (service.name(), method.name()));
                assert_eq!(without, method.is_client_streaming(), "{}", method.full_name());
                assert_ne!(
                    without,
                    routed.contains(&(service.name(), method.name())),
                    "{}",
                    method.full_name()
                );
            }
        }
    }

    #[test]
    fn the_names_of_each_route_are_those_of_its_request_message() {
        for route in routes() {
            let input = route.input().expect("the RPC exists");
            let is_field =
                |name: &str| assert!(input.get_field_by_name(name).is_some(), "{}: {name}", route.path);
            route.captures().for_each(is_field);
            route.aliases.iter().for_each(|(_, field)| is_field(field));
            if let Body::Field(field) = route.body {
                is_field(field);
            }
        }
    }
}
