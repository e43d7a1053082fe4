//! What a handler learns of the end of its attempt.

use std::time::Duration;

use jobstream::client::{self, BoxFuture, ErrorKind, reason};
use jobstream::job::Payload;
use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::worker::{HandlerInterceptor, JobContext, JobError, NextHandler, RunningWorker, Worker};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::connect;
use crate::support::{Gate, ScriptedServer, WorkStream, assignment, lease_id, terms, wait_for};

/// Which callback was called, and with what.
type Settled = (&'static str, client::Result<()>);

/// Registers a callback before and after the handler.
struct Around(mpsc::Sender<Settled>);

impl HandlerInterceptor for Around {
    fn run<'a>(
        &'a self,
        context: JobContext,
        next: NextHandler<'a>,
    ) -> BoxFuture<'a, Result<Payload, JobError>> {
        Box::pin(async move {
            notify(&context, "before", &self.0);
            let result = next.run(context.with_payload(Payload::text("other"))).await;
            notify(&context, "after", &self.0);
            result
        })
    }
}

fn notify(context: &JobContext, name: &'static str, settled: &mpsc::Sender<Settled>) {
    let settled = settled.clone();
    context.on_settled(move |outcome| settled.try_send((name, outcome)).expect("there is capacity"));
}

/// A worker with a running attempt of a handler that waits at the gate.
struct Running {
    server: ScriptedServer,
    worker: RunningWorker,
    stream: WorkStream,
    gate: Gate,
    settled: mpsc::Receiver<Settled>,
}

impl Running {
    async fn start(result: Result<Payload, JobError>) -> Self {
        let (sender, settled) = mpsc::channel(8);
        let (gate, inner) = (Gate::new(), sender.clone());
        let passed = gate.clone();
        let handler = move |context: JobContext| {
            let (gate, result, sender) = (passed.clone(), result.clone(), inner.clone());
            async move {
                context.on_settled(|_| panic!("a callback that is broken"));
                notify(&context, "handler", &sender);
                context.unless_cancelled(gate.pass()).await?;
                result
            }
        };
        let mut server = ScriptedServer::start().await;
        let worker = connect(Worker::new().interceptor(Around(sender)).raw_handler("gate", handler), &server);
        let (stream, _) = server.joined(terms()).await;
        stream.assign(vec![assignment(1, "gate", "x")]).await;
        gate.arrival().await;
        Self { server, worker, stream, gate, settled }
    }

    /// The three callbacks, which were called in order with this outcome: the reason of the error, or "ok".
    async fn assert_settled(&mut self, outcome: &str) {
        for expected in ["before", "handler", "after"] {
            let (name, settled) =
                wait_for("a callback", self.settled.recv()).await.expect("the worker calls it");
            let text = match &settled {
                Ok(()) => "ok".to_owned(),
                Err(error) if error.reason().is_empty() => format!("{:?}", error.kind()),
                Err(error) => error.reason().to_owned(),
            };
            assert_eq!((name, text.as_str()), (expected, outcome), "{settled:?}");
        }
        assert!(self.settled.try_recv().is_err(), "each is called once");
    }
}

#[tokio::test]
async fn callbacks_run_in_order_once_the_end_is_acknowledged() {
    let mut running = Running::start(Ok(Payload::text("done"))).await;
    running.gate.open(1);
    assert!(matches!(running.stream.end().await.news, Some(News::Complete(_))));
    assert!(running.settled.try_recv().is_err(), "it is not acknowledged");
    running.stream.ack(1).await;
    running.assert_settled("ok").await;
    // A callback that panics does not end the worker.
    running.stream.assign(vec![assignment(2, "gate", "x")]).await;
    running.gate.open(1);
    assert_eq!(running.stream.end().await.lease_id, lease_id(2));
}

#[tokio::test]
async fn a_failed_attempt_is_settled_without_an_error() {
    let mut running = Running::start(Err(JobError::permanent("no"))).await;
    running.gate.open(1);
    assert!(matches!(running.stream.end().await.news, Some(News::Fail(_))));
    running.stream.ack(1).await;
    running.assert_settled("ok").await;
}

#[tokio::test]
async fn a_refused_end_is_settled_with_its_error() {
    let mut running = Running::start(Ok(Payload::text("done"))).await;
    running.gate.open(1);
    running.stream.end().await;
    let error = tonic_types::Status { code: Code::FailedPrecondition as i32, ..Default::default() };
    let refusals = vec![v1::ReportRefusal { report_sequence: 1, lease_id: lease_id(1), error: Some(error) }];
    let ack = Some(v1::ReportAck { report_sequence: 1, refusals });
    running.stream.send(v1::WorkResponse { ack, ..Default::default() }).await;
    running.assert_settled(reason::LEASE_LOST).await;
}

