//! The in-process pool: a worker's sessions opened on an engine.

use std::sync::Arc;

use futures_util::FutureExt;

use super::desk::Desk;
use super::link::Link;
use super::pool_link::PoolLink;
use super::running::Signals;
use super::setup::Part;
use super::{RunningWorker, Worker, WorkerStatus};
use crate::engine::{Engine, Session};
use crate::error::Result;
use crate::job::SessionSpec;

impl Worker {
    /// Runs in this process, as the pool of this engine: attempts run on the present tokio runtime.
    ///
    /// # Errors
    ///
    /// `InvalidField` for a kind or queue with a bad name.
    pub fn start(self, engine: &Engine) -> Result<RunningWorker> {
        let queues = self.queue_names()?;
        let name = self.name.clone();
        let parts = self.parts()?;
        let running = RunningWorker::new(parts.len());
        for (index, part) in parts.into_iter().enumerate() {
            let Part { kinds, slots, handlers, inline, revoke_grace } = part;
            let spec = SessionSpec { name: name.clone(), kinds, queues: queues.clone(), slots };
            let session = engine.open_session(&spec, inline);
            let (tasks, signals) = (running.tasks().clone(), running.signals().clone());
            let desk = Desk::new(handlers, revoke_grace, tasks, signals.stop_token().clone());
            let board = running.board().clone();
            let server_version = env!("CARGO_PKG_VERSION").to_owned();
            board.post(index, WorkerStatus::Connected { worker_ids: Vec::new(), server_version });
            running.tasks().spawn(async move {
                serve(session, desk, signals, || board.post(index, WorkerStatus::Draining)).await;
                board.post(index, WorkerStatus::Ended);
            });
        }
        Ok(running)
    }
}

async fn serve(mut session: Session, desk: Desk, signals: Signals, on_drain: impl Fn()) {
    let link = Link::Engine(Arc::new(PoolLink::new(session.reporter())));
    let mut draining = Box::pin(signals.draining());
    let mut overdue = Box::pin(signals.overdue());
    let mut is_draining = false;
    loop {
        tokio::select! {
            biased;
            () = &mut overdue => break,
            () = &mut draining, if !is_draining => {
                is_draining = true;
                on_drain();
                session.set_slots(0);
            }
            orders = session.orders() => desk.take(orders, &link),
            () = desk.idle(), if is_draining && !session.is_holding() => break,
        }
    }
    session.set_slots(0);
    // What was given before that is told to stop like the rest, so that its job is given back and not lost.
    if let Some(orders) = session.orders().now_or_never() {
        desk.take(orders, &link);
    }
    desk.force_all();
    desk.idle().await;
}
