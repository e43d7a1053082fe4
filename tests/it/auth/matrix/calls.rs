//! The calls of the matrix, as raw requests.

use http::Method;
use jobstream::proto::v1;
use prost::Message;

use super::callers::{Callers, Job};
use crate::support::{echo, frame, new_id};

/// How a server answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Unauthenticated,
    Denied,
    /// The job does not exist for the caller.
    NotFound,
    /// The call is executed, or refused for another reason.
    Permitted,
}

/// A call over gRPC or HTTP.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// `JobService.GetResult`, for HTTP also a part of it: `JobService.GetResultPayload`.
    pub(super) name: String,
    /// The method and path of HTTP.
    http: Option<(Method, String)>,
}

impl Call {
    pub(super) fn grpc(name: String) -> Self {
        Self { name, http: None }
    }

    pub(super) fn http(method: &str, path: &str, name: &str) -> Self {
        Self { name: name.to_owned(), http: Some((method.parse().expect("a method"), path.to_owned())) }
    }

    /// Sends the call about this job or its queue. Returns the outcome and the whole response as text.
    pub(super) async fn send(&self, callers: &Callers, token: Option<&str>, job: &Job) -> (Outcome, String) {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let mut headers: Vec<_> =
            authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = match &self.http {
            None => {
                let path = format!("/jobstream.v1.{}", self.name.replace('.', "/"));
                headers.extend([("content-type", "application/grpc"), ("te", "trailers")]);
                let body = frame(0, &grpc_request(&self.name, job));
                callers.http2.send_bytes(Method::POST, &path, &headers, body).await
            }
            Some((method, path)) => {
                let path = path
                    .replace("/v1/events", "/v1/events?afterCursor=none")
                    .replace("{jobId}", &job.id)
                    .replace("{queue}", job.queue)
                    .replace("{worker}", "nobody");
                let body = http_body(&self.name, job);
                if !body.is_empty() {
                    headers.push(("content-type", "application/json"));
                }
                callers.http1.send(method.clone(), &path, &headers, &body).await
            }
        };
        let text = format!(
            "{} {} {}",
            answer.header("grpc-status"),
            percent_decoded(answer.header("grpc-message")),
            details(answer.header("grpc-status-details-bin"))
        );
        let text = format!("{text} {}", String::from_utf8_lossy(&answer.body));
        if self.name == "AdminService.PauseQueue" {
            callers.restore(job.queue).await;
        }
        // The metrics name the reasons of refusals.
        let refusals = if self.name == "metrics" { "" } else { &text };
        (outcome(answer.status.as_u16(), answer.header("grpc-status"), refusals), text)
    }
}

