//! One server after the other on one disk, each ended by a crash, and what the last one says in the end.

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

use super::checker::rules::{Found, check};
use super::client::{Client, Notes};
use super::faulty_service::{FaultyService, Seen};
use super::planted::{Bug, FaultyLog};
use crate::core::CoreOptions;
use crate::engine::{Engine, EngineOptions, OpenLog};
use crate::error::Result;
use crate::log::contract::Log;
use crate::log::disk::{Disk, Keeps};
use crate::log::shared::SharedLog;
use crate::log::tests::open_on;
use crate::rpc;
use crate::server::router::Router;
use crate::worker::{RunningWorker, Worker, demo};

const CLIENTS: u64 = 8;
/// Longer than any step takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// So short that workers lose some.
const LEASE: Duration = Duration::from_millis(5);
const EIO: i32 = 5;

/// Breaches that a server with this bug is found to commit in so many lives.
pub(super) fn torture(seed: u64, bug: Option<Bug>, lives: usize) -> Vec<String> {
    let mut torture = Torture::new(seed, bug);
    for _ in 0..lives {
        if let Err(error) = torture.live() {
            return vec![format!("it does not start again: {error}")];
        }
        torture.crash();
    }
    torture.end()
}

struct Torture {
    random: StdRng,
    bug: Option<Bug>,
    disk: Disk,
    notes: Rc<RefCell<Notes>>,
    /// For the faulty service, across all runs of the server.
    seen: Rc<RefCell<Seen>>,
}

/// A server at work.
struct Server {
    engine: Engine,
    service: FaultyService,
    _worker: RunningWorker,
}

impl Torture {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            bug,
            disk: Disk::default(),
            notes: Rc::default(),
            seen: Rc::default(),
        }
    }

    /// Starts a server on the disk as it is.
    fn start(&self) -> Result<Server> {
        let mut options = EngineOptions {
            checkpoint_bytes: 32 << 10,
            checkpoint_waste_percent: 0,
            core: CoreOptions::default(),
            ..EngineOptions::default()
        };
        (options.core.lease, options.core.reconnect_grace) = (LEASE, LEASE);
        let of_log = crate::log::Options {
            segment_bytes: 64 << 10,
            spares_max: 2,
            reserve_bytes: 16 << 10,
            ..crate::log::Options::default()
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
        let worker = demo::add_to(Worker::new()).start(&engine).expect("good names");
        let (jobs, others) = rpc::services(&engine, 4 << 20, rpc::ConnectionLimits::default());
        let router = Router::new(jobs, others);
        let service = FaultyService::new(router, self.bug, self.seen.clone());
        Ok(Server { service, engine, _worker: worker })
    }

    fn client(&mut self, server: &Server) -> Client {
        Client::new(server.service.clone(), self.notes.clone(), self.random.random())
    }

    /// A server and its clients, until some time.
    fn live(&mut self) -> Result<()> {
        let runtime = runtime();
        let server = runtime.block_on(async { self.start() })?;
        match self.bug {
            Some(Bug::SkipsSyncs) => self.disk.skip_syncs(),
            Some(Bug::IgnoresFailures) => self.disk.fail_at(self.random.random_range(0..200), EIO),
            _ if self.random.random_bool(0.2) => self.disk.fail_at(self.random.random_range(0..400), EIO),
            _ => {}
        }
        let goal = self.notes.borrow().answers + self.random.random_range(20..300);
        let clients: Vec<_> = (0..CLIENTS).map(|_| self.client(&server).work()).collect();
        let notes = self.notes.clone();
        runtime.block_on(async {
            let moment = async {
                while notes.borrow().answers < goal {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = moment => {}
                _ = timeout(PATIENCE, join_all(clients)) => panic!("the clients wait in vain"),
            }
        });
        // What becomes durable from here on is nobody's: the disk as it is now is what the next server finds.
        let found = self.disk.fork();
        // It failed, or not: that was told to those who asked.
        let _ = server.engine.close();
        self.disk = found;
        Ok(())
    }

    fn crash(&mut self) {
        self.disk.crash(match self.random.random_range(0..4) {
            0 => Keeps::Nothing,
            1 => Keeps::All,
            _ => Keeps::Some(self.random.random()),
        });
    }

    /// What is wrong with all that the last server says, once every job has ended.
    fn end(mut self) -> Vec<String> {
        let runtime = runtime();
        let server = match runtime.block_on(async { self.start() }) {
            Ok(server) => server,
            Err(error) => return vec![format!("it does not start in the end: {error}")],
        };
        let mut client = self.client(&server);
        let found: Option<BTreeMap<String, Found>> = runtime.block_on(async {
            timeout(PATIENCE, client.finish()).await.ok()?;
            Some(client.read_all().await)
        });
        let Some(found) = found else { return vec!["not every job ends".to_owned()] };
        let acknowledged = self.notes.borrow().journal.acknowledged();
        println!("{} jobs, {acknowledged} acknowledged", self.notes.borrow().journal.stories.len());
        let mut breaches = check(&self.notes.borrow().journal, &found, usize::MAX);
        breaches.extend(runtime.block_on(client.check_removed()));
        breaches
    }
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
