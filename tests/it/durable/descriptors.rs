//! Exhausted file descriptors: the log waits, and does not treat the shortage as a failed disk.

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::server::raise_descriptor_limit;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

use super::{DataDir, jobs};
use crate::support::{Dev, data, job, wait_for};

/// Small segments, so that a few jobs fill one.
const SMALL_SEGMENTS: [&str; 4] = ["--segment-bytes", "512KiB", "--payload-bytes-max", "32KiB"];

/// The preface and empty SETTINGS of a client that then is silent.
const IDLE_CLIENT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn submit_large(mut jobs: JobServiceClient<Channel>, client: usize) -> Result<(), Status> {
    let spec = v1::JobSpec { payload: Some(data(vec![client as u8; 30 << 10])), ..job("none.such") };
    let request = v1::SubmitRequest { job: Some(spec), validate_only: false };
    jobs.submit(request).await.map(drop)
}

/// Returns the number of segments in the directory.
fn segments(data_dir: &DataDir) -> usize {
    let files = std::fs::read_dir(&data_dir.directory).expect("a directory");
    files
        .filter(|file| {
            file.as_ref().is_ok_and(|file| file.file_name().to_string_lossy().starts_with("segment-"))
        })
        .count()
}

#[tokio::test]
async fn idle_clients_cannot_use_the_descriptors_of_the_log() {
    raise_descriptor_limit();
    let mut data_dir = DataDir::new(&SMALL_SEGMENTS);
    let dev = data_dir.try_start_in("ulimit -n 1024; exec \"$@\"").await.expect("the process starts");
    let mut idle = Vec::new();
    for _ in 0..1_050 {
        let mut client =
            wait_for("a connection", TcpStream::connect(&dev.address)).await.expect("it listens");
        // A refused connection is fine here.
        let _ = client.write_all(IDLE_CLIENT).await;
        idle.push(client);
    }
    let before = segments(&data_dir);
    for client in 0..200 {
        wait_for("Submit answers", submit_large(jobs(&dev), client)).await.expect("the job is accepted");
    }
    assert!(segments(&data_dir) >= before + 5, "{} segments after {before}", segments(&data_dir));
    drop(idle);
    wait_for("Submit answers", submit_large(jobs(&dev), 0)).await.expect("the job is accepted");
}

#[tokio::test]
async fn the_log_waits_for_free_descriptors() {
    let data_dir = DataDir::new(&[]);
    let directory = data_dir.directory.to_str().expect("text");
    let mut dev = Dev::start(&[&["--data", directory], &SMALL_SEGMENTS[..]].concat()).await;
    let mut lines = BufReader::new(dev.child.stderr.take().expect("a pipe")).lines();
    let channel = dev.channel();
    let submit = |client: usize| submit_large(JobServiceClient::new(channel.clone()), client);
    wait_for("Submit answers", submit(0)).await.expect("the job is accepted");
    let pid = dev.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("the process runs");
    let before = limit_descriptors(pid, None);
    limit_descriptors(pid, Some(3));
    let mut submits = JoinSet::new();
    for client in 0..150 {
        submits.spawn(submit(client));
    }
    let mut waits = false;
    while !waits {
        let line = wait_for("a log line about the shortage", lines.next_line())
            .await
            .expect("text")
            .expect("the process runs");
        waits = line.contains("short of a resource");
    }
    limit_descriptors(pid, before.current);
    while let Some(answer) = wait_for("Submit answers", submits.join_next()).await {
        answer.expect("no panic").expect("the job is accepted");
    }
    assert!(segments(&data_dir) >= 5);
    dev.signal(Signal::TERM);
    let ended = wait_for("the server ends", dev.child.wait()).await.expect("a status");
    assert_eq!(ended.code(), Some(0));
}

/// Sets the soft limit of another process, or restores it. Returns the earlier limit.
fn limit_descriptors(pid: Pid, current: Option<u64>) -> Rlimit {
    let limit = getrlimit(Resource::Nofile);
    let of = |current| Rlimit { current, maximum: limit.maximum };
    prlimit(Some(pid), Resource::Nofile, of(current.or(limit.maximum))).expect("the test may change it")
}

#[tokio::test]
async fn a_server_raises_its_descriptor_limit_and_logs_its_capacity() {
    let soft = Dev::start_in("ulimit -Sn 100; exec \"$@\"", &[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", soft.id())).expect("Linux");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit of files");
    let numbers: Vec<_> = files.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(numbers[0], numbers[1], "{files}");
    let hard = Dev::start_in("ulimit -n 200; exec \"$@\"", &[]).await;
    hard.signal(Signal::TERM);
    let (code, stderr) = hard.end().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("connections_max is 10000, but the limit of 200 open files allows 1"),
        "{stderr}"
    );
}
