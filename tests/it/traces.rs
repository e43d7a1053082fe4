//! Trace contexts: from the headers of a call or the spec of a job to its handler, on every way.

use std::time::Duration;

use jobstream::job::Payload;
use jobstream::proto::v1;
use jobstream::proto::v1::TraceContext;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::worker::command::CommandSpec;
use jobstream::worker::{CommandHandler, JobContext, JobError, RunningWorker, Worker};
use serde_json::json;
use tonic::{Code, Request};

#[cfg(not(feature = "otel"))]
use crate::support::Dev;
use crate::support::{Http, Setup, TestServer, connect_worker, job, refused, text, wait_for};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const HEADERS: [(&str, &str); 3] =
    [("traceparent", PARENT), ("tracestate", "vendor=1"), ("baggage", "tenant=acme")];
const KIND: &str = "test.trace";

fn context() -> TraceContext {
    let [(_, traceparent), (_, tracestate), (_, baggage)] =
        HEADERS.map(|(name, value)| (name, value.to_owned()));
    TraceContext { traceparent, tracestate, baggage }
}

fn traced() -> v1::JobSpec {
    v1::JobSpec { trace_context: Some(context()), ..job(KIND) }
}

/// A request with the headers of [`HEADERS`].
fn with_headers<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in HEADERS {
        request.metadata_mut().insert(name, value.parse().expect("text"));
    }
    request
}

/// Returns the trace context that it gets.
async fn show(context: JobContext) -> Result<Payload, JobError> {
    let headers = context.trace_context().into_iter().flat_map(jobstream::job::TraceContext::headers);
    let pairs: Vec<_> = headers.map(|(name, value)| format!("{name}={value}")).collect();
    Ok(Payload::text(pairs.join("\n")))
}

/// What [`show`] returns for [`HEADERS`].
fn shown() -> v1::Payload {
    text(&HEADERS.map(|(name, value)| format!("{name}={value}")).join("\n"))
}

/// A server whose pool has the handler [`show`].
async fn server() -> TestServer {
    TestServer::with(|setup: &mut Setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker.raw_handler(KIND, show);
    })
    .await
}

/// A server without a worker for [`KIND`], and a worker with [`show`].
async fn remote() -> (TestServer, RunningWorker) {
    let server = TestServer::start().await;
    let worker = Worker::new().raw_handler(KIND, show);
    let running = connect_worker(worker, server.channel()).await;
    (server, running)
}

#[tokio::test]
async fn the_context_of_a_spec_reaches_the_handler_and_is_shown() {
    let server = server().await;
    let ended = server.run_to_end(traced()).await;
    assert_eq!(ended.result(), &shown());
    let spec = server.get(&ended.id).await.spec.expect("a spec");
    assert_eq!(spec.trace_context, Some(context()));
    let listed = server.jobs().list_jobs(v1::ListJobsRequest::default()).await.expect("a page").into_inner();
    assert_eq!(listed.jobs[0].spec.as_ref().expect("a spec").trace_context, Some(context()));
}

#[tokio::test]
async fn a_remote_worker_gets_the_context() {
    let (server, _worker) = remote().await;
    assert_eq!(server.run_to_end(traced()).await.result(), &shown());
    // Without labels, headers and context there is nothing to pass on.
    assert_eq!(server.run_to_end(job(KIND)).await.result(), &text(""));
}

#[tokio::test]
async fn every_call_that_submits_takes_the_context_from_its_metadata() {
    let server = server().await;
    let mut jobs: JobServiceClient<_> = server.jobs();
    let request = with_headers(v1::SubmitRequest { job: Some(job(KIND)), validate_only: false });
    let id = jobs.submit(request).await.expect("accepted").into_inner().job_id;
    assert_eq!(server.end(&id).await.result(), &shown(), "Submit");

    let request = with_headers(v1::BatchSubmitRequest { jobs: vec![job(KIND)], atomic: false });
    let answer = jobs.batch_submit(request).await.expect("accepted").into_inner();
    let Some(v1::submit_result::Result::Submitted(submitted)) = &answer.results[0].result else {
        panic!("{answer:?}")
    };
    assert_eq!(server.end(&submitted.job_id).await.result(), &shown(), "BatchSubmit");

    let batch = v1::SubmitStreamRequest { batch: 1, jobs: vec![job(KIND)], outcomes: true };
    let stream = jobs.submit_stream(with_headers(tokio_stream::iter([batch]))).await;
    let mut stream = stream.expect("a stream").into_inner();
    let end = loop {
        let answer = wait_for("an outcome", stream.message()).await.expect("open").expect("an answer");
        if let Some(end) = answer.outcomes.into_iter().next() {
            break end;
        }
    };
    assert_eq!(server.end(&end.job_id).await.result(), &shown(), "SubmitStream");

    let request = with_headers(v1::RunRequest { job: Some(job(KIND)), ..Default::default() });
    let mut stream = jobs.run(request).await.expect("a stream").into_inner();
    let first = wait_for("the first answer", stream.message()).await.expect("open").expect("an answer");
    let Some(v1::run_response::Message::Submitted(submitted)) = first.message else { panic!("no answer") };
    assert_eq!(server.end(&submitted.job_id).await.result(), &shown(), "Run");
}

