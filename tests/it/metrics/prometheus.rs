//! A Prometheus that scrapes a server and evaluates the rules of `deploy/observability`.
//!
//! This module has no tests.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{Http, new_id, wait_for};

/// The folder with the rules and boards.
pub(super) const FOLDER: &str = "deploy/observability";

/// A running Prometheus. It ends, and its data is removed, when it is dropped.
pub(super) struct Prometheus {
    address: SocketAddr,
    directory: PathBuf,
    /// Ends the process when it is dropped.
    _child: Child,
}

impl Prometheus {
    /// Scrapes this address every second, and evaluates the rules as often. Alerts fire after a second.
    pub(super) async fn scraping(target: SocketAddr) -> Self {
        let directory = std::env::temp_dir().join(format!("jobstream-prometheus-{}", new_id()));
        fs::create_dir_all(&directory).expect("a directory");
        copy_rules(&directory);
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [recording.yml, alerts.yml]\n\
             scrape_configs:\n  - job_name: jobstream\n    static_configs: [{{ targets: [\"{target}\"] }}]\n"
        );
        fs::write(directory.join("prometheus.yml"), config).expect("a file");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", directory.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", directory.join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.format=json"]);
        let mut child = command.kill_on_drop(true).stderr(Stdio::piped()).spawn().expect("Prometheus runs");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut address = None;
        loop {
            let line =
                wait_for("Prometheus is ready", lines.next_line()).await.expect("text").expect("a line");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            match line["msg"].as_str() {
                Some("Listening on") => {
                    address = line["address"].as_str().map(|text| text.parse().expect("one"))
                }
                Some("Server is ready to receive web requests.") => break,
                _ => {}
            }
        }
        // Nobody reads the rest; the pipe must not fill up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address: address.expect("its address"), directory, _child: child }
    }

    /// The results of a query at this moment.
    pub(super) async fn query(&self, query: &str) -> Vec<Value> {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?query={query}")).await;
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// The names of the alerts that fire, with the values of a label.
    pub(super) async fn firing(&self, label: &str) -> Vec<(String, String)> {
        let answer = self.get("/api/v1/alerts").await;
        let alerts = answer["data"]["alerts"].as_array().expect("alerts");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["labels"][label]))).collect()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = Http::new(self.address, false).get(path).await.json();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may still write; what remains is in the temporary directory.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Copies the rules, with alerts that fire after a second.
fn copy_rules(directory: &Path) {
    let rules = |name: &str| fs::read_to_string(Path::new(FOLDER).join(name)).expect("the rules");
    fs::write(directory.join("recording.yml"), rules("recording.yml")).expect("a file");
    let line = |line: &str| match line.trim_start().starts_with("for:") {
        true => "        for: 1s\n".to_owned(),
        false => format!("{line}\n"),
    };
    let alerts: String = rules("alerts.yml").lines().map(line).collect();
    fs::write(directory.join("alerts.yml"), alerts).expect("a file");
}
