//! Spans of a job from its submit to its worker, at a strict receiver of OTLP.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jobstream::client::{Client, Sampling, Spans};
use jobstream::job::Payload;
use jobstream::worker::{RemoteOptions, Worker};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{FutureExt, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::support::{Dev, Gate, Remote, ScriptedServer, TestServer, assignment, lease_id, terms, wait_for};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";

/// `tests/otlp/run`, which prints each span that it receives.
struct Receiver {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Spans that were read and not asked for yet.
    seen: Vec<Value>,
    grpc: String,
    http: String,
}

impl Receiver {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(args: &[&str]) -> Self {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/otlp/run"));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the receiver starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = wait_for("the receiver", lines.next_line()).await.expect("text").expect("a line");
        let addresses: Value = serde_json::from_str(&first).expect("JSON");
        let of = |protocol: &str| addresses[protocol].as_str().expect("an address").to_owned();
        Self { _child: child, lines, seen: Vec::new(), grpc: of("grpc"), http: of("http") }
    }

    /// The environment of a process that exports to this receiver.
    fn script(&self, more: &str) -> String {
        format!(
            "export OTEL_EXPORTER_OTLP_ENDPOINT={} OTEL_BSP_SCHEDULE_DELAY=50 {more}; exec \"$@\"",
            self.grpc
        )
    }

    /// The next span of each of these names.
    async fn spans<const N: usize>(&mut self, names: [&str; N]) -> [Value; N] {
        let mut found = Vec::new();
        for name in names {
            let position = loop {
                match self.seen.iter().position(|span| span["name"] == name) {
                    Some(position) => break position,
                    None => {
                        let span = self.next().await;
                        self.seen.push(span);
                    }
                }
            };
            found.push(self.seen.remove(position));
        }
        found.try_into().expect("one of each name")
    }

    async fn next(&mut self) -> Value {
        let line = wait_for("a span", self.lines.next_line()).await.expect("text").expect("a line");
        let span: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(span.get("error"), None, "the receiver refused it");
        span
    }
}

/// A certificate for 127.0.0.1, with its key, in files that are removed when it is dropped. It is its own authority.
#[cfg(feature = "tls")]
pub(crate) struct Certificate(std::path::PathBuf);

#[cfg(feature = "tls")]
impl Certificate {
    pub(crate) fn new() -> Self {
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("otlp-{}", crate::support::new_id()));
        std::fs::create_dir(&directory).expect("a new directory");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        std::fs::write(directory.join("tls.crt"), made.cert.pem()).expect("a file");
        std::fs::write(directory.join("tls.key"), made.signing_key.serialize_pem()).expect("a file");
        Self(directory)
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}

#[cfg(feature = "tls")]
impl Drop for Certificate {
    fn drop(&mut self) {
        // What remains is in a temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn assert_child(span: &Value, parent: &Value) {
    assert_eq!(
        (&span["traceId"], &span["parentSpanId"]),
        (&parent["traceId"], &parent["spanId"]),
        "{span:#}"
    );
}

fn link_to(span: &Value) -> Value {
    json!([{"traceId": span["traceId"], "spanId": span["spanId"]}])
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn the_spans_of_a_job_are_in_one_trace() {
    let mut receiver = Receiver::start().await;
    let dev = Dev::start_in(&receiver.script("OTEL_RESOURCE_ATTRIBUTES=a=b"), &[]).await;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&receiver.grpc)
        .build()
        .expect("an address");
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("shop").build())
        .with_batch_exporter(exporter)
        .build();
    let client = Client::connect(&format!("http://{}", dev.address)).await.expect("a server");
    let client = client.interceptor(Spans::new(provider.tracer("shop"), Sampling::default()));
    let request = client.job("demo.echo").queue("mail").text("x");
    request.submit::<String>().await.expect("accepted").await.expect("a result");
    let flushed = tokio::task::spawn_blocking(move || provider.force_flush());
    flushed.await.expect("it ends").expect("the receiver takes it");

    let names = ["submit mail", "jobstream.v1.JobService/Submit", "process mail", "settle mail"];
    let [submit, server, process, settle] = receiver.spans(names).await;
    let kinds = [&submit, &server, &process, &settle].map(|span| span["kind"].as_str().expect("a kind"));
    assert_eq!(kinds, ["PRODUCER", "SERVER", "CONSUMER", "CLIENT"]);
    assert_child(&server, &submit);
    assert_child(&process, &submit);
    assert_child(&settle, &process);
    assert_eq!(process["links"], link_to(&submit));
    assert_eq!((&submit["parentSpanId"], &submit["resource"]["service.name"]), (&json!(""), &json!("shop")));
    assert_eq!(
        (&server["resource"]["service.name"], &server["resource"]["a"]),
        (&json!("jobstream"), &json!("b"))
    );
    assert_eq!(server["attributes"]["rpc.response.status_code"], "OK");
    for (span, name, of_type) in
        [(&submit, "submit", "send"), (&process, "process", "process"), (&settle, "settle", "settle")]
    {
        let attributes = &span["attributes"];
        assert_eq!(attributes["messaging.system"], "jobstream");
        assert_eq!(attributes["messaging.destination.name"], "mail");
        assert_eq!(attributes["messaging.operation.name"], name);
        assert_eq!(attributes["messaging.operation.type"], of_type);
        assert_eq!(attributes["messaging.message.id"], request.job_id().to_string());
        assert_eq!(attributes["jobstream.job.kind"], "demo.echo");
        assert_eq!(span["status"]["code"], "UNSET");
    }
    for span in [&process, &settle] {
        assert_eq!(span["attributes"]["jobstream.job.attempt"], 1);
    }
}

/// Passes each span on when it ends.
#[derive(Debug)]
struct Collector(mpsc::Sender<SpanData>);

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        batch.into_iter().for_each(|span| self.0.try_send(span).expect("there is capacity"));
        Ok(())
    }
}

