//! Remote workers, mostly with a scripted server. The last module uses a
//! real server.

mod backpressure;
mod end_to_end;
mod ends;
mod hello;
mod lifetime;
mod reconnect;
mod reports;
mod settled;

use std::time::Duration;

use jobstream::worker::{RemoteOptions, RunningWorker, Worker};

use crate::support::{Gate, ScriptedServer, WorkStream, terms, test_worker};

/// Connects a worker to the server.
fn connect(worker: Worker, server: &ScriptedServer) -> RunningWorker {
    worker.connect(server.channel(), RemoteOptions::default()).expect("valid names")
}

/// Connects a worker of only `test.gate`. Returns its stream.
async fn gate_worker(slots: u32, gate: &Gate) -> (ScriptedServer, RunningWorker, WorkStream) {
    let mut server = ScriptedServer::start().await;
    let gate = gate.clone();
    let worker = Worker::new().slots(slots).raw_handler("test.gate", move |context| {
        let gate = gate.clone();
        async move {
            context.unless_cancelled(gate.pass()).await?;
            Ok(context.payload().clone())
        }
    });
    let running = connect(worker, &server);
    let (stream, _) = server.joined(terms()).await;
    (server, running, stream)
}

fn short(millis: u64) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(Duration::from_millis(millis)).ok()
}

/// Returns a worker of every test kind, which opens two streams.
fn every_kind(gate: &Gate) -> Worker {
    test_worker(gate).name("everything").queues(["default", "other"])
}
