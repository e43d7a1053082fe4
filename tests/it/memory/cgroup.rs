//! A server with default options in a cgroup of 1 GiB under all memory attacks at once.

mod attacks;
mod group;

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::admin_service_client::AdminServiceClient;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tonic::transport::Channel;

use crate::support::{Dev, data, echo, job, new_id, seconds, until, wait_for};
use attacks::Attacks;
use group::Group;

const LIMIT_BYTES: u64 = 1 << 30;
/// The duration of the benign load and of the attacks.
const BENIGN_TIME: Duration = Duration::from_secs(20);
const ATTACK_TIME: Duration = Duration::from_secs(60);
/// The clients of the benign load.
const BENIGN_CLIENTS: usize = 8;
/// The resolution of compared latencies.
const RESOLUTION: Duration = Duration::from_millis(5);

/// Runs small jobs in turn on one connection. Returns their sorted latencies.
async fn benign_client(dev: &Dev, until: Instant) -> Vec<Duration> {
    let mut jobs = JobServiceClient::new(dev.channel());
    let mut took = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        run(&mut jobs, v1::JobSpec { queue: "benign".to_owned(), ..echo("benign") }).await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took
}

async fn run(jobs: &mut JobServiceClient<Channel>, spec: v1::JobSpec) {
    let job_id = new_id();
    let spec = v1::JobSpec { job_id: job_id.clone(), ..spec };
    let submit = v1::SubmitRequest { job: Some(spec), validate_only: false };
    wait_for("Submit answers", jobs.submit(submit)).await.expect("the job is accepted");
    let result = v1::GetResultRequest { job_id, wait: Some(seconds(25)) };
    let answer = wait_for("GetResult answers", jobs.get_result(result)).await.expect("the job exists");
    assert_eq!(answer.into_inner().state(), v1::JobState::Succeeded);
}

/// Sends as many bytes as the attacks, from clients that wait for their results.
async fn benign_load(dev: &Dev, until: Instant) {
    let client = |_| async {
        let mut jobs = JobServiceClient::new(dev.channel());
        while Instant::now() < until {
            run(&mut jobs, v1::JobSpec { payload: Some(data(vec![7; 1 << 20])), ..job("demo.echo") }).await;
        }
    };
    futures_util::future::join_all((0..BENIGN_CLIENTS).map(client)).await;
}

fn percentile(took: &[Duration], percent: usize) -> Duration {
    took[(took.len() * percent / 100).min(took.len() - 1)]
}

async fn info(dev: &Dev) -> v1::GetServerInfoResponse {
    let mut admin = AdminServiceClient::new(dev.channel());
    let request = v1::GetServerInfoRequest {};
    wait_for("GetServerInfo answers", admin.get_server_info(request))
        .await
        .expect("the server runs")
        .into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and makes a cgroup"]
async fn a_server_in_a_cgroup_of_1_gib_survives_memory_attacks() {
    let group = Group::with_limit(LIMIT_BYTES);
    let dev = Dev::start_in(&group.enter(), &[]).await;
    let budget = info(&dev).await.limits.expect("limits").memory_bytes_max as u64;
    assert_eq!(budget, LIMIT_BYTES / 2, "half of the limit of its cgroup");

    let end = Instant::now() + BENIGN_TIME;
    let (benign, ()) = tokio::join!(benign_client(&dev, end), benign_load(&dev, end));

    let attacks = Attacks::begin(&dev).await;
    until("the queue is full", || async { attacks.refused() > 0 }).await;
    let beside = benign_client(&dev, Instant::now() + ATTACK_TIME).await;
    let report = attacks.end().await;

    let uses = info(&dev).await.memory;
    let (resident, peak) = (dev.memory_bytes("VmRSS") as u64, dev.memory_bytes("VmHWM") as u64);
    let (p99, p99_benign) = (percentile(&beside, 99), percentile(&benign, 99));
    eprintln!("budget {budget}, resident {resident}, peak {peak}; {report}");
    for used in &uses {
        eprintln!("  {}: {} of {}", used.category, used.used_bytes, used.limit_bytes);
    }
    eprintln!("benign client: {} and {} jobs, p99 {p99_benign:?} and {p99:?}", benign.len(), beside.len());
    for used in uses {
        assert!(used.used_bytes <= used.limit_bytes, "{used:?}");
    }
    assert!(peak <= budget, "{peak} bytes resident of a budget of {budget}");
    assert!(
        p99 <= 2 * p99_benign.max(RESOLUTION),
        "p99 {p99:?} during attacks, {p99_benign:?} during the benign load"
    );
    dev.kill().await;
    drop(group);
}