#[tokio::test]
async fn an_end_that_is_not_recorded_is_an_error_of_its_span() {
    for (is_revoked, error_type) in [(true, "LEASE_LOST"), (false, "UNKNOWN")] {
        let (sender, mut spans) = mpsc::channel(8);
        let provider = SdkTracerProvider::builder().with_simple_exporter(Collector(sender)).build();
        let mut server = ScriptedServer::start().await;
        let gate = Gate::new();
        let passed = gate.clone();
        let worker = Worker::new()
            .interceptor(Spans::new(provider.tracer("shop"), Sampling::default()))
            .raw_handler("gate", move |_| {
                let gate = passed.clone();
                async move {
                    gate.pass().await;
                    Ok(Payload::default())
                }
            });
        let running = worker.connect(server.channel(), RemoteOptions::default()).expect("valid names");
        let (mut stream, _) = server.joined(terms()).await;
        stream.assign(vec![assignment(1, "gate", "x")]).await;
        gate.arrival().await;
        match is_revoked {
            true => stream.cancel(&lease_id(1), Duration::ZERO, true).await,
            false => gate.open(1),
        }
        stream.end().await;
        running.drain(Duration::ZERO).await;
        let [process, settle] = [spans.try_recv(), spans.try_recv()].map(|span| span.expect("it ended"));
        assert_eq!((&*process.name, &*settle.name), ("process default", "settle default"));
        assert_eq!(settle.parent_span_id, process.span_context.span_id());
        assert!(matches!(settle.status, Status::Error { .. }), "{settle:?}");
        assert!(settle.attributes.contains(&KeyValue::new("error.type", error_type)), "{settle:?}");
        assert!(process.end_time <= settle.start_time);
    }
}

