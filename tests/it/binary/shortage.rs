//! Exhausted file descriptors: a program that cannot start uses no attempt of its job.

use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::{GetJobRequest, JobState, SubmitRequest};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::support::{Dev, Ended, Remote, connect, job, seconds, send, until, wait_for};

const UPPER: [&str; 2] = ["--exec", "upper=tr a-z A-Z"];

/// Limits a process to the standard descriptors, or restores an earlier limit.
fn limit_descriptors(process: u32, before: Option<Rlimit>) -> Rlimit {
    let pid = Pid::from_raw(process.cast_signed()).expect("it runs");
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let none = Rlimit { current: Some(3), maximum: limit.maximum };
    prlimit(Some(pid), Resource::Nofile, before.unwrap_or(none)).expect("it is ours")
}

/// Submits a job whose program cannot start until the shortage ends. Returns the number of attempts.
async fn shortage_passes(dev: &Dev, process: u32) -> usize {
    let mut jobs = JobServiceClient::new(connect(dev.address.parse().expect("an address")).await);
    let id = crate::support::new_id();
    let known = jobs.get_job(GetJobRequest { job_id: id.clone() });
    wait_for("GetJob answers", known).await.expect_err("it was not submitted yet");
    let before = limit_descriptors(process, None);
    let job = jobstream::proto::v1::JobSpec { job_id: id.clone(), ..job("upper") };
    let submit = jobs.submit(SubmitRequest { job: Some(job), validate_only: false });
    wait_for("Submit answers", submit).await.expect("it is accepted");
    until("the attempt was released or has ended", || {
        let (mut jobs, request) = (jobs.clone(), GetJobRequest { job_id: id.clone() });
        async move {
            let job = jobs.get_job(request).await.expect("it is known").into_inner().job.expect("a job");
            !matches!(job.state(), JobState::Queued | JobState::Running)
        }
    })
    .await;
    limit_descriptors(process, Some(before));
    let request = jobstream::proto::v1::GetResultRequest { job_id: id.clone(), wait: Some(seconds(25)) };
    let result = wait_for("GetResult answers", jobs.get_result(request)).await.expect("it is known");
    let ended = Ended::of(&id, result.get_ref());
    assert_eq!(ended.state, JobState::Succeeded, "{ended:?}");
    let answer = wait_for("GetJob answers", jobs.get_job(GetJobRequest { job_id: id })).await;
    let attempts = answer.expect("it is known").into_inner().job.expect("a job").attempts;
    assert!(attempts.iter().all(|attempt| attempt.failure.is_none()), "{attempts:?}");
    attempts.len()
}

#[tokio::test]
async fn a_descriptor_shortage_of_a_server_uses_no_attempt() {
    let dev = Dev::start(&UPPER).await;
    let attempts = shortage_passes(&dev, dev.id()).await;
    assert!(attempts >= 2, "{attempts}");
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0));
    assert!(stderr.contains("released a job") && stderr.contains("file descriptors"), "{stderr}");
}

#[tokio::test]
async fn a_descriptor_shortage_of_a_remote_worker_uses_no_attempt() {
    let dev = Dev::start(&[]).await;
    let mut remote = Remote::connected(&dev, &UPPER).await;
    let attempts = shortage_passes(&dev, remote.child.id().expect("it runs")).await;
    assert!(attempts >= 2, "{attempts}");
    remote.wait_for_line("released a job").await;
    send(&remote.child, Signal::TERM);
    assert_eq!(remote.ended().await, Some(0));
}
