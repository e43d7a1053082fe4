//! The samples of a scrape.
//!
//! This module has no tests.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::support::{Http, is_installed, until};

/// The samples of a scrape by their series: `jobstream_ready{check="log"}`.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) text: String,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    pub(super) async fn of(address: SocketAddr) -> Self {
        let answer = Http::new(address, false).get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        Self::parse(String::from_utf8(answer.body.to_vec()).expect("text"))
    }

    /// Scrapes until the series has this value: the end of a call is counted after its response was sent.
    pub(super) async fn when(address: SocketAddr, series: &str, value: f64) -> Self {
        until(series, || async { Self::of(address).await.samples.get(series) == Some(&value) }).await;
        Self::of(address).await
    }

    fn parse(text: String) -> Self {
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (series.to_owned(), value.parse().unwrap_or_else(|error| panic!("{line}: {error}")))
        };
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(sample).collect();
        Self { text, samples }
    }

    /// The value of a series.
    pub(super) fn get(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} in:\n{}", self.text))
    }

    /// Fails if promtool finds a fault. Without promtool it checks nothing.
    pub(super) fn check(&self) {
        if !is_installed("promtool") {
            return;
        }
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(Stdio::piped());
        let mut promtool =
            promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("promtool runs");
        promtool.stdin.take().expect("a pipe").write_all(self.text.as_bytes()).expect("promtool reads");
        let ended = promtool.wait_with_output().expect("promtool ends");
        let faults = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && faults.is_empty(), "{faults}\n{}", self.text);
    }
}