#[tokio::test]
async fn a_retry_has_the_current_span_as_its_submitter() {
    let server = TestServer::start().await;
    let plain = Client::connect(&format!("http://{}", server.address)).await.expect("a server");
    let provider = SdkTracerProvider::builder().build();
    let client = plain.clone().interceptor(Spans::new(provider.tracer("shop"), Sampling::default()));
    let job = client.job("demo.echo").text("x").submit::<String>().await.expect("accepted");
    assert_eq!(job.result().await.expect("a result"), "x");
    let request = Context::new().with_span(provider.tracer("shop").start("request"));
    let request = request.with_baggage([KeyValue::new("tenant", "acme")]);
    let own = request.span().span_context().clone();
    let own = format!("00-{}-{}-01", own.trace_id(), own.span_id());
    for (client, expected) in [(client, Some((Some(own), "tenant=acme"))), (plain, None)] {
        let retried = client.retry::<String>(job.id()).with_context(request.clone()).await.expect("accepted");
        let options = client.get(retried.id()).await.expect("a job").spec.options;
        let trace = options.as_ref().and_then(|options| options.trace.as_deref());
        assert_eq!(trace.map(|trace| (trace.traceparent(), trace.baggage())), expected);
    }
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn a_job_of_an_http_request_is_traced_to_its_program_and_a_retry_begins_a_trace() {
    let mut receiver = Receiver::start().await;
    let dev = Dev::start_in(&receiver.script(""), &[]).await;
    let program = r#"test=sh -c 'printf %s "$TRACEPARENT"; [ "$JOBSTREAM_ATTEMPT" = 2 ] || exit 75'"#;
    let spec = r#"{"kind": "test", "queue": "q", "retry": {"maxAttempts": 2, "initialBackoff": "0.001s"}}"#;
    let remote = "OTEL_SERVICE_NAME=remote";
    let mut worker = Remote::start_in(&receiver.script(remote), &dev.address, &["--exec", program]);
    worker.wait_for_line("connected to").await;
    let curl = format!(
        "curl -sf -H 'traceparent: {PARENT}-01' --json '{spec}' 'http://{}/v1/jobs?wait=20s'",
        dev.address
    );
    let answer: Value = serde_json::from_str(&dev.sh(&curl).await).expect("JSON");
    let [server, first] = receiver.spans(["jobstream.v1.JobService/Submit", "process q"]).await;
    let [second, settled, other] = receiver.spans(["process q", "settle q", "settle q"]).await;
    let sent = json!({"traceId": TRACE_ID, "spanId": SPAN_ID});
    assert_child(&server, &sent);
    assert_eq!(server["attributes"]["http.response.status_code"], 201);
    assert_child(&first, &sent);
    assert_eq!(
        (&first["status"]["code"], &first["attributes"]["error.type"]),
        (&json!("ERROR"), &json!("exit.75"))
    );
    assert_eq!(first["resource"]["service.name"], "remote");
    assert_eq!((&second["parentSpanId"], &second["status"]["code"]), (&json!(""), &json!("UNSET")));
    assert_ne!(second["traceId"], TRACE_ID);
    assert_eq!((&first["links"], &second["links"]), (&link_to(&sent), &link_to(&sent)));
    // Spans of different traces arrive in any order.
    let is_first = settled["traceId"] == first["traceId"];
    let settled = if is_first { [settled, other] } else { [other, settled] };
    for ((settle, process), attempt) in settled.iter().zip([&first, &second]).zip(1..) {
        assert_child(settle, process);
        assert_eq!((&settle["kind"], &settle["status"]["code"]), (&json!("CLIENT"), &json!("UNSET")));
        assert_eq!(settle["attributes"]["jobstream.job.attempt"], attempt);
    }
    // The program runs in the span of its attempt.
    let own = format!(
        "00-{}-{}-01",
        second["traceId"].as_str().expect("an id"),
        second["spanId"].as_str().expect("an id")
    );
    assert_eq!(answer["result"]["outcome"]["result"]["text"], own, "{answer:#}");
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn a_job_of_a_caller_without_a_trace_begins_one_at_the_server() {
    let mut receiver = Receiver::start().await;
    let dev = Dev::start_in(&receiver.script("OTEL_TRACES_SAMPLER=always_on"), &[]).await;
    dev.sh("jobstream run demo.echo 1").await;
    let [server, process] = receiver.spans(["jobstream.v1.JobService/Run", "process default"]).await;
    assert_eq!(server["parentSpanId"], "");
    assert_child(&process, &server);
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn spans_are_exported_over_http_as_protobuf() {
    let mut receiver = Receiver::start().await;
    for variables in [
        format!("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT={}", receiver.http),
        format!(
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={}/v1/traces",
            receiver.http
        ),
    ] {
        // Metrics have a receiver of their own in other tests.
        let script =
            format!("export OTEL_METRICS_EXPORTER=none OTEL_SERVICE_NAME=jobs {variables}; exec \"$@\"");
        let dev = Dev::start_in(&script, &[]).await;
        dev.sh("jobstream run demo.echo 1").await;
        dev.signal(Signal::TERM);
        let (code, stderr) = dev.end().await;
        assert_eq!(code, Some(0), "{stderr}");
        // The last spans are exported at the end.
        let [server, process] = receiver.spans(["jobstream.v1.JobService/Run", "process default"]).await;
        assert_child(&process, &server);
        assert_eq!(server["resource"]["service.name"], "jobs");
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn a_collector_with_tls_is_verified_with_the_authority_of_the_variable() {
    let certificate = Certificate::new();
    let (file, key) = (certificate.path("tls.crt"), certificate.path("tls.key"));
    let mut receiver = Receiver::start_with(&["--certificate", &file, "--key", &key]).await;
    for (protocol, url) in [("grpc", receiver.grpc.clone()), ("http/protobuf", receiver.http.clone())] {
        let variables = format!(
            "OTEL_METRICS_EXPORTER=none OTEL_EXPORTER_OTLP_ENDPOINT={url} OTEL_EXPORTER_OTLP_PROTOCOL={protocol} \
             OTEL_BSP_SCHEDULE_DELAY=50"
        );
        let script = format!("export {variables} OTEL_EXPORTER_OTLP_CERTIFICATE={file}; exec \"$@\"");
        let dev = Dev::start_in(&script, &[]).await;
        dev.sh("jobstream run demo.echo 1").await;
        receiver.spans(["jobstream.v1.JobService/Run", "process default"]).await;
        drop(dev);

        let dev = Dev::start_in(&format!("export {variables}; exec \"$@\""), &[]).await;
        dev.sh("jobstream run demo.echo 1").await;
        dev.signal(Signal::TERM);
        let (_, stderr) = dev.end().await;
        assert!(stderr.contains("spans were not exported"), "{protocol}: {stderr}");
    }
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn an_unknown_protocol_is_logged_if_there_is_a_collector() {
    for (endpoint, warnings) in [("", 0), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:9", 1)] {
        let script = format!("export OTEL_EXPORTER_OTLP_PROTOCOL=http/json {endpoint}; exec \"$@\"");
        let dev = Dev::start_in(&script, &[]).await;
        dev.signal(Signal::TERM);
        let (code, stderr) = dev.end().await;
        let found = stderr.matches("OTEL_EXPORTER_OTLP_PROTOCOL is \"http/json\": allowed are").count();
        assert_eq!((code, found), (Some(0), warnings), "{stderr}");
    }
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn what_is_not_sampled_has_no_spans() {
    let mut receiver = Receiver::start().await;
    let dev = Dev::start_in(&receiver.script("OTEL_TRACES_SAMPLER=parentbased_always_off"), &[]).await;
    for (queue, trace) in [("none", ""), ("unsampled", "00"), ("sampled", "01")] {
        let trace = if trace.is_empty() { String::new() } else { format!("TRACEPARENT={PARENT}-{trace}") };
        dev.sh(&format!("{trace} jobstream run demo.echo 1 --queue {queue}")).await;
    }
    // Spans arrive in the order of their ends, so those of the others would be here before.
    let span = receiver.next().await;
    assert_eq!((&span["traceId"], &span["name"]), (&json!(TRACE_ID), &json!("process sampled")));
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn a_collector_that_is_away_delays_the_end_by_a_second_at_most() {
    const END_TIME_MAX: Duration = Duration::from_secs(3);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let closed = listener.local_addr().expect("a bound socket");
    drop(listener);
    let script =
        format!("export OTEL_EXPORTER_OTLP_ENDPOINT=http://{closed} OTEL_BSP_SCHEDULE_DELAY=20; exec \"$@\"");
    let dev = Dev::start_in(&script, &[]).await;
    for _ in 0..3 {
        dev.sh("jobstream run demo.echo 1").await;
    }
    let begun = Instant::now();
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(begun.elapsed() < END_TIME_MAX, "{:?}", begun.elapsed());
    assert_eq!(stderr.matches("check the collector").count(), 1, "{stderr}");
}
