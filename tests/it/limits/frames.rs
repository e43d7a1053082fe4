//! Malformed frames and messages.

use bytes::Bytes;
use tonic::Code;

use super::{assert_untouched, bad_fields};
use crate::support::{TestServer, frame, raw_call, refused};

const SUBMIT: &str = "/jobstream.v1.JobService/Submit";
const SUBMIT_STREAM: &str = "/jobstream.v1.JobService/SubmitStream";
const WATCH: &str = "/jobstream.v1.JobService/WatchResult";
const PAUSE: &str = "/jobstream.v1.AdminService/PauseQueue";

/// SubmitRequest { job: JobSpec { kind: one byte 0xff } }.
const KIND_IS_NOT_UTF8: &[u8] = &[0x0a, 0x03, 0x12, 0x01, 0xff];

#[tokio::test]
async fn invalid_utf8_is_rejected_with_its_field() {
    let server = TestServer::start().await;
    let answer = raw_call(server.address, SUBMIT, &[], frame(0, KIND_IS_NOT_UTF8)).await;
    let status = answer.status();
    assert_eq!(bad_fields(&status), [""]);
    assert!(status.message().contains("kind") && status.message().contains("UTF-8"), "{status:?}");
    assert!(answer.http.is_success() && answer.body.is_empty());
    assert_untouched(&server).await;
}

#[tokio::test]
async fn malformed_frames_have_a_reason_on_every_type_of_call() {
    let server = TestServer::start().await;
    let valid = frame(0, &[]);
    let bodies: [(&str, Vec<u8>); 7] = [
        ("garbage", frame(0, &[0xff; 32])),
        ("a field cut short", frame(0, &[0x0a, 0x7f, 0x01])),
        (
            "a varint without end",
            frame(0, &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        ("a wrong wire type", frame(0, &[0x0d, 1, 0, 0, 0])),
        ("a compressed frame of no encoding", frame(1, &[0x0a])),
        ("an unknown flag", frame(9, &[])),
        ("a frame cut short", valid[..3].to_vec()),
    ];
    for (what, body) in bodies {
        for path in [SUBMIT, SUBMIT_STREAM, WATCH, PAUSE] {
            let status = raw_call(server.address, path, &[], body.clone()).await.status();
            assert_eq!(bad_fields(&status), [""], "{what} to {path}: {status:?}");
        }
    }
    let nothing = raw_call(server.address, SUBMIT, &[], Bytes::new()).await.status();
    assert_eq!(bad_fields(&nothing), [""]);
    assert_untouched(&server).await;
}

#[tokio::test]
async fn a_frame_with_a_length_above_the_limit_is_rejected_unread() {
    let server = TestServer::start().await;
    let announced = [&[0][..], &u32::MAX.to_be_bytes(), b"x"].concat();
    for path in [SUBMIT, SUBMIT_STREAM, WATCH, PAUSE] {
        let status = raw_call(server.address, path, &[], announced.clone()).await.status();
        let details = refused(&status, Code::InvalidArgument, "PAYLOAD_TOO_LARGE");
        assert_eq!(details.error_info().unwrap().metadata["size"], u32::MAX.to_string());
    }
    assert_untouched(&server).await;
}

#[tokio::test]
async fn a_decompression_bomb_is_rejected() {
    let server = TestServer::start().await;
    let bomb = gzip_of_zeros(64 << 20);
    assert!(bomb.len() < 1 << 20);
    let status =
        raw_call(server.address, SUBMIT, &[("grpc-encoding", "gzip")], frame(1, &bomb)).await.status();
    refused(&status, Code::InvalidArgument, "PAYLOAD_TOO_LARGE");
    assert_untouched(&server).await;
}

/// Returns compressed zeros from the gzip program, so that one test needs no crate.
fn gzip_of_zeros(bytes: usize) -> Vec<u8> {
    let command = format!("head -c {bytes} /dev/zero | gzip -9");
    std::process::Command::new("sh").args(["-c", &command]).output().expect("a shell").stdout
}

#[tokio::test]
async fn unknown_methods_and_encodings_are_unimplemented() {
    let server = TestServer::start().await;
    let call = async |path, headers: &[(&str, &str)]| {
        raw_call(server.address, path, headers, frame(0, &[])).await.status().code()
    };
    assert_eq!(call("/jobstream.v1.JobService/Explode", &[]).await, Code::Unimplemented);
    assert_eq!(call("/no.Service/Submit", &[]).await, Code::Unimplemented);
    assert_eq!(call(SUBMIT, &[("grpc-encoding", "br")]).await, Code::Unimplemented);
    assert_untouched(&server).await;
}
