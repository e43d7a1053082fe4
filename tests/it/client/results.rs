//! Typed results, waits across lost connections, and other outcomes.

use std::future::IntoFuture;
use std::time::Duration;

use jobstream::client::ResultError;
use jobstream::job::{FailureReason, JobState, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Fixture;
use crate::support::{until, wait_for};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Thumb {
    url: String,
    bytes: u64,
}

#[tokio::test]
async fn a_typed_job_has_a_typed_result() {
    let fixture = Fixture::start().await;
    let thumb = Thumb { url: "a.png".to_owned(), bytes: u64::MAX };
    let job = fixture.client.job("demo.echo").json(&thumb).unwrap().submit::<Thumb>().await.unwrap();
    assert_eq!(job.result().await.unwrap(), thumb);
    let other = fixture.client.attach::<Vec<u8>>(job.id());
    assert!(other.submission().is_none());
    let error = other.result().await.unwrap_err();
    assert!(matches!(&error, ResultError::Mismatch { job_id, .. } if *job_id == job.id()), "{error}");
    assert_eq!(other.payload().await.unwrap().bytes, serde_json::to_vec(&thumb).unwrap());
    let bytes = fixture.client.job("demo.echo").data(vec![0, 255], "a/b").submit::<()>().await.unwrap();
    let payload = bytes.payload().await.unwrap();
    assert_eq!((&payload.bytes[..], payload.content_type()), (&[0, 255][..], "a/b"));
}

#[tokio::test]
async fn a_failed_job_is_not_a_failed_call() {
    let fixture = Fixture::start().await;
    let input = json!({"message": "no disk", "retryable": false});
    let job = fixture.client.job("demo.fail").json(&input).unwrap().submit::<Value>().await.unwrap();
    let error = job.result().await.unwrap_err();
    let ResultError::Failed { job_id, failure } = &error else { panic!("a failure: {error}") };
    assert_eq!(*job_id, job.id());
    assert_eq!((failure.reason, failure.error_type.as_str()), (FailureReason::Handler, "demo.Failure"));
    assert_eq!((failure.message.as_str(), failure.attempt, failure.retryable), ("no disk", 1, false));
    assert!(error.to_string().contains("no disk"), "{error}");
    assert!(matches!(job.outcome().await.unwrap(), Outcome::Failure(_)));
}

#[tokio::test]
async fn a_cancelled_job_is_a_distinct_error() {
    let fixture = Fixture::start().await;
    let job = fixture.client.job("test.stubborn").submit::<Value>().await.unwrap();
    fixture.server.gate.arrival().await;
    let result = tokio::spawn(job.clone().into_future());
    assert_eq!(job.cancel_within("no longer needed", Duration::ZERO).await.unwrap(), JobState::Cancelled);
    let error = wait_for("the job ends", result).await.unwrap().unwrap_err();
    let ResultError::Cancelled { job_id, cancellation } = &error else { panic!("cancelled: {error}") };
    assert_eq!(*job_id, job.id());
    assert_eq!((cancellation.reason.as_str(), cancellation.forced), ("no longer needed", true));
}

#[tokio::test]
async fn a_wait_survives_lost_connections() {
    let fixture = Fixture::start().await;
    let job = fixture.client.job("test.gate").text("done").submit::<String>().await.unwrap();
    fixture.server.gate.arrival().await;
    let result = tokio::spawn(job.into_future());
    for cut in 1..=3 {
        fixture.proxy.cut();
        fixture.proxy.connections(1 + cut).await;
    }
    fixture.server.gate.open(1);
    assert_eq!(wait_for("the result", result).await.unwrap().unwrap(), "done");
}

#[tokio::test]
async fn more_waits_than_streams_per_connection_all_complete() {
    const WAITS: usize = 1_500;
    let fixture = Fixture::start().await;
    fixture.server.pause("default").await;
    let requests = (0..WAITS).map(|number| fixture.client.job("demo.echo").text(number.to_string()));
    let jobs = fixture.client.submit_all::<String>(requests.collect()).await;
    let waits: Vec<_> = jobs.into_iter().map(|job| tokio::spawn(job.unwrap().into_future())).collect();
    let all_wait = || async { fixture.server.info().await.watchers as usize == WAITS };
    until("all of them wait", all_wait).await;
    // Short calls are not queued behind them.
    wait_for("an answer", fixture.client.server_info()).await.expect("an answer");
    fixture.server.resume("default").await;
    for (number, result) in waits.into_iter().enumerate() {
        assert_eq!(wait_for("a result", result).await.unwrap().unwrap(), number.to_string());
    }
}
