//! The worker commands with a real server.

use jobstream::proto::v1::worker_service_client::WorkerServiceClient;
use jobstream::proto::v1::{Hello, Welcome, WorkRequest};
use prost_types::Duration;

use super::Dev;
use crate::support::{connect, new_id, wait_for};

/// Opens a stream and returns the welcome.
async fn welcome(dev: &Dev) -> Result<Welcome, tonic::Status> {
    let hello = Hello {
        protocol_version: 1,
        name: "tester".to_owned(),
        instance_id: new_id(),
        kinds: vec!["k".to_owned()],
        ..Hello::default()
    };
    let requests = tokio_stream::once(WorkRequest { hello: Some(hello), ..WorkRequest::default() });
    let channel = connect(dev.address.parse().expect("an address")).await;
    let answer = wait_for("Work answers", WorkerServiceClient::new(channel).work(requests)).await;
    let first = wait_for("the first message", answer?.get_mut().message()).await?;
    Ok(first.expect("a message").welcome.expect("a welcome"))
}

fn millis(span: Option<Duration>) -> i64 {
    span.map_or(0, |span| span.seconds * 1_000 + i64::from(span.nanos) / 1_000_000)
}

#[tokio::test]
async fn the_terms_of_a_worker_are_set_by_flags() {
    let args = "--worker-lease 7s --worker-ping-interval 2s --worker-accept-timeout 3s \
                --worker-reconnect-grace 400ms --demo=false --workers-max 1";
    let dev = Dev::start(&args.split_whitespace().collect::<Vec<_>>()).await;
    let terms = welcome(&dev).await.expect("capacity for one worker");
    let spans = [terms.lease, terms.ping_interval, terms.accept_timeout, terms.reconnect_grace];
    assert_eq!(spans.map(millis), [7_000, 2_000, 3_000, 400]);
    // The pool of one program is a worker of its own.
    let full = Dev::start(&["--demo=false", "--workers-max", "1", "--exec", "upper=tr a-z A-Z"]).await;
    let refused = welcome(&full).await.expect_err("no capacity");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused}");
}

#[tokio::test]
async fn the_in_process_pool_is_listed_and_cannot_be_drained() {
    let dev = Dev::start(&["--exec", "upper=tr a-z A-Z"]).await;
    let listed = dev.sh("jobstream workers ls").await;
    let pools: Vec<_> = listed.lines().filter(|line| line.contains("\tlocal\tPOOL\tCONNECTED\t0/")).collect();
    assert!(pools.len() == listed.lines().count() && pools.iter().any(|line| line.contains("\tupper\t*\t")));
    let script = "jobstream workers drain local 2>&1 && code=0 || code=$?; echo $code
        jobstream workers drain nobody 2>&1 && code=0 || code=$?; echo $code";
    let output = dev.sh(script).await;
    for part in ["part of the server", "(ILLEGAL_STATE)\n", "jobstream queues pause", "\n10\n"] {
        assert!(output.contains(part), "no {part:?} in {output}");
    }
    for part in ["has the id or name nobody", "(WORKER_NOT_FOUND)\n", "jobstream workers ls", "\n5\n"] {
        assert!(output.contains(part), "no {part:?} in {output}");
    }
}
