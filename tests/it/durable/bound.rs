//! A data directory with a size limit.

use jobstream::proto::v1::{JobSpec, SubmitRequest};
use tokio::process::Command;
use tonic::{Code, Status};

use super::{DataDir, end, jobs, submit, try_result};
use crate::support::{Dev, data, echo, job, refused, until, wait_for};

const BOUND: u64 = 136 << 20;
const ARGS: [&str; 2] = ["--data-bytes-max", "136MiB"];

fn bytes_of(data_dir: &DataDir) -> u64 {
    let files = std::fs::read_dir(&data_dir.directory).expect("a directory");
    // A file may be removed concurrently.
    files.filter_map(|file| file.expect("a file").metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn large(kind: &str) -> JobSpec {
    JobSpec { payload: Some(data(vec![7; 1_000_000])), ..job(kind) }
}

async fn try_submit(dev: &Dev, job: JobSpec) -> Result<String, Status> {
    let request = SubmitRequest { job: Some(job), validate_only: false };
    let answer = wait_for("Submit answers", jobs(dev).submit(request)).await;
    answer.map(|answer| answer.into_inner().job_id)
}

#[tokio::test]
async fn a_directory_at_its_limit_drops_the_oldest_finished_jobs() {
    let mut data_dir = DataDir::new(&ARGS);
    let dev = data_dir.start().await;
    let first = submit(&dev, large("demo.echo")).await;
    let mut last = String::new();
    for _ in 0..150 {
        last = submit(&dev, large("demo.echo")).await;
        end(&dev, &last).await;
        assert!(bytes_of(&data_dir) <= BOUND, "{}", bytes_of(&data_dir));
    }
    let gone = try_result(&dev, &first, 0).await.expect_err("the job is removed");
    refused(&gone, Code::NotFound, "RESULT_EXPIRED");
    assert_eq!(end(&dev, &last).await.result(), &data(vec![7; 1_000_000]));
}

#[tokio::test]
async fn waiting_jobs_fill_a_directory_and_their_ends_free_space() {
    let mut data_dir = DataDir::new(&ARGS);
    let dev = data_dir.start().await;
    let mut waiting = 0;
    for _ in 0..2 {
        let refusal = loop {
            match try_submit(&dev, large("unserved")).await {
                Ok(_) => waiting += 1,
                Err(status) => break status,
            }
        };
        refused(&refusal, Code::ResourceExhausted, "DISK_FULL");
        assert!(
            waiting >= 15 && bytes_of(&data_dir) <= BOUND,
            "{waiting} jobs, {} bytes",
            bytes_of(&data_dir)
        );
        dev.sh("jobstream queues purge default --yes").await;
        until("there is space", async || try_submit(&dev, echo("again")).await.is_ok()).await;
        waiting = 0;
    }
    let id = submit(&dev, echo("last")).await;
    assert_eq!(end(&dev, &id).await.text(), "last");
}

#[tokio::test]
async fn a_limit_below_the_minimum_is_rejected_with_the_minimum() {
    let data_dir = DataDir::new(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-bytes-max", "100MiB", "--data"]);
    let output =
        wait_for("the command ends", command.arg(&data_dir.directory).kill_on_drop(true).output()).await;
    let output = output.expect("the process starts");
    let output_text = String::from_utf8(output.stderr).expect("text");
    let least = "data_bytes_max is 100 MiB: it must be at least 136 MiB with segments of 20 MiB";
    assert!(!output.status.success() && output_text.contains(least), "{output_text}");
}
