//! A principal far above its quota, and the latency of another one beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tokio::task::JoinSet;
use tokio::time::interval_at;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::tokens::Tokens;
use crate::support::Dev;

/// The quota of each neighbor, in submits a second.
const QUOTA: u32 = 100;
/// Concurrent calls of a neighbor.
const TASKS: u32 = 20;
/// How often both neighbors are compared. Rounds alternate, so that other load of the machine affects both.
const ROUNDS: u32 = 10;
/// Measured calls beside one neighbor in each round.
const CALLS: u32 = 400;

#[derive(Clone)]
struct Caller {
    client: JobServiceClient<Channel>,
    token: AsciiMetadataValue,
}

impl Caller {
    fn new(dev: &Dev, token: &str) -> Self {
        let token = format!("Bearer {token}").parse().expect("a header");
        Self { client: JobServiceClient::new(dev.channel()), token }
    }

    async fn submit(&mut self) -> Result<(), Status> {
        let job = v1::JobSpec { kind: "demo.echo".to_owned(), ..v1::JobSpec::default() };
        let mut request = Request::new(v1::SubmitRequest { job: Some(job), validate_only: false });
        request.metadata_mut().insert("authorization", self.token.clone());
        self.client.submit(request).await.map(drop)
    }

    /// Submits so many jobs a second until the set is dropped. Counts the accepted and the refused ones.
    fn load(&self, per_second: u32, counts: &Arc<[AtomicU32; 2]>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (mut caller, counts) = (self.clone(), counts.clone());
            // The calls are spread evenly, as those of independent clients.
            let start = tokio::time::Instant::now() + Duration::from_secs(1) * task / per_second;
            let mut due = interval_at(start, Duration::from_secs(1) * TASKS / per_second);
            tasks.spawn(async move {
                loop {
                    due.tick().await;
                    match caller.submit().await {
                        Ok(()) => counts[0].fetch_add(1, Ordering::Relaxed),
                        Err(status) if status.code() == Code::ResourceExhausted => {
                            counts[1].fetch_add(1, Ordering::Relaxed)
                        }
                        Err(status) => panic!("{status}"),
                    };
                }
            });
        }
        tasks
    }

    async fn latencies(&mut self) -> Vec<Duration> {
        let mut latencies = Vec::new();
        for _ in 0..CALLS {
            let start = Instant::now();
            self.submit().await.expect("it has no quota");
            latencies.push(start.elapsed());
        }
        latencies
    }
}

/// Of the latencies of one neighbor, the one that 99 % do not exceed.
fn p99(latencies: &mut [Duration]) -> Duration {
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures latencies: run it in release"]
async fn a_principal_at_ten_times_its_quota_does_not_slow_another_one_down() {
    let mut tokens = Tokens::new();
    let quota = format!("[token.quota]\nsubmits_per_second = {QUOTA}\n");
    let (benign, noisy) = (tokens.add("benign", &["all"], &quota), tokens.add("noisy", &["all"], &quota));
    let other = tokens.add("other", &["all"], "");
    let dev = Dev::start(&["--auth-tokens", &tokens.path()]).await;
    let (benign, noisy, mut other) =
        (Caller::new(&dev, &benign), Caller::new(&dev, &noisy), Caller::new(&dev, &other));
    other.latencies().await;
    let counts = [Arc::default(), Arc::default()];
    let (mut beside_benign, mut beside_noisy) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let load = benign.load(QUOTA, &counts[0]);
        beside_benign.extend(other.latencies().await);
        drop(load);
        let load = noisy.load(10 * QUOTA, &counts[1]);
        beside_noisy.extend(other.latencies().await);
        drop(load);
    }
    let [accepted, refused] = counts[1].each_ref().map(|count| count.load(Ordering::Relaxed));
    let (benign, noisy) = (p99(&mut beside_benign), p99(&mut beside_noisy));
    println!("p99 beside a benign principal {benign:?}, beside one at ten times its quota {noisy:?}");
    println!("accepted of it {accepted}, refused {refused}");
    assert!(refused > accepted, "most of its jobs are above its quota");
    assert!(noisy <= 2 * benign, "{noisy:?} is more than twice {benign:?}");
}
