//! The in-process pool: opens a worker's sessions on an engine.

use std::sync::Arc;

use futures_util::FutureExt;

use super::engine_sink::EngineSink;
use super::executor::Executor;
use super::report_sink::ReportSink;
use super::setup::HandlerGroup;
use super::{RunningWorker, Worker, WorkerStatus};
use crate::engine::{Engine, Session};
use crate::error::Result;
use crate::job::SessionSpec;

impl Worker {
    /// Runs the worker in this process, as a pool of this engine. Attempts run on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// `InvalidField` if the name of a kind or queue is invalid.
    pub fn start(self, engine: &Engine) -> Result<RunningWorker> {
        let queues = self.queue_names()?;
        let name = self.name.clone();
        let groups = self.handler_groups()?;
        let running = RunningWorker::new(groups.len());
        for (index, group) in groups.into_iter().enumerate() {
            let HandlerGroup { kinds, slots, handlers, inline, revoke_grace } = group;
            let spec = SessionSpec { name: name.clone(), kinds, queues: queues.clone(), slots };
            let session = engine.open_session(&spec, inline);
            let executor = Executor::new(handlers, revoke_grace, running.tasks().clone());
            let server_version = env!("CARGO_PKG_VERSION").to_owned();
            running.set_status(index, WorkerStatus::Connected { worker_ids: Vec::new(), server_version });
            let worker = running.clone();
            running.tasks().spawn(async move {
                serve(session, executor, &worker, index).await;
                worker.set_status(index, WorkerStatus::Ended);
            });
        }
        Ok(running)
    }
}

async fn serve(mut session: Session, executor: Executor, worker: &RunningWorker, index: usize) {
    let sink = ReportSink::Engine(Arc::new(EngineSink::new(session.reporter(), executor.stopped().clone())));
    let mut draining = Box::pin(worker.draining());
    let mut drain_expired = Box::pin(worker.drain_expired());
    let mut is_draining = false;
    loop {
        tokio::select! {
            biased;
            () = &mut drain_expired => break,
            () = &mut draining, if !is_draining => {
                is_draining = true;
                worker.set_status(index, WorkerStatus::Draining);
                session.set_slots(0);
            }
            orders = session.orders() => executor.execute(orders, &sink),
            () = executor.idle(), if is_draining && !session.has_orders() => break,
        }
    }
    session.set_slots(0);
    // Attempts that were assigned before `set_slots(0)` start and are stopped with the others, so their jobs are
    // released.
    if let Some(orders) = session.orders().now_or_never() {
        executor.execute(orders, &sink);
    }
    executor.stop();
    executor.idle().await;
}
