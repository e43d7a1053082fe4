//! `/metrics`: its samples, its two addresses, and who may read it.

use http::Method;
use jobstream::access::Grants;
use jobstream::engine::{Engine, EngineOptions};
use jobstream::metrics::{FAMILIES, Kind};
use jobstream::proto::v1;
use jobstream::server::{Identity, IdentityOptions, Server, ServerOptions, Shutdown, StaticToken};
use tonic::Code;

use super::scrape::Scrape;
use crate::support::raw_worker::{RawWorker, hello};
use crate::support::{Http, TestServer, echo, job, new_id, read_until, text, wait_for, watch_request};

/// Families without a sample in a new server in memory: their labels are not known yet, or they need a log.
const LATER: [&str; 16] = [
    "jobstream_attempt_duration_seconds",
    "jobstream_attempts_failed_total",
    "jobstream_attempts_released_total",
    "jobstream_attempts_started_total",
    "jobstream_job_end_to_end_seconds",
    "jobstream_job_wait_seconds",
    "jobstream_jobs_finished_total",
    "jobstream_jobs_submitted_total",
    "jobstream_leases_expired_total",
    "jobstream_queue_unserved_jobs",
    "jobstream_store_errors_total",
    "jobstream_store_op_duration_seconds",
    "jobstream_store_queued_bytes",
    "jobstream_store_segments",
    "jobstream_store_used_bytes",
    "jobstream_submit_deduplicated_total",
];

#[tokio::test]
async fn a_new_server_has_every_series_at_zero_whose_labels_are_known() {
    let server = TestServer::start().await;
    let scrape = Scrape::of(server.address).await;
    scrape.check();
    for family in FAMILIES {
        let has_samples = scrape.text.contains(&format!("\n# TYPE {} {}\n", family.name, family.kind.name()))
            || scrape.text.starts_with(&format!("# HELP {} ", family.name));
        assert_ne!(has_samples, LATER.contains(&family.name), "{}\n{}", family.name, scrape.text);
    }
    for line in scrape.text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let name = series.split('{').next().expect("a name");
        let is_counter = FAMILIES.iter().any(|family| family.name == name && family.kind == Kind::Counter);
        if is_counter && name != "process_cpu_seconds_total" {
            assert_eq!(value, "0", "{line}");
        }
    }
    for direction in ["input", "result", "event"] {
        assert_eq!(scrape.get(&format!("jobstream_payload_bytes_count{{direction=\"{direction}\"}}")), 0.0);
    }
    assert_eq!(scrape.get("jobstream_watch_delivery_lag_seconds_count"), 0.0);
    assert_eq!(scrape.get("jobstream_queue_jobs{queue=\"default\",state=\"queued\"}"), 0.0);
    assert_eq!(scrape.get("jobstream_ready{check=\"accepting\"}"), 1.0);
    assert!(scrape.get("jobstream_workers_connected{pool=\"local\",sdk=\"rust\"}") > 0.0);
}

