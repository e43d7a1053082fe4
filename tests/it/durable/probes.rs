//! Probes of a server whose disk does not answer.

use std::path::Path;
use std::time::{Duration, Instant};

use http::StatusCode;
use jobstream::proto::v1::SubmitRequest;
use serde_json::json;

use super::injected::can_inject;
use super::{DataDir, jobs};
use crate::supervisor::Notified;
use crate::support::{Http, echo, until};

/// The duration of a sync after the first ones.
const SYNC: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_disk_is_held_is_live_and_not_ready_until_the_disk_answers() {
    if !can_inject().await {
        return;
    }
    let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trace-{}", uuid::Uuid::now_v7()));
    let mut data_dir = DataDir::new(&["--drain-timeout", "100ms"]);
    let notified = Notified::at_path();
    let script = format!(
        "NOTIFY_SOCKET={} WATCHDOG_USEC=400000 exec strace -D -f -qq --seccomp-bpf -o {} -e trace=fdatasync \
         -e inject=fdatasync:delay_enter={}s:when=8..9 \"$@\"",
        notified.address,
        trace.display(),
        SYNC.as_secs()
    );
    let dev = data_dir.try_start_in(&script).await.expect("the process starts");
    let silence = tokio::spawn(longest_silence(notified));
    let http = Http::new(dev.address.parse().expect("an address"), false);
    let submitting = tokio::spawn({
        let mut client = jobs(&dev);
        async move {
            for _ in 0..8 {
                let request = SubmitRequest { job: Some(echo("durable")), validate_only: false };
                client.submit(request).await.expect("the job is accepted");
            }
        }
    });
    until("the disk is held", async || http.get("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE)
        .await;
    let begun = Instant::now();
    let answer = http.get("/readyz").await;
    let checks = json!({"engine": "ok", "log": "slow", "accepting": "ok"});
    assert_eq!(answer.json(), json!({"status": "not ready", "checks": checks}));
    assert_eq!(http.get("/livez").await.json(), json!({"status": "live", "checks": checks}));
    // A scrape counts what is not durable yet.
    let metrics = http.get("/metrics").await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("\njobstream_jobs_submitted_total{"));
    assert!(begun.elapsed() < SYNC, "{:?}", begun.elapsed());
    until("the disk answers", async || http.get("/readyz").await.status == StatusCode::OK).await;
    submitting.await.expect("no panic");
    let silence = silence.await.expect("no panic");
    // It is pinged every 200 ms otherwise.
    assert!(silence > SYNC / 2, "{silence:?}");
    dev.kill().await;
    let _ = std::fs::remove_file(trace);
}

/// The longest time without a ping before the first ping after a long one.
async fn longest_silence(notified: Notified) -> Duration {
    assert!(notified.next().await.starts_with("READY=1"));
    let mut last = Instant::now();
    loop {
        assert_eq!(notified.next().await, "WATCHDOG=1");
        let silence = last.elapsed();
        last = Instant::now();
        if silence > SYNC / 2 {
            return silence;
        }
    }
}
