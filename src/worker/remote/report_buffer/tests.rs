//! Tests of the report buffer: leases, bytes, and who learns of the end of an attempt.

use super::*;
use crate::job::{LogLevel, LogStream, Payload};

fn lease(number: u128) -> LeaseId {
    LeaseId::parse(&format!("{number:032x}")).unwrap()
}

const LIMITS: ServerLimits = ServerLimits { lease: Duration::from_secs(30), payload_bytes_max: 1 << 20 };

/// A resumed session with one valid lease.
fn valid(number: u128) -> Resumed {
    Resumed { valid: [lease(number)].into(), ..Resumed::default() }
}

fn hello(buffer: &ReportBuffer) -> v1::Hello {
    buffer.open_stream(v1::Hello::default());
    let Phase::SendHello(hello) = &buffer.state.lock().phase else { panic!("hello is the next message") };
    hello.clone()
}

#[tokio::test]
async fn attempt_without_lease_is_held_until_its_end_is_acknowledged() {
    let buffer = ReportBuffer::new(4);
    buffer.begin(lease(1));
    buffer.begin(lease(2));
    for _ in 0..2 {
        let hello = hello(&buffer);
        assert_eq!((hello.slots, hello.held_lease_ids.len()), (4, 2));
        buffer.resume(valid(2), LIMITS);
    }
    buffer.end(lease(1), AttemptEnd::Success(Payload::text("stale")), Settled::default());
    assert_eq!(hello(&buffer).held_lease_ids.len(), 2);
    buffer.resume(valid(2), LIMITS);
    let unacknowledged: Vec<_> =
        buffer.state.lock().reports.iter().map(|entry| entry.update.clone()).collect();
    assert_eq!(unacknowledged, [Some(AttemptUpdate::End(LOST_LEASE_END))]);
    buffer.acknowledge(1, Vec::new());
    assert_eq!(hello(&buffer).held_lease_ids, [lease(2).to_string()]);
}

#[tokio::test]
async fn discarded_and_acknowledged_reports_free_their_bytes() {
    let buffer = ReportBuffer::new(4);
    for number in [1, 2] {
        buffer.begin(lease(number));
        buffer.log(lease(number), Log { level: LogLevel::Info, text: "x".into(), stream: LogStream::Log });
    }
    assert!(buffer.free_bytes.available_permits() < BUFFER_BYTES_MAX);
    buffer.open_stream(v1::Hello::default());
    buffer.resume(valid(1), LIMITS);
    buffer.acknowledge(1, Vec::new());
    assert_eq!(buffer.free_bytes.available_permits(), BUFFER_BYTES_MAX);
    buffer.all_acknowledged().await;
}

#[tokio::test]
async fn output_without_a_lease_is_rejected() {
    let buffer = ReportBuffer::new(4);
    buffer.begin(lease(1));
    buffer.open_stream(v1::Hello::default());
    buffer.resume(Resumed::default(), LIMITS);
    let output = Output { payload: Payload::text("x"), channel: "".into() };
    let error = buffer.output(lease(1), output).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::LeaseLost);
    assert_eq!(buffer.free_bytes.available_permits(), BUFFER_BYTES_MAX);
}
