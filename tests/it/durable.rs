//! A server process with a data directory that is ended and restarted.

mod attempts;
mod bound;
mod descriptors;
mod directory;
mod downtime;
mod evicted;
mod failing;
mod full;
mod http;
mod injected;
mod kills;
mod load;
mod offers;
mod older_versions;
mod probes;
mod reader;
mod restart;
mod slow_end;
mod watches;
mod window;

use std::path::{Path, PathBuf};

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use rustix::process::Signal;
use tonic::Status;
use tonic::transport::Channel;

use crate::support::{Dev, Ended, Watched, wait_for, watch_request};

/// A data directory, removed when dropped, and the address of its server.
struct DataDir {
    directory: PathBuf,
    address: String,
    args: Vec<String>,
}

impl DataDir {
    /// Creates a directory whose servers start with these additional arguments.
    fn new(args: &[&str]) -> Self {
        let name = format!("durable-{}", uuid::Uuid::now_v7());
        Self {
            directory: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name),
            address: "127.0.0.1:0".to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
        }
    }

    /// Starts a server on the address of the first one.
    async fn start(&mut self) -> Dev {
        self.try_start_in("exec \"$@\"").await.expect("the process starts")
    }

    /// Starts a server from a shell script. Returns its exit code and stderr if it does not start.
    async fn try_start_in(&mut self, script: &str) -> Result<Dev, (Option<i32>, String)> {
        let directory = self.directory.to_str().expect("text").to_owned();
        // The log is read only at the end: it must not fill the pipe.
        let mut args = vec!["--data", &directory, "--log-level", "error"];
        args.extend(self.args.iter().map(String::as_str));
        let dev = Dev::try_start_in(script, &self.address, &args).await?;
        self.address.clone_from(&dev.address);
        Ok(dev)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // The directory is missing if the server never started.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The way a server is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerEnd {
    /// SIGKILL.
    Kill,
    /// SIGTERM, a graceful shutdown.
    Term,
}

impl ServerEnd {
    async fn end(self, dev: Dev) {
        match self {
            Self::Kill => dev.kill().await,
            Self::Term => {
                dev.signal(Signal::TERM);
                let (code, stderr) = dev.end().await;
                assert_eq!(code, Some(0), "{stderr}");
            }
        }
    }
}

fn jobs(dev: &Dev) -> JobServiceClient<Channel> {
    JobServiceClient::new(dev.channel())
}

/// Submits a job and returns its id.
async fn submit(dev: &Dev, job: v1::JobSpec) -> String {
    let request = v1::SubmitRequest { job: Some(job), validate_only: false };
    let answer = wait_for("Submit answers", jobs(dev).submit(request)).await.expect("the job is accepted");
    assert_eq!(answer.get_ref().durability(), v1::Durability::Disk);
    answer.into_inner().job_id
}

async fn try_result(dev: &Dev, id: &str, wait_seconds: i64) -> Result<v1::GetResultResponse, Status> {
    let wait = Some(crate::support::seconds(wait_seconds));
    let request = v1::GetResultRequest { job_id: id.to_owned(), wait };
    wait_for("GetResult answers", jobs(dev).get_result(request)).await.map(tonic::Response::into_inner)
}

/// Waits for the outcome of a job.
async fn end(dev: &Dev, id: &str) -> Ended {
    Ended::of(id, &try_result(dev, id, 25).await.expect("the job exists"))
}

async fn remove(dev: &Dev, id: &str) {
    let request = v1::DeleteRequest { job_id: id.to_owned() };
    wait_for("Delete answers", jobs(dev).delete(request)).await.expect("the job has ended");
}

async fn get(dev: &Dev, id: &str) -> v1::Job {
    let request = v1::GetJobRequest { job_id: id.to_owned() };
    let answer = wait_for("GetJob answers", jobs(dev).get_job(request)).await.expect("the job exists");
    answer.into_inner().job.expect("a job")
}

/// Opens a watch.
async fn watch(dev: &Dev, id: &str, after: u32) -> Watched {
    Watched::open(&mut jobs(dev), watch_request(id, after)).await
}
