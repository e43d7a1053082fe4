//! The simulation: consecutive servers on one simulated disk, each ended by a crash, and the check of the last one.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime;
use tokio::time::timeout;

use super::bugs::{Bug, FaultyLog};
use super::checker::rules::{Found, check};
use super::client::{Client, Observations};
use super::faulty_service::{FaultyService, Seen};
use crate::api::grpc;
use crate::core::CoreOptions;
use crate::engine::{Engine, EngineOptions, OpenLog};
use crate::error::Result;
use crate::server::router::Router;
use crate::wal::Log;
use crate::wal::disk::shared::SharedLog;
use crate::wal::disk::simulated::{Disk, Survives};
use crate::wal::disk::tests::open_on;
use crate::worker::{RunningWorker, Worker, demo};

const CLIENTS: u64 = 8;
/// Longest time of a step, also on a busy machine.
const STEP_TIME_MAX: Duration = Duration::from_secs(30);
/// A short lease, so that some expire.
const LEASE: Duration = Duration::from_millis(5);
const EIO: i32 = 5;

/// Runs the test and returns the breaches that the checker finds.
pub(super) fn run_crash_test(seed: u64, bug: Option<Bug>, runs: usize) -> Vec<String> {
    let mut test = CrashTest::new(seed, bug);
    for _ in 0..runs {
        if let Err(error) = test.run_server() {
            return vec![format!("it does not start again: {error}")];
        }
        test.crash();
    }
    test.end()
}

struct CrashTest {
    random: StdRng,
    bug: Option<Bug>,
    disk: Disk,
    observations: Rc<RefCell<Observations>>,
    /// State of the faulty service, across all runs of the server.
    seen: Rc<RefCell<Seen>>,
}

/// A running server.
struct Server {
    engine: Engine,
    service: FaultyService,
    _worker: RunningWorker,
}

impl CrashTest {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            bug,
            disk: Disk::default(),
            observations: Rc::default(),
            seen: Rc::default(),
        }
    }

    /// Starts a server on the disk.
    fn start(&self) -> Result<Server> {
        let mut options = EngineOptions {
            compaction_bytes: 32 << 10,
            compaction_garbage_percent: 0,
            core: CoreOptions::default(),
            ..EngineOptions::default()
        };
        (options.core.lease, options.core.reconnect_grace) = (LEASE, LEASE);
        let of_log = crate::wal::Options {
            segment_bytes: 64 << 10,
            spares_max: 2,
            reserve_bytes: 16 << 10,
            ..crate::wal::Options::default()
        };
        let engine = Engine::open_by(options, Path::new("disk"), |reader| {
            let mut removed = HashSet::new();
            let mut reading = Bug::reading(self.bug, reader, &mut removed);
            let log = open_on(&self.disk, &of_log, &mut reading)?;
            drop(reading);
            let next_sequence = log.next_sequence();
            let log: Arc<dyn Log> = Arc::new(SharedLog::new(log)?);
            let log = match self.bug {
                Some(bug) => FaultyLog::new(log, bug, removed),
                None => log,
            };
            Ok(OpenLog { log, next_sequence })
        })?;
        let worker = demo::add_to(Worker::new()).start(&engine).expect("valid names");
        let api = grpc::Api::new(engine.clone(), 4 << 20, grpc::ConnectionLimits::default());
        let (jobs, others) = grpc::services(&api);
        let router = Router::new(jobs, others, api.call_log().clone(), 4 << 20);
        let service = FaultyService::new(router, self.bug, self.seen.clone());
        Ok(Server { service, engine, _worker: worker })
    }

    fn client(&mut self, server: &Server) -> Client {
        Client::new(server.service.clone(), self.observations.clone(), self.random.random())
    }

    /// Runs a server and its clients until a random number of responses.
    fn run_server(&mut self) -> Result<()> {
        let runtime = runtime();
        let server = runtime.block_on(async { self.start() })?;
        match self.bug {
            Some(Bug::SkipsSyncs) => self.disk.skip_syncs(),
            Some(Bug::IgnoresFailures) => self.disk.fail_at(self.random.random_range(0..200), EIO),
            _ if self.random.random_bool(0.2) => self.disk.fail_at(self.random.random_range(0..400), EIO),
            _ => {}
        }
        let responses_target = self.observations.borrow().responses + self.random.random_range(20..300);
        let clients: Vec<_> = (0..CLIENTS).map(|_| self.client(&server).work()).collect();
        let observations = self.observations.clone();
        runtime.block_on(async {
            let enough = async {
                while observations.borrow().responses < responses_target {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = enough => {}
                _ = timeout(STEP_TIME_MAX, join_all(clients)) => panic!("the clients get no response"),
            }
        });
        // The next server starts from the disk as it is now. Later writes of this server are discarded.
        let found = self.disk.fork();
        // The clients have seen a failure of the log, if there was one.
        let _ = server.engine.close();
        self.disk = found;
        Ok(())
    }

    fn crash(&mut self) {
        self.disk.crash(match self.random.random_range(0..4) {
            0 => Survives::Nothing,
            1 => Survives::All,
            _ => Survives::Some(self.random.random()),
        });
    }

    /// Runs all jobs to their end on the last server, and returns the breaches.
    fn end(mut self) -> Vec<String> {
        let runtime = runtime();
        let server = match runtime.block_on(async { self.start() }) {
            Ok(server) => server,
            Err(error) => return vec![format!("it does not start in the end: {error}")],
        };
        let mut client = self.client(&server);
        let found: Option<BTreeMap<String, Found>> = runtime.block_on(async {
            timeout(STEP_TIME_MAX, client.finish()).await.ok()?;
            Some(client.read_all().await)
        });
        let Some(found) = found else { return vec!["not every job ends".to_owned()] };
        let acknowledged = self.observations.borrow().journal.acknowledged();
        println!("{} jobs, {acknowledged} acknowledged", self.observations.borrow().journal.traces.len());
        let mut breaches = check(&self.observations.borrow().journal, &found, usize::MAX);
        breaches.extend(runtime.block_on(client.check_removed()));
        breaches
    }
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
