//! A disk that becomes full under a running server and has space later.

use jobstream::proto::v1::{JobSpec, JobState, SubmitRequest};
use tokio::process::Command;
use tonic::{Code, Status};

use super::{end, jobs, submit, watch};
use crate::support::{Dev, data, echo, job, json, refused, until, wait_for};

/// Mounts a small disk for the server and fills most of it.
const SMALL_DISK: &str = "mount -t tmpfs -o size=160m none /mnt
    head -c 80000000 /dev/zero > /mnt/other
    exec \"$@\"";

/// Returns whether this process may mount a disk.
async fn can_mount() -> bool {
    let mut command = Command::new("unshare");
    command.args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]);
    command.output().await.is_ok_and(|output| output.status.success())
}

async fn try_submit(dev: &Dev, job: JobSpec) -> Result<String, Status> {
    let request = SubmitRequest { job: Some(job), validate_only: false };
    let answer = wait_for("Submit answers", jobs(dev).submit(request)).await;
    answer.map(|answer| answer.into_inner().job_id)
}

#[tokio::test]
async fn a_full_disk_refuses_new_jobs_and_lets_running_ones_end() {
    if !can_mount().await {
        return println!("no way to make a small disk: skipped");
    }
    let script = format!("exec unshare -rm sh -euc '{SMALL_DISK}' sh \"$@\"");
    let dev = Dev::start_in(&script, &["--data", "/mnt/jobs", "--exec", "wait=sleep 1000"]).await;
    let sleep = JobSpec { payload: Some(json(serde_json::json!({"seconds": 3600}))), ..job("demo.sleep") };
    let running = submit(&dev, sleep).await;
    watch(&dev, &running, 0).await.read_to(JobState::Running).await;
    let mut accepted = 0;
    let refusal = loop {
        match try_submit(&dev, JobSpec { payload: Some(data(vec![0; 1_000_000])), ..job("demo.echo") }).await
        {
            Ok(_) => accepted += 1,
            Err(status) => break status,
        }
    };
    refused(&refusal, Code::ResourceExhausted, "DISK_FULL");
    assert!(accepted > 10, "the first segment has space for more than {accepted}");
    dev.sh(&format!("jobstream jobs cancel {running} --reason enough")).await;
    assert_eq!(end(&dev, &running).await.state, JobState::Cancelled);
    let pid = dev.child.id().expect("the process runs");
    std::fs::remove_file(format!("/proc/{pid}/root/mnt/other")).expect("the job exists");
    until("there is space", async || try_submit(&dev, echo("again")).await.is_ok()).await;
    let id = submit(&dev, echo("last")).await;
    assert_eq!(end(&dev, &id).await.text(), "last");
}
