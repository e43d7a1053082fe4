//! A disk that fails while its server runs: the first failure is the last write.

use jobstream::proto::v1;
use jobstream::proto::v1::admin_service_client::AdminServiceClient;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Home, end, get, jobs, submit, try_result};
use crate::support::{Dev, Watched, echo, job, new_id, refused, until, wait_for, watch_request};

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

async fn health(dev: &Dev, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = wait_for("Check answers", HealthClient::new(dev.channel()).check(request)).await;
    answer.expect("the service is known").get_ref().status()
}

#[tokio::test]
async fn a_server_whose_disk_fails_acknowledges_nothing_more() {
    let mut home = Home::new(&[]);
    let dev = start(&home).await;
    let kept = submit(&dev, echo("kept")).await;
    end(&dev, &kept).await;
    assert_eq!(health(&dev, "jobstream.v1.JobService").await, ServingStatus::Serving);
    break_disk(&dev);
    for _ in 0..3 {
        let request = v1::SubmitRequest { job: Some(echo("lost")), validate_only: false };
        let answer = wait_for("Submit answers", jobs(&dev).submit(request)).await;
        refused(&answer.expect_err("it cannot be kept"), Code::Unavailable, "LOG_FAILED");
    }
    for service in ["", "jobstream.v1.JobService", "jobstream.v1.WorkerService", "jobstream.v1.AdminService"]
    {
        until("health tells", async || health(&dev, service).await == ServingStatus::NotServing).await;
    }
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(70), "{stderr}");
    assert!(stderr.contains("the log failed: cannot write "), "{stderr}");
    let dev = home.start().await;
    assert_eq!(end(&dev, &kept).await.text(), "kept");
    assert_eq!(dev.sh("jobstream jobs ls").await.lines().count(), 1);
}

#[tokio::test]
async fn a_server_whose_disk_failed_still_tells_what_is_on_it() {
    let home = Home::new(&[]);
    let dev = start(&home).await;
    let ended = submit(&dev, echo("ended")).await;
    end(&dev, &ended).await;
    let waiting = submit(&dev, job("nobody.runs.it")).await;
    let before = (get(&dev, &ended).await, get(&dev, &waiting).await);
    let mut client = jobs(&dev);
    let mut early = Watched::open(&mut client, watch_request(&waiting, 0)).await;
    early.read_to(v1::JobState::Queued).await;
    break_disk(&dev);
    let lost = v1::JobSpec { job_id: new_id(), ..job("nobody.runs.it") };
    let request = v1::SubmitRequest { job: Some(lost.clone()), validate_only: false };
    let answer = wait_for("Submit answers", client.submit(request)).await;
    refused(&answer.expect_err("it cannot be kept"), Code::Unavailable, "LOG_FAILED");
    let request = v1::CancelRequest { job_id: waiting.clone(), ..Default::default() };
    let answer = wait_for("Cancel answers", client.cancel(request)).await;
    refused(&answer.expect_err("it cannot be kept"), Code::Unavailable, "LOG_FAILED");

    assert_eq!((get(&dev, &ended).await, get(&dev, &waiting).await), before);
    assert_eq!(end(&dev, &ended).await.text(), "ended");
    let watched = Watched::open(&mut client, watch_request(&ended, 0)).await.rest().await;
    watched.outcome();
    for watched in [early, Watched::open(&mut client, watch_request(&waiting, 0)).await] {
        let watched = watched.rest().await;
        assert_eq!(watched.states(), [v1::JobState::Queued]);
        refused(watched.status(), Code::Unavailable, "LOG_FAILED");
    }
    let listed = wait_for("ListJobs answers", client.list_jobs(v1::ListJobsRequest::default())).await;
    let listed = listed.expect("they are kept").into_inner().jobs;
    assert!(listed.iter().map(|job| &job.job_id).eq([&waiting, &ended]), "{listed:?}");
    let answer = try_result(&dev, &lost.job_id, 0).await.expect_err("nobody knows");
    refused(&answer, Code::Unavailable, "LOG_FAILED");
    let mut admin = AdminServiceClient::new(dev.channel());
    wait_for("GetServerInfo answers", admin.get_server_info(v1::GetServerInfoRequest {}))
        .await
        .expect("it stays");
    wait_for("ListQueues answers", admin.list_queues(v1::ListQueuesRequest::default()))
        .await
        .expect("none was paused");
}