#[tokio::test]
async fn calls_are_counted_by_method_and_status_whatever_their_protocol() {
    let server = TestServer::start().await;
    let submit = "rpc_server_call_duration_seconds_count{rpc_method=\"jobstream.v1.JobService/Submit\"";
    server.submit(echo("one")).await;
    let body = r#"{"kind": "test.echo"}"#;
    assert_eq!(Http::new(server.address, false).post("/v1/jobs", body).await.status, 201);
    let scrape = Scrape::when(server.address, &format!("{submit},rpc_status_code=\"OK\"}}"), 2.0).await;
    assert_eq!(scrape.get("jobstream_submit_rejected_total{reason=\"INVALID_FIELD\"}"), 0.0);

    let refused = server.try_submit(v1::JobSpec { queue: "a b".to_owned(), ..echo("two") }).await;
    assert_eq!(refused.expect_err("a refusal").code(), Code::InvalidArgument);
    assert_eq!(Http::new(server.address, false).post("/v1/jobs", r#"{"kind": ""}"#).await.status, 400);
    let series = format!("{submit},rpc_status_code=\"INVALID_ARGUMENT\"}}");
    let scrape = Scrape::when(server.address, &series, 2.0).await;
    assert_eq!(scrape.get("jobstream_submit_rejected_total{reason=\"INVALID_FIELD\"}"), 2.0);
    assert_eq!(scrape.get("jobstream_calls_refused_total{reason=\"INVALID_FIELD\"}"), 2.0);
    scrape.check();
}

#[tokio::test]
async fn streams_are_counted_apart_at_their_end() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let stream =
        "rpc_server_stream_duration_seconds_count{rpc_method=\"jobstream.v1.JobService/WatchResult\"";
    let mut watch = server.jobs().watch_result(watch_request(&id, 0)).await.expect("a stream").into_inner();
    let scrape = Scrape::when(server.address, "jobstream_watch_streams", 1.0).await;
    assert_eq!(scrape.get(&format!("{stream},rpc_status_code=\"OK\"}}")), 0.0);
    server.gate.open(1);
    while wait_for("an event", watch.message()).await.expect("no error").is_some() {}
    let scrape = Scrape::when(server.address, &format!("{stream},rpc_status_code=\"OK\"}}"), 1.0).await;
    assert!(scrape.get("jobstream_watch_events_sent_total") >= 3.0);

    drop(server.jobs().watch_result(watch_request(&id, 1)).await.expect("a stream"));
    Scrape::when(server.address, "jobstream_watch_resumes_total", 1.0).await;
}

#[tokio::test]
async fn a_call_over_http_has_the_status_of_its_end() {
    let server = TestServer::start().await;
    let of = |family: &str, method: &str, code: &str| {
        let labels = format!("rpc_method=\"jobstream.v1.JobService/{method}\",rpc_status_code=\"{code}\"");
        format!("rpc_server_{family}_duration_seconds_count{{{labels}}}")
    };
    let id = server.submit(job("unserved")).await;
    let (address, result) = (server.address, format!("/v1/jobs/{id}/result?wait=60s"));
    let waiting = tokio::spawn(async move { Http::new(address, true).get(&result).await.status });
    Scrape::when(address, "jobstream_watch_streams", 1.0).await;
    waiting.abort();
    Scrape::when(address, &of("call", "GetResult", "CANCELLED"), 1.0).await;

    let (http, events) = (Http::new(address, true), format!("/v1/jobs/{id}/events"));
    let (_, _, mut left) = http.open(Method::GET, &events, &[], "").await;
    read_until(&mut left, "JOB_STATE_QUEUED").await;
    drop(left);
    Scrape::when(address, &of("stream", "WatchResult", "CANCELLED"), 1.0).await;
    server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let (_, _, mut drained) = http.open(Method::GET, &events, &[], "").await;
    read_until(&mut drained, "JOB_STATE_QUEUED").await;
    server.shutdown.graceful.cancel();
    read_until(&mut drained, "DRAINING").await;
    let scrape = Scrape::when(address, &of("stream", "WatchResult", "UNAVAILABLE"), 1.0).await;
    assert_eq!(scrape.get(&of("stream", "WatchResult", "OK")), 0.0);
}

#[tokio::test]
async fn jobs_are_counted_from_submit_to_end() {
    let server = TestServer::start().await;
    let spec = v1::JobSpec { queue: "mail".to_owned(), ..echo("one") };
    let lane = format!("queue=\"mail\",kind=\"{}\"", spec.kind);
    server.run_to_end(spec).await;
    let succeeded = format!("jobstream_jobs_finished_total{{{lane},outcome=\"succeeded\"}}");
    let scrape = Scrape::when(server.address, &succeeded, 1.0).await;
    assert_eq!(scrape.get(&format!("jobstream_jobs_submitted_total{{{lane}}}")), 1.0);
    assert_eq!(scrape.get(&format!("jobstream_attempts_started_total{{{lane}}}")), 1.0);
    assert_eq!(scrape.get(&format!("jobstream_job_wait_seconds_count{{{lane}}}")), 1.0);
    for family in ["jobstream_attempt_duration_seconds", "jobstream_job_end_to_end_seconds"] {
        assert_eq!(scrape.get(&format!("{family}_count{{{lane},outcome=\"succeeded\"}}")), 1.0);
    }
    assert_eq!(scrape.get(&format!("jobstream_attempts_failed_total{{{lane},reason=\"HANDLER\"}}")), 0.0);
    assert_eq!(scrape.get("jobstream_leases_expired_total{queue=\"mail\"}"), 0.0);
    scrape.check();
}

#[tokio::test]
async fn repeated_submits_are_counted_in_every_call() {
    let server = TestServer::start().await;
    let spec = v1::JobSpec { job_id: new_id(), queue: "mail".to_owned(), ..echo("one") };
    server.submit(spec.clone()).await;
    let deduplicated = "jobstream_submit_deduplicated_total{queue=\"mail\"}";
    assert_eq!(Scrape::of(server.address).await.get(deduplicated), 0.0);
    server.submit(spec.clone()).await;
    let jobs = vec![spec.clone(), spec.clone()];
    let batch = v1::BatchSubmitRequest { jobs: jobs.clone(), ..Default::default() };
    server.jobs().batch_submit(batch).await.expect("the same job");
    let batch = v1::SubmitStreamRequest { batch: 1, jobs, outcomes: false };
    let stream = server.jobs().submit_stream(tokio_stream::once(batch)).await.expect("a stream");
    let mut stream = stream.into_inner();
    while wait_for("an answer", stream.message()).await.expect("no error").is_some() {}
    let http = Http::new(server.address, false);
    let headers = [("content-type", "application/json"), ("idempotency-key", "order-123")];
    for status in [201, 200] {
        let body = r#"{"kind": "test.echo", "queue": "mail"}"#;
        assert_eq!(http.send(Method::POST, "/v1/jobs", &headers, body).await.status, status);
    }
    let scrape = Scrape::of(server.address).await;
    assert_eq!(scrape.get(deduplicated), 6.0);
    scrape.check();
}

#[tokio::test]
async fn payloads_and_the_delivery_of_events_are_measured() {
    let server = TestServer::start().await;
    let (first, second) = ("x".repeat(1_000), "y".repeat(70));
    let gated = |payload: &str| v1::JobSpec { payload: Some(text(payload)), ..job("test.gate") };
    let ids = [server.submit(gated(&first)).await, server.submit(gated(&second)).await];
    server.gate.arrival().await;
    // Of the first job, all events but the last one are older than the watch, and of the second one all.
    let mut watch = server.jobs().watch_result(watch_request(&ids[0], 0)).await.expect("open").into_inner();
    wait_for("the first event", watch.message()).await.expect("no error").expect("an event");
    server.gate.open(2);
    while wait_for("an event", watch.message()).await.expect("no error").is_some() {}
    server.end(&ids[1]).await;
    let before = Scrape::of(server.address).await;
    let deliveries = "jobstream_watch_delivery_lag_seconds_count";
    let live = before.get(deliveries);
    assert!((1.0..=2.0).contains(&live), "{live}");
    server.watch_all(&ids[1], 0).await;
    let scrape = Scrape::of(server.address).await;
    assert_eq!(scrape.get(deliveries), live, "history is not late");
    for direction in ["input", "result"] {
        let of =
            |part: &str| scrape.get(&format!("jobstream_payload_bytes_{part}direction=\"{direction}\"}}"));
        assert_eq!((of("count{"), of("sum{")), (2.0, 1_070.0));
    }
    let small = "jobstream_payload_bytes_bucket{direction=\"input\",le=\"256\"}";
    assert_eq!(scrape.get(small), 1.0);
    scrape.check();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_process_has_the_metrics_of_every_client_library() {
    let server = TestServer::start().await;
    let scrape = Scrape::of(server.address).await;
    assert!(scrape.get("process_resident_memory_bytes") > 1e6);
    assert!(scrape.get("process_open_fds") > 2.0);
    assert!(scrape.get("process_max_fds") >= scrape.get("process_open_fds"));
    // This process started before the server in it, and not long ago.
    let (process, server) =
        (scrape.get("process_start_time_seconds"), scrape.get("jobstream_start_time_seconds"));
    assert!(process <= server + 1.0 && server - process < 3_600.0, "{process} {server}");
    assert!(scrape.get("process_cpu_seconds_total") >= 0.0);
}

#[tokio::test]
async fn jobs_without_a_worker_are_unserved_until_one_connects() {
    let server = TestServer::start().await;
    server.submit(v1::JobSpec { queue: "lonely".to_owned(), ..job("made.up") }).await;
    let unserved = "jobstream_queue_unserved_jobs{queue=\"lonely\",kind=\"made.up\"}";
    let scrape = Scrape::when(server.address, unserved, 1.0).await;
    assert_eq!(scrape.get("jobstream_queue_jobs{queue=\"lonely\",state=\"queued\"}"), 1.0);
    assert!(scrape.get("jobstream_queue_oldest_ready_age_seconds{queue=\"lonely\"}") >= 0.0);
    assert_eq!(scrape.get("jobstream_worker_slots{pool=\"remote\"}"), 0.0);

    let hello = v1::Hello { kinds: vec!["made.up".to_owned()], sdk: "python/1.0".to_owned(), ..hello(1, 3) };
    let mut worker = RawWorker::open(&server, hello).await;
    worker.assigned(1).await;
    let scrape = Scrape::when(server.address, unserved, 0.0).await;
    assert_eq!(scrape.get("jobstream_worker_slots{pool=\"remote\"}"), 3.0);
    assert_eq!(scrape.get("jobstream_worker_slots_used{pool=\"remote\"}"), 1.0);
    assert_eq!(scrape.get("jobstream_workers_connected{pool=\"remote\",sdk=\"python\"}"), 1.0);
    scrape.check();
}

#[tokio::test]
async fn queues_beyond_the_bound_share_one_series() {
    let server = TestServer::start().await;
    for queue in 0..205 {
        server.submit(v1::JobSpec { queue: format!("q{queue:03}"), ..job("made.up") }).await;
    }
    server.admin().pause_queue(v1::PauseQueueRequest { queue: "empty".to_owned() }).await.expect("paused");
    let scrape = Scrape::of(server.address).await;
    // Of 206 queues and the default queue.
    assert_eq!(scrape.get("jobstream_metrics_folded_names{label=\"queue\"}"), 7.0);
    assert_eq!(scrape.get("jobstream_metrics_folded_names{label=\"lane\"}"), 5.0);
    assert_eq!(scrape.get("jobstream_queue_jobs{queue=\"_other\",state=\"queued\"}"), 7.0);
    assert_eq!(scrape.text.matches("jobstream_queue_paused{").count(), 201);
    scrape.check();
}

#[tokio::test]
async fn the_main_address_needs_the_grant_and_the_own_address_no_credential() {
    let (token, other) = (format!("jst_{}", "m".repeat(40)), format!("jst_{}", "o".repeat(40)));
    let mut identity = IdentityOptions::default();
    for (token, grants) in [(&token, "metrics"), (&other, "all queue=a")] {
        let grants = Grants::parse([grants]).expect("grants");
        identity.tokens.push(StaticToken::new("prometheus", token, grants).expect("a token"));
    }
    let mut options = ServerOptions::default();
    options.serve.identity = Some(Identity::new(identity).expect("an identity"));
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (main, own) = (listen(), listen());
    let (address, own_address) = (main.local_addr().expect("bound"), own.local_addr().expect("bound"));
    let shutdown = Shutdown::default();
    let server = Server::new(Engine::start(EngineOptions::default()), options).with_metrics_on(own);
    let server = tokio::spawn(server.run(main, shutdown.clone()));

    let http = Http::new(address, false);
    for (token, status) in [(None, 401), (Some(&other), 403), (Some(&token), 200)] {
        let value = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = value.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = http.send(Method::GET, "/metrics", &headers, "").await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
        if status == 200 {
            assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        }
    }
    let scrape = Scrape::of(own_address).await;
    assert_eq!(scrape.get("jobstream_calls_refused_total{reason=\"CREDENTIAL_REQUIRED\"}"), 1.0);
    let own = Http::new(own_address, false);
    let foreign = own.send(Method::GET, "/metrics", &[("host", "jobs.example")], "").await;
    assert_eq!(foreign.status, 200);
    let other = own.get("/v1/jobs").await;
    let text = String::from_utf8_lossy(&other.body);
    assert!(other.status == 404 && text.contains("this address has /metrics, /livez and /readyz"), "{text}");
    assert_eq!(own.get("/readyz").await.status, 200);
    assert_eq!(own.send(Method::POST, "/metrics", &[], "").await.status, 405);
    shutdown.graceful.cancel();
    server.await.expect("no panic").expect("no error");
}
