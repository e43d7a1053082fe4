//! The lines of a server's log about attempts and jobs, and what no line has.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use rustix::process::Signal;
use serde_json::Value;
use tonic::transport::Channel;

use crate::auth::Tokens;
use crate::support::raw_worker::{RawWorker, hello};
use crate::support::{
    Dev, Http, TestServer, data, job, json_of, millis, needs, new_id, refused, seconds, text, until, wait_for,
};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A server whose JSON log goes to a file, removed when dropped.
struct Logged {
    dev: Dev,
    path: PathBuf,
}

impl Logged {
    async fn start(level: &str, args: &[&str]) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("log-{}", new_id()));
        let script = format!("exec \"$@\" 2>{}", path.display());
        let args = [&["--log-format", "json", "--log-level", level], args].concat();
        Self { dev: Dev::start_in(&script, &args).await, path }
    }

    fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.dev.channel())
    }

    /// Submits a job and waits for its end.
    async fn run(&self, job: v1::JobSpec) -> String {
        let request = v1::SubmitRequest { job: Some(job), ..Default::default() };
        let job_id = self.jobs().submit(request).await.expect("an accepted job").into_inner().job_id;
        let request = v1::GetResultRequest { job_id: job_id.clone(), wait: Some(seconds(30)) };
        wait_for("the job ends", self.jobs().get_result(request)).await.expect("an answer");
        job_id
    }

    /// Every line so far. Each one must be JSON.
    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let complete = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        complete.lines().map(parse).collect()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).expect("the log")
    }

    /// The level and fields of the lines about jobs with this message.
    fn of_jobs(&self, message: &str) -> Vec<(String, Value)> {
        let is_meant =
            |line: &Value| line["target"] == "jobstream::jobs" && line["fields"]["message"] == message;
        let lines = self.lines().into_iter().filter(is_meant);
        lines
            .map(|line| (line["level"].as_str().expect("a level").to_owned(), line["fields"].clone()))
            .collect()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn assert_seconds(value: &Value, min: f64) {
    let seconds = value.as_f64().unwrap_or_else(|| panic!("{value} is no time"));
    assert!((min..30.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn attempts_that_fail_are_lines_and_the_last_one_ends_the_job() {
    let logged = Logged::start("info", &[]).await;
    let retry = v1::RetryPolicy { max_attempts: 2, initial_backoff: Some(millis(10)), ..Default::default() };
    let payload = Some(json_of(serde_json::json!({"failures": 9})));
    let trace_context = Some(v1::TraceContext { traceparent: PARENT.to_owned(), ..Default::default() });
    let flaky = v1::JobSpec { retry: Some(retry), payload, trace_context, ..job("demo.flaky") };
    let id = logged.run(flaky).await;
    until("the job is a line", async || !logged.of_jobs("job failed").is_empty()).await;
    let retried = logged.of_jobs("attempt failed");
    let [(level, attempt)] = &retried[..] else { panic!("{retried:?}") };
    assert_eq!((level.as_str(), &attempt["attempt"], &attempt["outcome"]), ("INFO", &1.into(), &Value::Null));
    assert_seconds(&attempt["retry_in_s"], 0.0);
    let failed = logged.of_jobs("job failed");
    let [(level, last)] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!((level.as_str(), &last["attempt"], &last["outcome"]), ("WARN", &2.into(), &"failed".into()));
    for fields in [attempt, last] {
        assert_eq!((&fields["job"], &fields["kind"]), (&id.clone().into(), &"demo.flaky".into()));
        assert_eq!((&fields["queue"], &fields["reason"]), (&"default".into(), &"HANDLER".into()));
        assert_eq!(fields["error_type"], "demo.Flaky");
        assert_eq!(fields["trace_id"], PARENT[3..35]);
        assert!(!fields["error"].as_str().expect("an error").is_empty());
        assert!(!fields["worker"].as_str().expect("a worker").is_empty());
        assert_seconds(&fields["wait_s"], 0.0);
        assert_seconds(&fields["duration_s"], 0.0);
    }
}

#[tokio::test]
async fn a_cancelled_job_is_a_line_with_the_principal_that_cancelled_it() {
    let mut tokens = Tokens::new();
    let token = tokens.add("operator", &["all"], "");
    let logged = Logged::start("info", &["--auth-tokens", &tokens.path()]).await;
    let script = format!(
        "export JOBSTREAM_TOKEN={token}; id=$(jobstream submit demo.sleep '{{\"seconds\": 60}}'); \
         until jobstream jobs get $id | grep -q RUNNING; do sleep 0.05; done; \
         jobstream jobs cancel $id --yes >/dev/null; \
         waiting=$(jobstream submit nobody 1); jobstream jobs cancel $waiting --yes >/dev/null; \
         jobstream run demo.echo 1 >/dev/null; echo $id $waiting"
    );
    let ids = logged.dev.sh(&script).await;
    until("both are lines", async || logged.of_jobs("job cancelled").len() == 2).await;
    let cancelled = logged.of_jobs("job cancelled");
    for ((level, fields), id) in cancelled.iter().zip(ids.split_whitespace()) {
        assert_eq!((level.as_str(), &fields["outcome"]), ("INFO", &"cancelled".into()));
        assert_eq!((&fields["job"], &fields["principal"]), (&id.into(), &"operator".into()));
    }
    assert_seconds(&cancelled[0].1["duration_s"], 0.0);
    let waiting = &cancelled[1].1;
    assert_eq!((&waiting["attempt"], &waiting["duration_s"]), (&0.into(), &Value::Null));
    assert_seconds(&waiting["wait_s"], 0.0);
    assert!(logged.of_jobs("job succeeded").is_empty());
}

#[tokio::test]
async fn a_success_is_a_line_at_the_level_debug() {
    let logged = Logged::start("warn,jobstream::jobs=debug", &[]).await;
    let id = logged.run(job("demo.echo")).await;
    until("the job is a line", async || !logged.of_jobs("job succeeded").is_empty()).await;
    let (level, fields) = logged.of_jobs("job succeeded").remove(0);
    assert_eq!(
        (level.as_str(), &fields["job"], &fields["outcome"]),
        ("DEBUG", &id.into(), &"succeeded".into())
    );
    assert_seconds(&fields["duration_s"], 0.0);
}

#[tokio::test]
async fn the_level_of_a_running_server_can_be_read_and_changed() {
    let logged = Logged::start("info", &[]).await;
    assert_eq!(logged.dev.sh("jobstream log-level").await, "info\n");
    let succeed = async || logged.run(job("demo.echo")).await;
    succeed().await;
    let changed = logged.dev.sh("jobstream log-level info,jobstream::jobs=debug -o json").await;
    assert!(changed.contains("\"level\": \"info\""), "{changed}");
    let id = succeed().await;
    until("the job is a line", async || !logged.of_jobs("job succeeded").is_empty()).await;
    let succeeded = logged.of_jobs("job succeeded");
    assert_eq!((succeeded.len(), &succeeded[0].1["job"]), (1, &id.into()));
    let shown = logged.dev.sh("jobstream info | grep 'log level'").await;
    assert_eq!(shown, "log level\tinfo,jobstream::jobs=debug\n");
    let refused = logged.dev.sh("jobstream log-level loud 2>&1 || echo code $?").await;
    assert!(refused.contains("\"loud\" is not a level: use one of off, error, warn"), "{refused}");
    assert!(refused.ends_with("code 2\n"), "{refused}");
    assert_eq!(logged.dev.sh("jobstream log-level off -q").await, "info,jobstream::jobs=debug\n");
    succeed().await;
    let lines = logged.lines();
    let audited = lines.iter().filter(|line| line["fields"]["method"] == "SetLogLevel");
    let subjects: Vec<_> = audited.map(|line| line["fields"]["subject"].as_str().expect("a text")).collect();
    assert_eq!(subjects, ["info,jobstream::jobs=debug", "off"]);
    assert_eq!(logged.of_jobs("job succeeded").len(), 1);
}

#[tokio::test]
async fn a_server_without_a_log_of_its_own_refuses_to_change_the_level() {
    let server = TestServer::start().await;
    let request = v1::SetLogLevelRequest { level: "debug".to_owned() };
    let refused_call = server.admin().set_log_level(request).await.expect_err("there is no log");
    refused(&refused_call, tonic::Code::Unimplemented, "UNSUPPORTED");
    assert_eq!(server.info().await.log_level, "");
    let http = Http::new(server.address, false);
    let answer = http.post("/v1/server/log-level", r#"{"level": "debug"}"#).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["reason"]), (501, &"UNSUPPORTED".into()));
}

#[tokio::test]
async fn thousands_of_failures_are_few_lines_that_count_the_others() {
    const BATCHES: usize = 5;
    const JOBS: usize = 1_000;
    let logged = Logged::start("info", &[]).await;
    for _ in 0..BATCHES {
        let jobs = vec![job("demo.fail"); JOBS];
        let request = v1::BatchSubmitRequest { jobs, atomic: true };
        wait_for("the batch", logged.jobs().batch_submit(request)).await.expect("accepted jobs");
    }
    const OMITTED: &str = "more jobs failed: at most 10 a second are logged";
    let counted = || {
        let omitted = logged.of_jobs(OMITTED);
        let omitted: u64 =
            omitted.iter().map(|(_, fields)| fields["omitted"].as_u64().expect("a number")).sum();
        logged.of_jobs("job failed").len() + omitted as usize
    };
    until("every failure is counted", async || counted() == BATCHES * JOBS).await;
    let lines = logged.of_jobs("job failed").len();
    assert!((10..=300).contains(&lines), "{lines}");
    assert!(logged.text().len() < 200_000, "{}", logged.text().len());
}

/// How long a server takes for failing jobs at this level of its log.
async fn time_of_failures(level: &str) -> Duration {
    let logged = Logged::start(level, &[]).await;
    let begun = Instant::now();
    for _ in 0..20 {
        let request = v1::BatchSubmitRequest { jobs: vec![job("demo.fail"); 1_000], atomic: true };
        wait_for("the batch", logged.jobs().batch_submit(request)).await.expect("accepted jobs");
    }
    let last = v1::JobSpec { priority: -10, ..job("demo.echo") };
    logged.run(last).await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures throughput: run it in release"]
async fn a_stream_of_failures_is_about_as_fast_with_its_log() {
    let (mut silent, mut logging) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        silent = silent.min(time_of_failures("off").await);
        logging = logging.min(time_of_failures("info").await);
    }
    println!("20,000 failing jobs: {silent:?} without a log, {logging:?} with it");
    assert!(
        logging.as_secs_f64() <= 1.2 * silent.as_secs_f64(),
        "{logging:?} with a log, {silent:?} without"
    );
}

/// Texts that no line of the log may have.
const SECRET: &str = "secret-text-of-a-caller";

#[tokio::test]
async fn no_level_has_payloads_headers_results_details_or_tokens() {
    needs!("curl");
    let mut tokens = Tokens::new();
    let token = tokens.add("operator", &["all"], "");
    let logged = Logged::start("trace", &["--auth-tokens", &tokens.path()]).await;
    let with_token = |request: &mut tonic::metadata::MetadataMap| {
        request.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    };
    let interceptor = |mut request: tonic::Request<()>| {
        with_token(request.metadata_mut());
        Ok(request)
    };
    let mut jobs = JobServiceClient::with_interceptor(logged.dev.channel(), interceptor);
    let headers = [("header".to_owned(), SECRET.to_owned())].into();
    let payload = |body| Some(v1::Payload { content_type: "text/plain".to_owned(), ..body });
    for kind in ["demo.echo", "demo.fail", "remote"] {
        let body = if kind == "remote" { data(SECRET) } else { text(SECRET) };
        let spec = v1::JobSpec { payload: payload(body), headers: Clone::clone(&headers), ..job(kind) };
        let request = v1::SubmitRequest { job: Some(spec), ..Default::default() };
        jobs.submit(request).await.expect("an accepted job");
    }
    let connected = RawWorker::try_open_with(logged.dev.channel(), hello(7, 1), with_token).await;
    let mut worker = connected.expect("a welcome");
    let assignment = worker.assigned(1).await.remove(0);
    let failure = v1::Failure {
        reason: v1::FailureReason::Handler.into(),
        message: "no such customer".to_owned(),
        details: Some(text(SECRET)),
        ..Default::default()
    };
    let news = News::Fail(v1::AttemptFail { failure: Some(failure), retry_after: None });
    let number = worker.report(&assignment.lease_id, news).await;
    worker.acked(number).await;
    let curl = format!(
        "curl -sf -H 'authorization: Bearer {token}' -H 'content-type: application/json' \
         http://$JOBSTREAM_ADDRESS/v1/jobs -d '{{\"kind\": \"demo.echo\", \"payload\": {{\"text\": \"{SECRET}\"}}}}'"
    );
    logged.dev.sh(&curl).await;
    until("the failures are lines", async || logged.of_jobs("job failed").len() == 2).await;
    logged.dev.signal(Signal::TERM);
    until("it has stopped", async || logged.text().contains("stopped after")).await;
    assert!(logged.lines().len() > 100, "no trace");
    for secret in [SECRET, &token] {
        let leaks: Vec<_> =
            logged.text().lines().filter(|line| line.contains(secret)).map(str::to_owned).collect();
        assert!(leaks.is_empty(), "{leaks:#?}");
    }
}