#[tokio::test]
async fn the_context_of_a_spec_is_preferred_to_that_of_the_call() {
    let server = server().await;
    let own = TraceContext { traceparent: PARENT.replace("4bf9", "0000"), ..Default::default() };
    let spec = v1::JobSpec { trace_context: Some(own.clone()), ..job(KIND) };
    let request = with_headers(v1::SubmitRequest { job: Some(spec), validate_only: false });
    let id = server.jobs().submit(request).await.expect("accepted").into_inner().job_id;
    assert_eq!(server.get(&id).await.spec.expect("a spec").trace_context, Some(own));
}

#[tokio::test]
async fn a_retry_is_in_the_trace_of_its_own_call() {
    let server = server().await;
    let ended = server.run_to_end(traced()).await;
    let request = || v1::RetryRequest { job_id: ended.id.clone(), ..Default::default() };
    let plain = server.jobs().retry(request()).await.expect("a new job").into_inner().job_id;
    assert_eq!(server.get(&plain).await.spec.expect("a spec").trace_context, None);
    let traced = server.jobs().retry(with_headers(request())).await.expect("a new job").into_inner().job_id;
    assert_eq!(server.get(&traced).await.spec.expect("a spec").trace_context, Some(context()));
}

#[tokio::test]
async fn a_repeated_submit_in_another_trace_is_the_same_job() {
    let server = server().await;
    let spec = v1::JobSpec { job_id: crate::support::new_id(), ..traced() };
    server.submit(spec.clone()).await;
    let again = v1::JobSpec { trace_context: None, ..spec };
    let answer = server.try_submit(again).await.expect("the same job");
    assert_eq!(answer.disposition(), v1::Disposition::Existing);
}

#[tokio::test]
async fn malformed_headers_are_ignored_and_a_malformed_field_is_refused() {
    let server = server().await;
    let mut request = Request::new(v1::SubmitRequest { job: Some(job(KIND)), validate_only: false });
    request.metadata_mut().insert("traceparent", "00-broken".parse().expect("text"));
    request.metadata_mut().insert("baggage", "b".repeat(4097).parse().expect("text"));
    let id = server.jobs().submit(request).await.expect("accepted").into_inner().job_id;
    assert_eq!(server.get(&id).await.spec.expect("a spec").trace_context, None);

    let broken = TraceContext { traceparent: "00-broken".to_owned(), ..Default::default() };
    let error = server.try_submit(v1::JobSpec { trace_context: Some(broken), ..job(KIND) }).await;
    let error = error.expect_err("it is malformed");
    refused(&error, Code::InvalidArgument, "INVALID_FIELD");
    assert!(error.message().contains("job.trace_context.traceparent: is \"00-broken\""), "{error}");
}

#[tokio::test]
async fn http_requests_pass_their_context_on() {
    let server = server().await;
    let http = Http::new(server.address, false);
    let headers = [&HEADERS[..], &[("content-type", "application/json")]].concat();
    let body = format!(r#"{{"kind": "{KIND}"}}"#);
    let answer = http.send(http::Method::POST, "/v1/jobs?wait=20s", &headers, &body).await;
    let id = answer.json()["submit"]["jobId"].as_str().expect("an id").to_owned();
    assert_eq!(server.end(&id).await.result(), &shown());
    let spec = http.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!(spec["job"]["spec"]["traceContext"]["traceparent"], PARENT);
    let own = json!({"kind": KIND, "traceContext": {"traceparent": PARENT}}).to_string();
    let answer = http.post("/v1/jobs", &own).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn programs_have_the_context_in_their_environment() {
    let mut spec = CommandSpec::new("sh");
    spec.args =
        vec!["-c".to_owned(), r#"printf '%s %s %s' "$TRACEPARENT" "$TRACESTATE" "$BAGGAGE""#.to_owned()];
    let server = TestServer::with(|setup: &mut Setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker.command(KIND, CommandHandler::new(spec));
    })
    .await;
    let ended = server.run_to_end(traced()).await;
    assert_eq!(ended.result(), &text(&HEADERS.map(|(_, value)| value).join(" ")));
    assert_eq!(server.run_to_end(job(KIND)).await.result(), &text("  "));
}

#[tokio::test]
async fn a_worker_of_unary_calls_gets_the_context() {
    let server = TestServer::start().await;
    let mut worker = v1::worker_service_client::WorkerServiceClient::new(server.channel());
    let id = server.submit(traced()).await;
    let request = v1::LeaseRequest {
        name: "w".to_owned(),
        kinds: vec![KIND.to_owned()],
        wait: prost_types::Duration::try_from(Duration::from_secs(20)).ok(),
        ..Default::default()
    };
    let leased = wait_for("a lease", worker.lease(request)).await.expect("an answer").into_inner();
    assert_eq!(
        (&leased.assignments[0].job_id, leased.assignments[0].trace_context.clone()),
        (&id, Some(context()))
    );
}

#[cfg(not(feature = "otel"))]
#[tokio::test]
async fn a_binary_that_exports_no_traces_says_which_feature_is_missing() {
    let dev = Dev::start_in("export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9; exec \"$@\"", &[]).await;
    dev.signal(rustix::process::Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!((code, stderr.matches("build it with the feature otel").count()), (Some(0), 1), "{stderr}");
}