fn outcome(http: u16, grpc: &str, text: &str) -> Outcome {
    match (http, grpc) {
        (401, _) | (_, "16") => Outcome::Unauthenticated,
        (403, _) | (_, "7") => Outcome::Denied,
        // A job of a batch is refused within a response.
        _ if text.contains("GRANT_MISSING") => Outcome::Denied,
        _ if text.contains("JOB_NOT_FOUND") => Outcome::NotFound,
        _ => Outcome::Permitted,
    }
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The texts in the details of an error.
fn details(header: &str) -> String {
    use base64::Engine;
    let bytes = base64::prelude::BASE64_STANDARD_NO_PAD.decode(header.trim_end_matches('=')).expect("base64");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn spec(job: &Job) -> v1::JobSpec {
    v1::JobSpec { queue: job.queue.to_owned(), ..echo("hello") }
}

/// The encoded request of an RPC.
fn grpc_request(name: &str, job: &Job) -> Vec<u8> {
    let (job_id, queue, worker) = (job.id.clone(), job.queue.to_owned(), "nobody".to_owned());
    let (kinds, queues) = (vec!["elsewhere".to_owned()], vec![queue.clone()]);
    match name {
        "JobService.Submit" => {
            v1::SubmitRequest { job: Some(spec(job)), validate_only: false }.encode_to_vec()
        }
        "JobService.BatchSubmit" => {
            v1::BatchSubmitRequest { jobs: vec![spec(job)], atomic: false }.encode_to_vec()
        }
        "JobService.SubmitStream" => {
            v1::SubmitStreamRequest { batch: 1, jobs: vec![spec(job)], outcomes: false }.encode_to_vec()
        }
        "JobService.Run" => {
            v1::RunRequest { job: Some(spec(job)), ..v1::RunRequest::default() }.encode_to_vec()
        }
        "JobService.GetResult" => v1::GetResultRequest { job_id, wait: None }.encode_to_vec(),
        "JobService.WatchResult" => {
            v1::WatchResultRequest { job_id, ..v1::WatchResultRequest::default() }.encode_to_vec()
        }
        "JobService.WatchJobs" => refused_feed().encode_to_vec(),
        "JobService.GetJob" => v1::GetJobRequest { job_id }.encode_to_vec(),
        "JobService.ListJobs" => {
            v1::ListJobsRequest { include_payloads: true, page_size: 1, ..v1::ListJobsRequest::default() }
                .encode_to_vec()
        }
        "JobService.Cancel" => v1::CancelRequest { job_id, ..v1::CancelRequest::default() }.encode_to_vec(),
        "JobService.Retry" => v1::RetryRequest { job_id, ..v1::RetryRequest::default() }.encode_to_vec(),
        "JobService.Delete" => v1::DeleteRequest { job_id }.encode_to_vec(),
        "WorkerService.Work" => {
            let (name, slots, instance_id) = ("w".to_owned(), 1, new_id());
            let hello = v1::Hello {
                protocol_version: 1,
                name,
                instance_id,
                kinds,
                queues,
                slots,
                ..v1::Hello::default()
            };
            v1::WorkRequest { hello: Some(hello), ..v1::WorkRequest::default() }.encode_to_vec()
        }
        "WorkerService.Lease" => {
            let name = "w".to_owned();
            v1::LeaseRequest { name, kinds, queues, max_jobs: 1, ..v1::LeaseRequest::default() }
                .encode_to_vec()
        }
        "WorkerService.Report" => v1::ReportRequest::default().encode_to_vec(),
        "AdminService.PauseQueue" => v1::PauseQueueRequest { queue }.encode_to_vec(),
        "AdminService.ResumeQueue" => v1::ResumeQueueRequest { queue }.encode_to_vec(),
        "AdminService.PurgeQueue" => v1::PurgeQueueRequest { queue }.encode_to_vec(),
        "AdminService.SetLogLevel" => v1::SetLogLevelRequest { level: "info".to_owned() }.encode_to_vec(),
        "AdminService.DrainWorker" => v1::DrainWorkerRequest { worker, within: None }.encode_to_vec(),
        "AdminService.GetServerInfo" | "AdminService.GetStats" | "AccessService.WhoAmI" => Vec::new(),
        "AdminService.ListQueues" | "AdminService.ListWorkers" => Vec::new(),
        "AccessService.MintToken" => v1::MintTokenRequest { job_id, lifetime: None }.encode_to_vec(),
        _ => panic!("{name} has no request here"),
    }
}

/// A feed whose cursor is refused: one that is open has no end.
fn refused_feed() -> v1::WatchJobsRequest {
    v1::WatchJobsRequest { after_cursor: "none".to_owned(), ..v1::WatchJobsRequest::default() }
}

/// The body of an HTTP request; empty for none.
fn http_body(name: &str, job: &Job) -> String {
    let spec =
        format!(r#"{{"kind": "demo.echo", "queue": "{}", "payload": {{"text": "hello"}}}}"#, job.queue);
    let worker =
        format!(r#"{{"name": "w", "kinds": ["elsewhere"], "queues": ["{}"], "maxJobs": 1}}"#, job.queue);
    match name {
        "JobService.Submit" => spec,
        "JobService.BatchSubmit" => format!(r#"{{"jobs": [{spec}]}}"#),
        "JobService.Run" => format!(r#"{{"job": {spec}}}"#),
        "WorkerService.Lease" => worker,
        "AccessService.MintToken" => format!(r#"{{"jobId": "{}"}}"#, job.id),
        _ => String::new(),
    }
}
