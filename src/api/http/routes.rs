//! The route table: every HTTP path of the API. The router, the OpenAPI document and the tests read it.

use http::Method;
use prost_reflect::MethodDescriptor;

use super::call::{self, UnaryCall};
use super::route::{Body, Handler, IdempotencyKey, Route};
use crate::proto::json::messages;

const JOB: &str = "/v1/jobs/{job_id}";
const QUEUE: &str = "/v1/queues/{queue}";

/// The routes, in the order of the documentation.
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/v1/jobs", "JobService.Submit", Handler::Submit)
            .body(Body::Field("job"))
            .idempotency_key(IdempotencyKey::Sets(&["job", "job_id"])),
        unary(Method::POST, "/v1/jobs:batch", "JobService.BatchSubmit", call::batch_submit)
            .body(Body::Message)
            .idempotency_key(IdempotencyKey::Refused),
        route(Method::POST, "/v1/jobs:run", "JobService.Run", Handler::Run)
            .body(Body::Message)
            .idempotency_key(IdempotencyKey::Sets(&["job", "job_id"])),
        unary(Method::GET, "/v1/jobs", "JobService.ListJobs", call::list_jobs)
            .aliases(&[("state", "states"), ("label", "labels")]),
        unary(Method::GET, JOB, "JobService.GetJob", call::get_job),
        unary(Method::DELETE, JOB, "JobService.Delete", call::delete),
        route(Method::GET, "/v1/jobs/{job_id}/payload", "JobService.GetJob", Handler::JobPayload),
        route(Method::GET, "/v1/jobs/{job_id}/result", "JobService.GetResult", Handler::Result),
        route(
            Method::GET,
            "/v1/jobs/{job_id}/result/payload",
            "JobService.GetResult",
            Handler::ResultPayload,
        ),
        route(Method::GET, "/v1/jobs/{job_id}/events", "JobService.WatchResult", Handler::Events),
        route(Method::GET, "/v1/events", "JobService.WatchJobs", Handler::Feed)
            .aliases(&[("state", "states"), ("label", "labels")]),
        unary(Method::POST, JOB, "JobService.Cancel", call::cancel).action("cancel").body(Body::Message),
        unary(Method::POST, JOB, "JobService.Retry", call::retry)
            .action("retry")
            .body(Body::Message)
            .idempotency_key(IdempotencyKey::Sets(&["new_job_id"])),
        unary(Method::POST, "/v1/leases", "WorkerService.Lease", call::lease).body(Body::Message),
        unary(Method::POST, "/v1/reports", "WorkerService.Report", call::report).body(Body::Message),
        unary(Method::GET, "/v1/queues", "AdminService.ListQueues", call::list_queues),
        unary(Method::POST, QUEUE, "AdminService.PauseQueue", call::pause_queue)
            .action("pause")
            .body(Body::Message),
        unary(Method::POST, QUEUE, "AdminService.ResumeQueue", call::resume_queue)
            .action("resume")
            .body(Body::Message),
        unary(Method::POST, QUEUE, "AdminService.PurgeQueue", call::purge_queue)
            .action("purge")
            .body(Body::Message),
        unary(Method::GET, "/v1/workers", "AdminService.ListWorkers", call::list_workers),
        unary(Method::POST, "/v1/workers/{worker}", "AdminService.DrainWorker", call::drain_worker)
            .action("drain")
            .body(Body::Message),
        unary(Method::GET, "/v1/stats", "AdminService.GetStats", call::get_stats),
        unary(Method::GET, "/v1/whoami", "AccessService.WhoAmI", call::who_am_i),
        unary(Method::POST, "/v1/tokens", "AccessService.MintToken", call::mint_token).body(Body::Message),
        unary(Method::GET, "/v1/server", "AdminService.GetServerInfo", call::get_server_info),
        unary(Method::POST, "/v1/server/log-level", "AdminService.SetLogLevel", call::set_log_level)
            .body(Body::Message),
    ]
}

/// The descriptor of an RPC: `JobService.Submit`. A test makes all routes, so that a wrong name does not get far.
fn rpc(name: &str) -> MethodDescriptor {
    let (service, method) = name.split_once('.').expect("a service and a method");
    let service =
        messages().get_service_by_name(&format!("jobstream.v1.{service}")).expect("a service of the API");
    service.methods().find(|rpc| rpc.name() == method).expect("a method of the service")
}

fn route(method: Method, path: &'static str, rpc: &str, handler: Handler) -> Route {
    Route {
        method,
        path,
        action: "",
        rpc: self::rpc(rpc),
        body: Body::None,
        aliases: &[],
        idempotency_key: IdempotencyKey::Ignored,
        handler,
    }
}

fn unary(method: Method, path: &'static str, rpc: &str, call: UnaryCall) -> Route {
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

    #[test]
    fn every_rpc_has_a_route_except_streams_of_requests() {
        let routed: BTreeSet<_> = routes().iter().map(|route| route.rpc.full_name().to_owned()).collect();
        for rpc in messages().services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            assert_ne!(rpc.is_client_streaming(), routed.contains(rpc.full_name()), "{}", rpc.full_name());
        }
    }

    #[test]
    fn the_names_of_each_route_are_those_of_its_request_message() {
        for route in routes() {
            let input = route.rpc.input();
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
