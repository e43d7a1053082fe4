//! Prometheus scrapes a loaded server: every query of the boards and rules has data, and an alert fires.

use std::net::SocketAddr;

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use super::observability::{board_queries, records};
use super::prometheus::Prometheus;
use crate::support::{Dev, Remote, job, needs, new_id, seconds, text, until, wait_for, watch_request};

/// A server with a log and an address for metrics.
struct Scraped {
    dev: Dev,
    metrics: SocketAddr,
    directory: std::path::PathBuf,
}

impl Scraped {
    async fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("jobstream-scraped-{}", new_id()));
        let data = directory.display().to_string();
        let mut dev = Dev::start(&[
            "--data",
            &data,
            "--metrics-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--exec",
            "broken=false",
        ])
        .await;
        let mut lines = BufReader::new(dev.child.stderr.take().expect("a pipe")).lines();
        let metrics = loop {
            let line = wait_for("the address of the metrics", lines.next_line()).await.expect("text");
            let line: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            if let Some(address) = line["fields"]["address"].as_str() {
                break address.parse().expect("an address");
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { dev, metrics, directory }
    }
}

impl Drop for Scraped {
    fn drop(&mut self) {
        // What remains is in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn submit(jobs: &mut JobServiceClient<Channel>, kind: &str) -> String {
    let spec = v1::JobSpec { queue: "mail".to_owned(), payload: Some(text("hello")), ..job(kind) };
    let request = v1::SubmitRequest { job: Some(spec), ..Default::default() };
    wait_for("Submit answers", jobs.submit(request)).await.expect("accepted").into_inner().job_id
}

/// Jobs that succeed and fail, watches that are resumed, and refused calls, until it is aborted.
fn load(channel: Channel) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut jobs = JobServiceClient::new(channel);
        loop {
            for kind in ["remote.cat", "broken", "demo.echo"] {
                let id = submit(&mut jobs, kind).await;
                let mut watch = jobs.watch_result(watch_request(&id, 1)).await.expect("a watch").into_inner();
                while watch.message().await.expect("no error").is_some() {}
                let wait = Some(seconds(1));
                jobs.get_result(v1::GetResultRequest { job_id: id, wait }).await.expect("a result");
            }
            let refused = v1::SubmitRequest { job: Some(job("a b")), ..Default::default() };
            jobs.submit(refused).await.expect_err("no kind");
        }
    })
}

#[tokio::test]
async fn every_query_of_boards_and_rules_is_answered_with_data() {
    needs!("prometheus");
    let scraped = Scraped::start().await;
    let worker = Remote::connected(&scraped.dev, &["--exec", "remote.cat=cat"]).await;
    let load = load(scraped.dev.channel());
    let prometheus = Prometheus::scraping(scraped.metrics).await;
    for query in board_queries().into_iter().chain(records()) {
        until(&query, || async { !prometheus.query(&query).await.is_empty() }).await;
    }
    assert_eq!(prometheus.query("up == 1").await.len(), 1);
    assert!(!load.is_finished(), "the load ended with an error");
    load.abort();
    drop(worker);
}

#[tokio::test]
async fn the_alert_for_jobs_without_a_worker_fires_until_one_serves_them() {
    needs!("prometheus");
    let scraped = Scraped::start().await;
    let prometheus = Prometheus::scraping(scraped.metrics).await;
    submit(&mut JobServiceClient::new(scraped.dev.channel()), "remote.cat").await;
    let no_workers = ("NoWorkers".to_owned(), "remote.cat".to_owned());
    let fires = || async { prometheus.firing("kind").await.contains(&no_workers) };
    until("the alert fires", &fires).await;
    let _worker = Remote::connected(&scraped.dev, &["--exec", "remote.cat=cat"]).await;
    until("the alert ends", || async { !fires().await }).await;
}
