//! An event stream over HTTP resumes at the restarted server.

use http::Method;
use rustix::process::Signal;

use super::DataDir;
use crate::support::{Dev, Http, read_until, wait_for};

fn client(dev: &Dev) -> Http {
    Http::new(dev.address.parse().expect("an address"), false)
}

/// The ids of the events in a stream.
fn ids(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect()
}

#[tokio::test]
async fn a_stream_that_a_shutdown_ended_resumes_without_loss() {
    let mut data_dir = DataDir::new(&["--drain-timeout", "100ms"]);
    let dev = data_dir.start().await;
    let http = client(&dev);
    let body = r#"{"kind": "demo.stream", "payload": {"json": {"chunks": 40, "interval_seconds": 0.05}}}"#;
    let id = http.post("/v1/jobs", body).await.json()["jobId"].as_str().expect("an id").to_owned();
    let path = format!("/v1/jobs/{id}/events");
    let (_, _, mut stream) = http.open(Method::GET, &path, &[("accept", "text/event-stream")], "").await;
    let begin = read_until(&mut stream, "\nid: 12\n").await;
    dev.signal(Signal::TERM);
    let rest = wait_for("the stream ends", http_body_util::BodyExt::collect(stream)).await;
    let before = begin + &String::from_utf8_lossy(&rest.expect("a complete stream").to_bytes());
    assert!(before.ends_with("\n\nretry: 1000\n\n"), "{before}");
    assert_eq!(dev.end().await.0, Some(0));

    let dev = data_dir.start().await;
    let http = client(&dev);
    let last = ids(&before).last().expect("events").to_string();
    let after = http.send(Method::GET, &path, &[("last-event-id", &last)], "").await;
    let after = String::from_utf8_lossy(&after.body).into_owned();
    assert!(after.contains("JOB_STATE_SUCCEEDED"), "{after}");
    let seen: Vec<_> = ids(&before).into_iter().chain(ids(&after)).collect();
    assert_eq!(seen, (1..=seen.len() as u32).collect::<Vec<_>>());
    let again = http.get(&path).await;
    assert_eq!(ids(&String::from_utf8_lossy(&again.body)), seen);
}
