//! A disk that fails while its server runs: the first failure is the last write.

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Home, end, jobs, submit, try_result};
use crate::support::{Dev, echo, refused, until, wait_for};

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
        let request = jobstream::proto::v1::SubmitRequest { job: Some(echo("lost")), validate_only: false };
        let answer = wait_for("Submit answers", jobs(&dev).submit(request)).await;
        refused(&answer.expect_err("it cannot be kept"), Code::Unavailable, "LOG_FAILED");
    }
    let answer = try_result(&dev, &kept, 0).await.expect_err("what it would show may not be kept");
    refused(&answer, Code::Unavailable, "LOG_FAILED");
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
