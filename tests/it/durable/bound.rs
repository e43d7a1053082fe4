//! A directory with a bound: it is kept, whatever comes.

use jobstream::proto::v1::{JobSpec, SubmitRequest};
use tokio::process::Command;
use tonic::{Code, Status};

use super::{Home, end, jobs, submit, try_result};
use crate::support::{Dev, data, echo, job, refused, until, wait_for};

const BOUND: u64 = 136 << 20;
const ARGS: [&str; 2] = ["--data-bytes-max", "136MiB"];

fn bytes_of(home: &Home) -> u64 {
    let files = std::fs::read_dir(&home.directory).expect("a directory");
    // A file may be given back meanwhile.
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
async fn a_directory_stays_within_its_bound_and_the_oldest_jobs_go_first() {
    let mut home = Home::new(&ARGS);
    let dev = home.start().await;
    let first = submit(&dev, large("demo.echo")).await;
    let mut last = String::new();
    for _ in 0..150 {
        last = submit(&dev, large("demo.echo")).await;
        end(&dev, &last).await;
        assert!(bytes_of(&home) <= BOUND, "{}", bytes_of(&home));
    }
    let gone = try_result(&dev, &first, 0).await.expect_err("it made room");
    refused(&gone, Code::NotFound, "RESULT_EXPIRED");
    assert_eq!(end(&dev, &last).await.result(), &data(vec![7; 1_000_000]));
}

#[tokio::test]
async fn jobs_that_wait_fill_it_and_their_ends_make_room_by_themselves() {
    let mut home = Home::new(&ARGS);
    let dev = home.start().await;
    let mut waiting = 0;
    for _ in 0..2 {
        let refusal = loop {
            match try_submit(&dev, large("unserved")).await {
                Ok(_) => waiting += 1,
                Err(status) => break status,
            }
        };
        refused(&refusal, Code::ResourceExhausted, "DISK_FULL");
        assert!(waiting >= 15 && bytes_of(&home) <= BOUND, "{waiting} jobs, {} bytes", bytes_of(&home));
        dev.sh("jobstream queues purge default --yes").await;
        until("there is room", async || try_submit(&dev, echo("again")).await.is_ok()).await;
        waiting = 0;
    }
    let id = submit(&dev, echo("last")).await;
    assert_eq!(end(&dev, &id).await.text(), "last");
}

#[tokio::test]
async fn a_bound_too_small_is_refused_with_what_it_takes() {
    let home = Home::new(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-bytes-max", "100MiB", "--data"]);
    let output = wait_for("it ends", command.arg(&home.directory).kill_on_drop(true).output()).await;
    let output = output.expect("it starts");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success() && said.contains("104857600"), "{said}");
    assert!(said.contains("at least 142606336") && said.contains("allow more"), "{said}");
}
