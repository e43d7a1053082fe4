//! The Hello of a worker, and its reaction to a refusal.

use std::time::{Duration, Instant};

use jobstream::worker::{RemoteOptions, Worker, WorkerEnd, WorkerStatus};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{connect, every_kind};
use crate::support::{Gate, ScriptedServer, terms, wait_for};

#[tokio::test]
async fn each_pool_of_slots_opens_a_stream_of_its_own() {
    let mut server = ScriptedServer::start().await;
    let running = connect(every_kind(&Gate::new()), &server);
    let (first, a) = server.next_hello().await;
    let (_second, b) = server.next_hello().await;
    let (inline, others) = if a.kinds.len() == 1 { (&a, &b) } else { (&b, &a) };
    assert_eq!((inline.kinds.as_slice(), inline.slots), (["demo.echo".to_owned()].as_slice(), 4096));
    assert!(
        others.kinds.contains(&"test.gate".to_owned()) && !others.kinds.contains(&"demo.echo".to_owned())
    );
    assert_eq!(others.slots, 256);
    for hello in [&a, &b] {
        assert_eq!((hello.protocol_version, hello.name.as_str()), (1, "everything"));
        assert_eq!(hello.queues, ["default", "other"]);
        assert!(hello.held_lease_ids.is_empty());
        assert_eq!(hello.sdk, format!("rust/{}", env!("CARGO_PKG_VERSION")));
        uuid::Uuid::try_parse(&hello.instance_id).expect("a UUID");
    }
    assert_ne!(a.instance_id, b.instance_id);
    let status = running.status();
    assert_eq!(*status.borrow(), WorkerStatus::Connecting { why: String::new() });
    drop(first);
}

#[tokio::test]
async fn a_worker_is_connected_after_the_welcome_of_every_stream() {
    let mut server = ScriptedServer::start().await;
    let running = connect(every_kind(&Gate::new()), &server);
    let mut streams = Vec::new();
    for id in ["w1", "w2"] {
        streams
            .push(server.joined(jobstream::proto::v1::Welcome { worker_id: id.to_owned(), ..terms() }).await);
    }
    assert!(wait_for("the worker is connected", running.connected()).await);
    let status = running.status().borrow().clone();
    let WorkerStatus::Connected { mut worker_ids, server_version } = status else { panic!("{status:?}") };
    worker_ids.sort();
    assert_eq!((worker_ids, server_version.as_str()), (vec!["w1".to_owned(), "w2".to_owned()], "9.9.9"));
}

#[tokio::test]
async fn a_permanent_refusal_ends_the_worker() {
    for code in [Code::InvalidArgument, Code::Unimplemented, Code::Unauthenticated, Code::PermissionDenied] {
        let mut server = ScriptedServer::start().await;
        let running = connect(every_kind(&Gate::new()), &server);
        let (stream, _) = server.next_hello().await;
        stream.fail(Status::new(code, "go away")).await;
        let end = wait_for("the worker ends", running.wait()).await;
        let WorkerEnd::Refused(status) = end else { panic!("{end:?}") };
        assert_eq!((status.code(), status.message()), (code, "go away"));
        assert_eq!(*running.status().borrow(), WorkerStatus::Ended);
        assert!(!running.connected().await);
    }
}

#[tokio::test]
async fn a_transient_refusal_is_retried_after_its_retry_delay() {
    let mut server = ScriptedServer::start().await;
    let running = connect(Worker::new().inline_handler("demo.echo", |job| Ok(job.payload)), &server);
    let (stream, before) = server.next_hello().await;
    let pause = Duration::from_millis(400);
    let details = ErrorDetails::with_retry_info(Some(pause));
    let refused = Instant::now();
    stream.fail(Status::with_error_details(Code::Unavailable, "draining", details)).await;
    let (_stream, after) = server.joined(terms()).await;
    assert!(refused.elapsed() >= pause, "{:?}", refused.elapsed());
    assert_eq!(before.instance_id, after.instance_id);
    assert!(wait_for("the worker is connected", running.connected()).await);
}

#[tokio::test]
async fn a_worker_waits_for_an_unreachable_server() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("a bound socket")
    };
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let worker = Worker::new().inline_handler("demo.echo", |job| Ok(job.payload));
    let running = worker.connect(endpoint.connect_lazy(), RemoteOptions::default()).expect("valid names");
    let mut status = running.status();
    let tried = |status: &WorkerStatus| matches!(status, WorkerStatus::Connecting { why } if !why.is_empty());
    wait_for("a connect fails", status.wait_for(tried)).await.expect("it is running");
    assert_eq!(wait_for("it stops", running.stop(Duration::from_secs(10))).await, 0);
    assert!(matches!(running.wait().await, WorkerEnd::Requested));
}
