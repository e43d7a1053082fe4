//! File descriptors that run out: what is short for a while is waited for, and is not taken for a disk that fails.

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::server::raise_descriptor_limit;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

use super::{Home, jobs};
use crate::support::{Dev, data, job, wait_for};

/// Small, so that a few jobs take the log from one to the next.
const SMALL_SEGMENTS: [&str; 4] = ["--segment-bytes", "512KiB", "--payload-bytes-max", "32KiB"];

/// The first bytes of a client that then says nothing more: preface and empty SETTINGS.
const IDLE_CLIENT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn submit_large(mut jobs: JobServiceClient<Channel>, client: usize) -> Result<(), Status> {
    let spec = v1::JobSpec { payload: Some(data(vec![client as u8; 30 << 10])), ..job("none.such") };
    let request = v1::SubmitRequest { job: Some(spec), validate_only: false };
    jobs.submit(request).await.map(drop)
}

/// How many segments the directory has.
fn segments(home: &Home) -> usize {
    let files = std::fs::read_dir(&home.directory).expect("a directory");
    files
        .filter(|file| {
            file.as_ref().is_ok_and(|file| file.file_name().to_string_lossy().starts_with("segment-"))
        })
        .count()
}

#[tokio::test]
async fn segments_go_on_while_idle_clients_want_every_descriptor() {
    raise_descriptor_limit();
    let mut home = Home::new(&SMALL_SEGMENTS);
    let dev = home.try_start_in("ulimit -n 1024; exec \"$@\"").await.expect("it starts");
    let mut idle = Vec::new();
    for _ in 0..1_050 {
        let mut client =
            wait_for("a connection", TcpStream::connect(&dev.address)).await.expect("it listens");
        // One that was refused is as good as any other here.
        let _ = client.write_all(IDLE_CLIENT).await;
        idle.push(client);
    }
    let before = segments(&home);
    for client in 0..200 {
        wait_for("Submit answers", submit_large(jobs(&dev), client)).await.expect("it is kept");
    }
    assert!(segments(&home) >= before + 5, "{} segments after {before}", segments(&home));
    drop(idle);
    wait_for("Submit answers", submit_large(jobs(&dev), 0)).await.expect("it is kept");
}

#[tokio::test]
async fn a_shortage_of_descriptors_is_waited_for() {
    let home = Home::new(&[]);
    let directory = home.directory.to_str().expect("text");
    let mut dev = Dev::start(&[&["--data", directory], &SMALL_SEGMENTS[..]].concat()).await;
    let mut lines = BufReader::new(dev.child.stderr.take().expect("a pipe")).lines();
    let channel = dev.channel();
    let submit = |client: usize| submit_large(JobServiceClient::new(channel.clone()), client);
    wait_for("Submit answers", submit(0)).await.expect("it is kept");
    let pid = dev.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
    let before = limit_descriptors(pid, None);
    limit_descriptors(pid, Some(3));
    let mut submits = JoinSet::new();
    for client in 0..150 {
        submits.spawn(submit(client));
    }
    let mut waits = false;
    while !waits {
        let line =
            wait_for("it says that it waits", lines.next_line()).await.expect("text").expect("it runs");
        waits = line.contains("short of a resource");
    }
    limit_descriptors(pid, before.current);
    while let Some(answer) = wait_for("Submit answers", submits.join_next()).await {
        answer.expect("no panic").expect("it is kept");
    }
    assert!(segments(&home) >= 5);
    dev.signal(Signal::TERM);
    let ended = wait_for("the server ends", dev.child.wait()).await.expect("a status");
    assert_eq!(ended.code(), Some(0));
}

/// Sets the soft limit of another process, if one is given; answers what it was.
fn limit_descriptors(pid: Pid, current: Option<u64>) -> Rlimit {
    let limit = getrlimit(Resource::Nofile);
    let of = |current| Rlimit { current, maximum: limit.maximum };
    prlimit(Some(pid), Resource::Nofile, of(current.or(limit.maximum))).expect("it is ours")
}

#[tokio::test]
async fn a_server_raises_its_limit_and_says_how_many_connections_fit_in_it() {
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
