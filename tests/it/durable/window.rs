//! The idempotency window: a repeated submit of a removed job runs no job.

use jobstream::proto::v1::{self, Disposition, JobState};
use tonic::{Code, Status};

use super::directory::log;
use super::{DataDir, ServerEnd, end, jobs, remove, try_result};
use crate::support::{Dev, echo, new_id, refused, until, wait_for};

async fn submit(dev: &Dev, job: &v1::JobSpec) -> Result<v1::SubmitResponse, Status> {
    let request = v1::SubmitRequest { job: Some(job.clone()), validate_only: false };
    wait_for("Submit answers", jobs(dev).submit(request)).await.map(tonic::Response::into_inner)
}

/// Asserts that a removed job has a tombstone and does not run.
async fn assert_known(dev: &Dev, job: &v1::JobSpec, when: &str) {
    let again = submit(dev, job).await.expect(when);
    assert_eq!(again.disposition(), Disposition::Existing, "{when}: {again:?}");
    assert_eq!((again.state(), again.sequence), (JobState::Succeeded, 0), "{when}");
    let other = v1::JobSpec { priority: 5, ..job.clone() };
    refused(&submit(dev, &other).await.expect_err(when), Code::AlreadyExists, "JOB_ID_REUSED");
    refused(&try_result(dev, &job.job_id, 0).await.expect_err(when), Code::NotFound, "RESULT_EXPIRED");
}

fn named(words: &str) -> v1::JobSpec {
    v1::JobSpec { job_id: new_id(), ..echo(words) }
}

#[tokio::test]
async fn a_removed_job_never_runs_again_across_restarts_and_a_salvage() {
    let mut data_dir = DataDir::new(&["--retention", "0s", "--retention-memory-bytes-max", "0"]);
    let mut dev = data_dir.start().await;
    let (expired, deleted) = (named(&"expires at once".repeat(50)), named("is deleted"));
    submit(&dev, &expired).await.expect("the job is accepted");
    let retained = v1::JobSpec { retention: Some(crate::support::seconds(3600)), ..deleted };
    submit(&dev, &retained).await.expect("the job is accepted");
    end(&dev, &retained.job_id).await;
    remove(&dev, &retained.job_id).await;
    until("it expires", async || try_result(&dev, &expired.job_id, 0).await.is_err()).await;
    for by in [ServerEnd::Kill, ServerEnd::Term] {
        for job in [&expired, &retained] {
            assert_known(&dev, job, "after its removal").await;
        }
        by.end(dev).await;
        dev = data_dir.start().await;
    }
    ServerEnd::Term.end(dev).await;
    let mut saved = DataDir::new(&[]);
    let (code, report) = log(&["salvage"], &[&data_dir, &saved]).await;
    assert_eq!(code, Some(0), "{report}");
    dev = saved.start().await;
    for job in [&expired, &retained] {
        assert_known(&dev, job, "after a salvage").await;
    }
    let info = dev.sh("jobstream info -o json").await;
    assert!(
        info.contains("\"idempotencyWindow\": \"86400s\"") && info.contains("\"idempotencyIdsMax\": 1000000"),
        "{info}"
    );
}

#[tokio::test]
async fn tombstones_survive_the_trim_of_their_segments() {
    let small = ["--segment-bytes", "73728", "--payload-bytes-max", "1KiB"];
    let often = ["--compaction-bytes", "64KiB", "--compaction-garbage", "0"];
    let mut data_dir = DataDir::new(&[&small[..], &often[..]].concat());
    let mut dev = data_dir.start().await;
    let first = named("the first");
    let words = "x".repeat(900);
    let segment = data_dir.directory.join("segment-0000000000000001.log");
    submit(&dev, &first).await.expect("the job is accepted");
    end(&dev, &first.job_id).await;
    remove(&dev, &first.job_id).await;
    while segment.exists() {
        let job = named(&words);
        submit(&dev, &job).await.expect("the job is accepted");
        end(&dev, &job.job_id).await;
        remove(&dev, &job.job_id).await;
    }
    for _ in 0..2 {
        assert_known(&dev, &first, "after a compaction").await;
        dev.kill().await;
        dev = data_dir.start().await;
    }
    assert_known(&dev, &first, "after a restart").await;
}
