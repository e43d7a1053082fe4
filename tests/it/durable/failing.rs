//! A disk that fails while its server runs: the first failure is the last write.

use jobstream::proto::v1;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Home, end, get, jobs, submit, try_result};
use crate::support::{Dev, Watched, echo, job, new_id, refused, wait_for, watch_request};

/// A server that outlives a write beyond what a file may have.
async fn start(home: &Home) -> Dev {
    let directory = home.directory.to_str().expect("text");
    Dev::start_in("trap '' XFSZ; exec \"$@\"", &["--data", directory]).await
}

/// Has every write of the server fail from now on.
fn break_disk(dev: &Dev) {
    let pid = dev.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
    let none = Rlimit { current: Some(1), maximum: Some(1) };
    prlimit(Some(pid), Resource::Fsize, none).expect("it is ours");
}

/// The health of a service, as a watch tells it.
struct Health(Streaming<HealthCheckResponse>);

impl Health {
    async fn watch(dev: &Dev, service: &str) -> Self {
        let request = HealthCheckRequest { service: service.to_owned() };
        let watch = wait_for("Watch begins", HealthClient::new(dev.channel()).watch(request)).await;
        Self(watch.expect("the service is known").into_inner())
    }

    async fn next(&mut self) -> ServingStatus {
        let message = wait_for("a status comes", self.0.message()).await.expect("the stream is open");
        message.expect("a status").status()
    }
}

#[tokio::test]
async fn a_server_whose_disk_fails_acknowledges_nothing_more_and_ends_by_itself() {
    let mut home = Home::new(&[]);
    let mut dev = start(&home).await;
    let kept = submit(&dev, echo("kept")).await;
    end(&dev, &kept).await;
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
    refused(&answer.expect_err("it cannot be kept"), Code::Unavailable, "LOG_FAILED");
    for health in &mut healths {
        assert_eq!(health.next().await, ServingStatus::NotServing);
    }
    wait_for("the server ends without a signal", dev.child.wait()).await.expect("a status");
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(70), "{stderr}");
    assert!(stderr.contains("cannot write "), "{stderr}");
    let dev = home.start().await;
    assert_eq!(end(&dev, &kept).await.text(), "kept");
    assert_eq!(dev.sh("jobstream jobs ls").await.lines().count(), 1);
}

#[tokio::test]
async fn every_open_call_ends_with_the_failure_of_the_disk_and_nothing_durable_is_lost() {
    let mut home = Home::new(&[]);
    let dev = start(&home).await;
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
    refused(&submitted.expect_err("it cannot be kept"), Code::Unavailable, "LOG_FAILED");
    let watched = watched.rest().await;
    assert_eq!(watched.states(), [v1::JobState::Queued]);
    refused(watched.status(), Code::Unavailable, "LOG_FAILED");
    assert_eq!(dev.end().await.0, Some(70));
    let dev = home.start().await;
    assert_eq!((get(&dev, &ended).await, get(&dev, &waiting).await), before);
    let listed = wait_for("ListJobs answers", jobs(&dev).list_jobs(v1::ListJobsRequest::default())).await;
    let listed = listed.expect("they are kept").into_inner().jobs;
    assert!(listed.iter().map(|job| &job.job_id).eq([&waiting, &ended]), "{listed:?}");
}