#[tokio::test]
async fn a_revoked_attempt_is_settled_with_a_lost_lease() {
    let mut running = Running::start(Ok(Payload::text("done"))).await;
    running.stream.cancel(&lease_id(1), Duration::ZERO, true).await;
    running.assert_settled(reason::LEASE_LOST).await;
}

#[tokio::test]
async fn a_reconnect_settles_ends_by_its_welcome() {
    for (acknowledged, outcome) in [(0, reason::LEASE_LOST), (1, "ok")] {
        let mut running = Running::start(Ok(Payload::text("done"))).await;
        running.gate.open(1);
        running.stream.end().await;
        running.stream.fail(Status::unavailable("cut")).await;
        let welcome = v1::Welcome { acked_report_sequence: acknowledged, ..terms() };
        (running.stream, _) = running.server.joined(welcome).await;
        running.assert_settled(outcome).await;
    }
}

#[tokio::test]
async fn a_reconnect_settles_refused_ends_with_their_error() {
    let mut running = Running::start(Ok(Payload::text("done"))).await;
    running.gate.open(1);
    running.stream.end().await;
    running.stream.fail(Status::unavailable("cut before the ack")).await;
    let error = tonic_types::Status { code: Code::FailedPrecondition as i32, ..Default::default() };
    let refusals = vec![v1::ReportRefusal { report_sequence: 1, lease_id: lease_id(1), error: Some(error) }];
    let welcome = v1::Welcome { acked_report_sequence: 1, refusals, ..terms() };
    (running.stream, _) = running.server.joined(welcome).await;
    running.assert_settled(reason::LEASE_LOST).await;
}

#[tokio::test]
async fn an_end_that_the_server_does_not_know_is_unknown() {
    for acknowledged in [0, 1] {
        let mut running = Running::start(Ok(Payload::text("done"))).await;
        running.gate.open(1);
        running.stream.end().await;
        running.stream.fail(Status::unavailable("cut before the ack")).await;
        let unknown_report_sequence = if acknowledged == 0 { i64::MAX as u64 } else { 1 };
        let welcome = v1::Welcome { acked_report_sequence: acknowledged, unknown_report_sequence, ..terms() };
        (running.stream, _) = running.server.joined(welcome).await;
        running.assert_settled(&format!("{:?}", ErrorKind::Unreachable)).await;
    }
}

#[tokio::test]
async fn an_end_that_is_resent_is_settled_by_its_acknowledgement() {
    let mut running = Running::start(Ok(Payload::text("done"))).await;
    running.gate.open(1);
    running.stream.end().await;
    running.stream.fail(Status::unavailable("cut before the report")).await;
    let welcome =
        v1::Welcome { standing_lease_ids: vec![lease_id(1)], unknown_report_sequence: 1, ..terms() };
    (running.stream, _) = running.server.joined(welcome).await;
    running.stream.end().await;
    assert!(running.settled.try_recv().is_err(), "it is not acknowledged");
    running.stream.ack(1).await;
    running.assert_settled("ok").await;
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_at_a_reconnect_is_settled_with_it() {
    let mut running = Running::start(Ok(Payload::text("done"))).await;
    running.stream.fail(Status::unavailable("cut")).await;
    (running.stream, _) = running.server.joined(terms()).await;
    running.assert_settled(reason::LEASE_LOST).await;
}

#[tokio::test]
async fn an_end_that_is_not_acknowledged_is_unknown_once_the_worker_has_ended() {
    let mut running = Running::start(Ok(Payload::text("done"))).await;
    running.gate.open(1);
    running.stream.end().await;
    assert_eq!(running.worker.drain(Duration::ZERO).await, 0);
    running.assert_settled(&format!("{:?}", ErrorKind::Unreachable)).await;
}

#[tokio::test]
async fn an_attempt_that_outlives_the_drain_is_settled_with_a_lost_lease() {
    let (sender, mut settled) = mpsc::channel(1);
    let gate = Gate::new();
    let inner = gate.clone();
    let handler = move |context: JobContext| {
        let (gate, sender) = (inner.clone(), sender.clone());
        async move {
            notify(&context, "handler", &sender);
            gate.pass().await;
            Ok(Payload::text("a result that the server never gets"))
        }
    };
    let mut server = ScriptedServer::start().await;
    let worker = connect(Worker::new().raw_handler("gate", handler), &server);
    let (mut stream, _) = server.joined(terms()).await;
    stream.assign(vec![assignment(1, "gate", "x")]).await;
    gate.arrival().await;
    let draining = tokio::spawn(async move { worker.drain(Duration::from_millis(200)).await });
    assert!(matches!(stream.end().await.news, Some(News::Release(_))));
    let (_, outcome) = wait_for("the callback", settled.recv()).await.expect("the worker calls it");
    assert_eq!(outcome.expect_err("the attempt was released").reason(), reason::LEASE_LOST);
    stream.ack(1).await;
    wait_for("the drain", draining).await.expect("it ends");
}
