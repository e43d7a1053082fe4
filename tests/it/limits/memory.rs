//! Memory of a request before it is rejected: a small multiple of its bytes for any number of elements.

use std::net::SocketAddr;

use jobstream::proto::v1;
use prost::Message;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use super::bad_fields;
use crate::support::{Dev, TestServer, frame, raw_call, refused, wait_for};

/// The memory limit per byte of a request.
const FACTOR: usize = 8;
/// The fixed memory: threads, buffers and free memory of the allocator.
const FIXED: usize = 24 << 20;

const JOBS: &str = "/jobstream.v1.JobService/";
const WORKERS: &str = "/jobstream.v1.WorkerService/";

/// Wraps a message as the field with this tag.
fn within(tag: u8, message: &[u8]) -> Vec<u8> {
    let mut outer = vec![tag];
    prost::encoding::encode_varint(message.len() as u64, &mut outer);
    outer.extend_from_slice(message);
    outer
}

fn empty(tag: u8, count: usize) -> Vec<u8> {
    [tag, 0].repeat(count)
}

/// Returns a Submit with these bytes as its JSON value.
fn submit_json(value: &[u8]) -> Vec<u8> {
    within(0x0a, &within(0x22, &within(0x1a, value)))
}

/// Returns requests of about the maximal size that would decode to hundreds of megabytes.
fn hostile() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let labels = (0..250_000).map(|number| (format!("{number:06}"), "v".to_owned())).collect();
    let labels = v1::JobSpec { kind: "k".into(), labels, ..v1::JobSpec::default() };
    let labels = v1::SubmitRequest { job: Some(labels), validate_only: false }.encode_to_vec();
    let nulls = submit_json(&within(0x32, &[0x0a, 0x02, 0x08, 0].repeat(900_000)));
    let object = within(0x0a, &within(0x2a, &within(0x0a, &[0x0a, 1, b'a', 0x12, 2, 8, 0])));
    let objects = submit_json(&within(0x32, &object.repeat(200_000)));
    let levels = (0..3_000).fold(vec![0x08, 0], |value, _| within(0x32, &within(0x0a, &value)));
    vec![
        ("BatchSubmit", "jobs", empty(0x0a, 2_000_000)),
        ("SubmitStream", "jobs", empty(0x12, 2_000_000)),
        ("Submit", "job.labels", labels),
        ("Submit", "job.payload.json", nulls),
        ("Submit", "job.payload.json", objects),
        ("Submit", "job.payload.json", submit_json(&levels)),
        ("WatchResult", "types", within(0x1a, &[1].repeat(4_000_000))),
        ("Work", "reports", empty(0x2a, 2_000_000)),
        ("Work", "accepted_lease_ids", empty(0x22, 2_000_000)),
        ("Work", "heartbeat.lease_ids", within(0x1a, &empty(0x0a, 2_000_000))),
        ("Work", "hello.kinds", within(0x0a, &empty(0x22, 2_000_000))),
        ("Report", "reports", empty(0x0a, 2_000_000)),
        ("Report", "lease_ids", empty(0x12, 2_000_000)),
        ("Lease", "kinds", empty(0x12, 2_000_000)),
    ]
}

fn path(rpc: &str) -> String {
    let service = if ["Work", "Report", "Lease"].contains(&rpc) { WORKERS } else { JOBS };
    format!("{service}{rpc}")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_memory_of_a_request_is_bounded_by_its_bytes() {
    let dev = Dev::start(&[]).await;
    let address: SocketAddr = dev.address.parse().expect("an address");
    for (rpc, field, message) in hostile() {
        let (bytes, body) = (message.len(), frame(0, &message));
        // Resets the peak.
        std::fs::write(format!("/proc/{}/clear_refs", dev.id()), "5")
            .expect("a kernel that reports the peak");
        let before = dev.memory_bytes("VmRSS");
        let status = raw_call(address, &path(rpc), &[], body).await.status();
        let taken = dev.memory_bytes("VmHWM").saturating_sub(before);
        assert_eq!(bad_fields(&status), [field], "{rpc}");
        assert!(taken <= FACTOR * bytes + FIXED, "{rpc} {field}: {taken} bytes for a request of {bytes}");
    }
}

#[tokio::test]
async fn a_rejection_before_decoding_has_count_limit_and_remedy() {
    let server = TestServer::start().await;
    let refusal = async |rpc: &str, message: Vec<u8>| {
        let status = raw_call(server.address, &path(rpc), &[], frame(0, &message)).await.status();
        let details = refused(&status, Code::InvalidArgument, "INVALID_FIELD");
        details.bad_request().expect("BadRequest").field_violations[0].description.clone()
    };
    assert_eq!(
        refusal("BatchSubmit", empty(0x0a, 2_000_000)).await,
        "has 2000000 jobs: allowed is 1 to 1000"
    );
    let reports = "has 2000000 entries, the limit is 1000: send several requests";
    assert_eq!(refusal("Report", empty(0x0a, 2_000_000)).await, reports);
    let levels = (0..3_000).fold(vec![0x08, 0], |value, _| within(0x32, &within(0x0a, &value)));
    let nested = "is nested deeper than 30 levels: send it as text with content type application/json";
    assert_eq!(refusal("Submit", submit_json(&levels)).await, nested);
    let few = (0..50).fold(vec![0x08, 0], |value, _| within(0x32, &within(0x0a, &value)));
    assert!(few.len() < 500);
    assert_eq!(refusal("Submit", submit_json(&few)).await, nested, "in a small request too");
    super::assert_untouched(&server).await;
}

#[tokio::test]
async fn a_compressed_request_is_checked_after_decompression() {
    let server = TestServer::start().await;
    let jobs = vec![v1::JobSpec::default(); 50_000];
    let mut client = server.jobs().send_compressed(CompressionEncoding::Gzip);
    let request = v1::BatchSubmitRequest { jobs, atomic: false };
    let status = wait_for("BatchSubmit answers", client.batch_submit(request)).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["jobs"]);
    assert!(status.message().contains("50000 jobs"), "{status:?}");
}
