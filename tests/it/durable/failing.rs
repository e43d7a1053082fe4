//! A disk that fails under a running server: no write follows the first failure.

use jobstream::proto::v1;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{DataDir, end, get, jobs, submit, try_result};
use crate::support::{Dev, Watched, echo, job, new_id, refused, wait_for, watch_request};

/// Starts a server that survives SIGXFSZ.
async fn start(data_dir: &DataDir) -> Dev {
    let directory = data_dir.directory.to_str().expect("text");
    Dev::start_in("trap '' XFSZ; exec \"$@\"", &["--data", directory]).await
}

/// Makes all later writes of the server fail.
fn break_disk(dev: &Dev) {
    let pid = dev.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("the process runs");
    let none = Rlimit { current: Some(1), maximum: Some(1) };
    prlimit(Some(pid), Resource::Fsize, none).expect("the test may change it");
}

/// A watch of the health of a service.
struct Health(Streaming<HealthCheckResponse>);

impl Health {
    async fn watch(dev: &Dev, service: &str) -> Self {
        let request = HealthCheckRequest { service: service.to_owned() };
        let watch = wait_for("Watch begins", HealthClient::new(dev.channel()).watch(request)).await;
        Self(watch.expect("the service is known").into_inner())
    }

    async fn next(&mut self) -> ServingStatus {
        let message = wait_for("a status", self.0.message()).await.expect("the stream is open");
        message.expect("a status").status()
    }
}

#[tokio::test]
async fn a_server_with_a_failed_disk_acknowledges_nothing_and_exits() {
    let mut data_dir = DataDir::new(&[]);
    let mut dev = start(&data_dir).await;
    let durable = submit(&dev, echo("durable")).await;
    end(&dev, &durable).await;
    let mut healths = Vec::new();
    for service in ["", "jobstream.v1.JobService", "jobstream.v1.WorkerService", "jobstream.v1.AdminService"]
    {
        let mut health = Health::watch(&dev, service).await;
        assert_eq!(health.next().await, ServingStatus::Serving);
        healths.push(health);
    }
    break_disk(&dev);
    let request = v1::SubmitRequest { job: Some(echo("lost")), validate_only: false };
    let answer = wait_for("Submit answers", jobs(&dev).submit(request)).await;
    refused(&answer.expect_err("the append fails"), Code::Unavailable, "LOG_FAILED");
    for health in &mut healths {
        assert_eq!(health.next().await, ServingStatus::NotServing);
    }
    wait_for("the server ends without a signal", dev.child.wait()).await.expect("a status");
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(70), "{stderr}");
    assert!(stderr.contains("cannot write "), "{stderr}");
    let dev = data_dir.start().await;
    assert_eq!(end(&dev, &durable).await.text(), "durable");
    assert_eq!(dev.sh("jobstream jobs ls").await.lines().count(), 1);
}

#[tokio::test]
async fn open_calls_end_with_the_disk_failure_and_no_durable_job_is_lost() {
    let mut data_dir = DataDir::new(&[]);
    let dev = start(&data_dir).await;
    let ended = submit(&dev, echo("ended")).await;
    end(&dev, &ended).await;
    let waiting = submit(&dev, job("nobody.runs.it")).await;
    let before = (get(&dev, &ended).await, get(&dev, &waiting).await);
    let mut client = jobs(&dev);
    let mut watched = Watched::open(&mut client, watch_request(&waiting, 0)).await;
    watched.read_to(v1::JobState::Queued).await;
    let result = try_result(&dev, &waiting, 25);
    let failure = async {
        break_disk(&dev);
        let lost = v1::JobSpec { job_id: new_id(), ..job("nobody.runs.it") };
        let request = v1::SubmitRequest { job: Some(lost), validate_only: false };
        wait_for("Submit answers", client.submit(request)).await
    };
    let (result, submitted) = tokio::join!(result, failure);
    refused(&result.expect_err("it waits for nothing more"), Code::Unavailable, "LOG_FAILED");
    refused(&submitted.expect_err("the append fails"), Code::Unavailable, "LOG_FAILED");
    let watched = watched.rest().await;
    assert_eq!(watched.states(), [v1::JobState::Queued]);
    refused(watched.status(), Code::Unavailable, "LOG_FAILED");
    assert_eq!(dev.end().await.0, Some(70));
    let dev = data_dir.start().await;
    assert_eq!((get(&dev, &ended).await, get(&dev, &waiting).await), before);
    let listed = wait_for("ListJobs answers", jobs(&dev).list_jobs(v1::ListJobsRequest::default())).await;
    let listed = listed.expect("jobs are listed").into_inner().jobs;
    assert!(listed.iter().map(|job| &job.job_id).eq([&waiting, &ended]), "{listed:?}");
}
