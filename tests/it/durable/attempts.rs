//! Attempts during a restart: those of the in-process pool are lost, those of remote workers continue.

use jobstream::client::Client;
use jobstream::job::Payload;
use jobstream::proto::v1::worker_service_client::WorkerServiceClient;
use jobstream::proto::v1::{self, FailureReason, JobState};
use jobstream::worker::{RemoteOptions, Worker};
use rustix::process::Signal;

use super::{DataDir, end, get, submit, watch};
use crate::support::{Gate, connect, job, json, new_id, seconds, wait_for};

#[tokio::test]
async fn an_attempt_of_the_in_process_pool_is_lost_and_retried() {
    let mut data_dir = DataDir::new(&[]);
    let dev = data_dir.start().await;
    let input = json(serde_json::json!({"seconds": 2}));
    let id = submit(&dev, v1::JobSpec { payload: Some(input), ..job("demo.sleep") }).await;
    watch(&dev, &id, 0).await.read_to(JobState::Running).await;
    dev.kill().await;
    let dev = data_dir.start().await;
    assert_eq!(end(&dev, &id).await.state, JobState::Succeeded);
    let job = get(&dev, &id).await;
    let failures: Vec<_> = job.attempts.iter().map(|attempt| attempt.failure.as_ref()).collect();
    assert_eq!((job.attempt, failures.len()), (2, 2), "{job:#?}");
    let lost = failures[0].expect("the first was lost");
    assert_eq!(lost.reason(), FailureReason::WorkerLost);
    assert!(lost.message.contains("the server ended"), "{lost:?}");
    assert_eq!(failures[1], None);
}

#[tokio::test]
async fn a_job_that_kills_its_server_three_times_fails() {
    let mut data_dir = DataDir::new(&["--exec", "kill=sh -c 'sleep 1; kill -9 $PPID'"]);
    let mut dev = data_dir.start().await;
    let id = uuid::Uuid::now_v7().to_string();
    let request = v1::SubmitRequest {
        job: Some(v1::JobSpec { job_id: id.clone(), ..job("kill") }),
        validate_only: false,
    };
    // The response and the job may be lost with the server: then the submit is repeated.
    while super::jobs(&dev).submit(request.clone()).await.is_err() {
        dev = data_dir.start().await;
    }
    let mut deaths = 0;
    // The watch fails when the server ends.
    while watch(&dev, &id, 0).await.rest().await.ended.is_some_and(|ended| ended.is_err()) {
        wait_for("the server is gone", dev.child.wait()).await.expect("a status");
        deaths += 1;
        assert!(deaths <= 3, "the job runs without end");
        dev = data_dir.start().await;
    }
    assert_eq!(deaths, 3);
    let ended = end(&dev, &id).await;
    let failure = ended.failure();
    assert_eq!(failure.reason(), FailureReason::WorkerLost, "{failure:?}");
    assert_eq!(get(&dev, &id).await.attempts.len(), 3);
}

#[tokio::test]
async fn an_attempt_of_a_remote_worker_survives_a_restart() {
    let mut data_dir = DataDir::new(&["--demo=false"]);
    let dev = data_dir.start().await;
    let gate = Gate::new();
    let (began, passing) = (Gate::new(), gate.clone());
    let started = began.clone();
    let worker = Worker::new().name("survivor").slots(2).raw_handler("hold", move |context| {
        let (started, gate) = (started.clone(), passing.clone());
        async move {
            started.open(1);
            gate.pass().await;
            for chunk in 0..3 {
                context.output(Payload::text(chunk.to_string())).await?;
            }
            Ok(Payload::text(context.attempt().to_string()))
        }
    });
    let client = Client::connect(&dev.address).await.expect("a server");
    let worker = worker.connect(&client, RemoteOptions::default()).expect("valid names");
    assert!(worker.connected().await);
    let (first, second) = (submit(&dev, job("hold")).await, submit(&dev, job("hold")).await);
    for id in [&first, &second] {
        wait_for("its handler runs", began.pass()).await;
        watch(&dev, id, 0).await.read_to(JobState::Running).await;
    }
    let before = (get(&dev, &first).await, get(&dev, &second).await);
    dev.kill().await;
    // This attempt ends while no server runs.
    gate.open(1);
    let dev = data_dir.start().await;
    gate.open(1);
    for (id, before) in [(&first, &before.0), (&second, &before.1)] {
        let ended = end(&dev, id).await;
        assert_eq!(ended.text(), "1", "its first attempt ended it");
        let after = get(&dev, id).await;
        assert_eq!((after.attempt, after.attempts.len()), (1, 1), "{after:#?}");
        assert_eq!(after.attempts[0].worker, before.attempts[0].worker);
        let events = watch(&dev, id, 0).await.rest().await;
        let chunks =
            events.events.iter().filter(|event| matches!(event.event, Some(v1::job_event::Event::Output(_))));
        assert_eq!(chunks.count(), 3, "each report once: {:#?}", events.events);
    }
    drop(worker);
}

#[tokio::test]
async fn an_attempt_of_a_lost_worker_ends_with_its_lease() {
    let mut data_dir =
        DataDir::new(&["--demo=false", "--worker-lease", "1s", "--worker-ping-interval", "300ms"]);
    let dev = data_dir.start().await;
    let mut worker = crate::support::Remote::connected(&dev, &["--exec", "hold=sleep 1000"]).await;
    let retry = Some(v1::RetryPolicy { max_lost_attempts: 1, ..Default::default() });
    let id = submit(&dev, v1::JobSpec { retry, timeout: Some(seconds(600)), ..job("hold") }).await;
    watch(&dev, &id, 0).await.read_to(JobState::Running).await;
    dev.kill().await;
    worker.signal(Signal::KILL);
    worker.child.wait().await.expect("a status");
    let dev = data_dir.start().await;
    let ended = end(&dev, &id).await;
    assert_eq!(ended.failure().reason(), FailureReason::WorkerLost);
}

#[tokio::test]
async fn a_lease_call_is_repeated_after_a_kill() {
    let mut data_dir = DataDir::new(&[]);
    let mut dev = data_dir.start().await;
    let ids = [submit(&dev, job("remote")).await, submit(&dev, job("remote")).await];
    let request = v1::LeaseRequest {
        name: "caller".to_owned(),
        kinds: vec!["remote".to_owned()],
        max_jobs: 2,
        request_id: new_id(),
        ..v1::LeaseRequest::default()
    };
    let mut taken = Vec::new();
    for _ in 0..3 {
        let channel = connect(dev.address.parse().expect("an address")).await;
        let answer = WorkerServiceClient::new(channel).lease(request.clone()).await.expect("an answer");
        let leases =
            answer.into_inner().assignments.into_iter().map(|one| (one.job_id, one.lease_id, one.attempt));
        taken.push(leases.collect::<Vec<_>>());
        dev.kill().await;
        dev = data_dir.start().await;
    }
    assert_eq!(taken[0].iter().map(|(id, ..)| id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert_eq!((&taken[1], &taken[2]), (&taken[0], &taken[0]), "a kill loses no response");
    assert!(taken[0].iter().all(|(.., attempt)| *attempt == 1));
}
