//! The cost of one job in the engine while a thousand to ten million others are queued: it must not grow with their
//! number. Ten million queued jobs take gigabytes of memory.
//!
//! The engine runs on a manual clock and without a network; `jobstream-bench` measures the whole server.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use futures_util::FutureExt;
use jobstream::clock::Clock;
use jobstream::engine::{Engine, EngineOptions};
use jobstream::job::{JobId, Kind, NewJob, Payload, Start};
use jobstream::worker::{RunningWorker, Worker};
use tokio::runtime::{self, Runtime};

/// The allocator of the `jobstream` binary.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Queued jobs while others are measured.
const WAITING: [u32; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Jobs measured at a time, so that the number of queued jobs stays about the same.
const AT_A_TIME: u64 = 500;
const FAR: Duration = Duration::from_secs(1_000 * 24 * 3600);
const SECOND: Duration = Duration::from_secs(1);

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(SECOND)
        .measurement_time(2 * SECOND)
        .configure_from_args();
    for waiting in WAITING {
        let mut bench = Bench::new(waiting);
        let mut group = criterion.benchmark_group("engine");
        let id = |name| BenchmarkId::new(name, waiting);
        group.bench_function(id("submit"), |b| b.iter_custom(|jobs| bench.time(jobs, Bench::submit)));
        group.bench_function(id("cancel"), |b| b.iter_custom(|jobs| bench.time(jobs, Bench::cancel)));
        group.bench_function(id("run"), |b| b.iter_custom(|jobs| bench.time(jobs, Bench::run)));
        group.bench_function(id("expire"), |b| b.iter_custom(|jobs| bench.time(jobs, Bench::expire)));
        group.finish();
    }
    criterion.final_summary();
}

/// An engine with many queued and scheduled jobs, half of each.
struct Bench {
    engine: Engine,
    clock: Clock,
    /// Its handler runs on the thread that submits.
    _worker: RunningWorker,
    /// The worker needs a runtime, but nothing waits for its tasks.
    _runtime: Runtime,
}

impl Bench {
    fn new(waiting: u32) -> Self {
        let mut options = EngineOptions::default();
        options.core.jobs_max = u32::MAX / 2;
        options.core.job_bytes_max = u64::MAX;
        let clock = Clock::manual();
        let engine = Engine::new(options, clock.clone());
        let runtime = runtime::Builder::new_current_thread().build().expect("a runtime");
        let worker = {
            let _entered = runtime.enter();
            Worker::new().inline_handler("run", |job| Ok(job.payload)).start(&engine).expect("a good kind")
        };
        let bench = Self { engine, clock, _worker: worker, _runtime: runtime };
        for number in 0..waiting {
            let mut job = job("idle");
            if number % 2 == 0 {
                job.options_mut().start = Start::After(FAR);
            }
            bench.accept(job);
        }
        bench
    }

    /// The time of this many jobs, without setup and cleanup.
    fn time(&mut self, jobs: u64, part: fn(&mut Self, u64) -> Duration) -> Duration {
        let mut time = Duration::ZERO;
        let mut left = jobs;
        while left > 0 {
            let count = left.min(AT_A_TIME);
            time += part(self, count);
            left -= count;
        }
        time
    }

    fn submit(&mut self, count: u64) -> Duration {
        let jobs: Vec<_> = (0..count).map(|_| job("idle")).collect();
        let begin = Instant::now();
        let ids: Vec<_> = jobs.into_iter().map(|job| self.accept(job)).collect();
        let time = begin.elapsed();
        self.cancel_all(&ids);
        self.delete_all(&ids);
        time
    }

    fn cancel(&mut self, count: u64) -> Duration {
        let ids: Vec<_> = (0..count).map(|_| self.accept(job("idle"))).collect();
        let begin = Instant::now();
        self.cancel_all(&ids);
        let time = begin.elapsed();
        self.delete_all(&ids);
        time
    }

    /// Submit, dispatch to a worker, and the end with a result.
    fn run(&mut self, count: u64) -> Duration {
        let jobs: Vec<_> = (0..count).map(|_| job("run")).collect();
        let begin = Instant::now();
        let ids: Vec<_> = jobs.into_iter().map(|job| self.accept(job)).collect();
        let time = begin.elapsed();
        self.delete_all(&ids);
        time
    }

    /// The removal of finished jobs after their retention.
    fn expire(&mut self, count: u64) -> Duration {
        let ids: Vec<_> = (0..count)
            .map(|_| {
                let mut job = job("idle");
                job.options_mut().retention = Some(SECOND);
                self.accept(job)
            })
            .collect();
        self.cancel_all(&ids);
        // Too short for the scheduled jobs to become due.
        self.clock.advance(SECOND);
        let begin = Instant::now();
        self.engine.tick();
        let time = begin.elapsed();
        assert!(now(self.engine.job(ids[0])).is_err(), "the job is removed");
        time
    }

    fn accept(&self, job: NewJob) -> JobId {
        now(self.engine.submit(black_box(job))).expect("the queue has capacity").id
    }

    fn cancel_all(&self, ids: &[JobId]) {
        for id in ids {
            now(self.engine.cancel(*id, "", Duration::ZERO)).expect("the job is queued");
        }
    }

    fn delete_all(&self, ids: &[JobId]) {
        for id in ids {
            now(self.engine.delete(*id)).expect("the job has ended");
        }
    }
}

/// The output of a future that is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("in memory, commands answer at once")
}

fn kind(name: &str) -> Kind {
    Kind::parse("kind", name).expect("a good name")
}

fn job(kind_name: &str) -> NewJob {
    NewJob::new(kind(kind_name), Payload::data(&b"0123456789abcdef0123456789abcdef"[..]))
}
