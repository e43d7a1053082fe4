//! Health and reflection.

use std::collections::BTreeSet;

use jobstream::proto::DESCRIPTORS;
use jobstream::proto::v1::worker_service_client::WorkerServiceClient;
use jobstream::proto::v1::{LeaseRequest, ListJobsRequest, ListQueuesRequest};
use prost::Message;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::{TestServer, wait_for};

const OURS: [&str; 2] = ["jobstream.v1.JobService", "jobstream.v1.AdminService"];
const ALL: [&str; 5] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "jobstream.v1.AdminService",
    "jobstream.v1.JobService",
];

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn the_server_and_each_service_are_serving() {
    let server = TestServer::start().await;
    let mut health = HealthClient::new(server.channel());
    for service in ["", OURS[0], OURS[1]] {
        let answer = wait_for("Check answers", health.check(of(service))).await.unwrap();
        assert_eq!(answer.get_ref().status(), ServingStatus::Serving, "{service:?}");
    }
    let status = wait_for("Check answers", health.check(of("no.Service"))).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn every_service_reads_gzip() {
    let server = TestServer::start().await;
    let gzip = CompressionEncoding::Gzip;
    let mut health = HealthClient::new(server.channel()).send_compressed(gzip);
    let answer = wait_for("Check answers", health.check(of(""))).await.unwrap();
    assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    let mut watch = wait_for("Watch begins", health.watch(of(""))).await.unwrap().into_inner();
    let first = wait_for("its health", watch.message()).await.unwrap().expect("an answer");
    assert_eq!(first.status(), ServingStatus::Serving);

    let mut new =
        v1::server_reflection_client::ServerReflectionClient::new(server.channel()).send_compressed(gzip);
    let request = v1::ServerReflectionRequest {
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut answers =
        new.server_reflection_info(tokio_stream::once(request)).await.expect("a stream").into_inner();
    wait_for("reflection answers", answers.next()).await.expect("an answer").expect("no error");
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel())
        .send_compressed(gzip);
    let request = v1alpha::ServerReflectionRequest {
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
        ..Default::default()
    };
    let mut answers =
        old.server_reflection_info(tokio_stream::once(request)).await.expect("a stream").into_inner();
    wait_for("reflection answers", answers.next()).await.expect("an answer").expect("no error");

    let mut jobs = server.jobs().send_compressed(gzip);
    wait_for("ListJobs answers", jobs.list_jobs(ListJobsRequest::default())).await.expect("an answer");
    let mut admin = server.admin().send_compressed(gzip);
    wait_for("ListQueues answers", admin.list_queues(ListQueuesRequest::default())).await.expect("an answer");
    let mut workers = WorkerServiceClient::new(server.channel()).send_compressed(gzip);
    let request = LeaseRequest { name: "w".into(), kinds: vec!["k".into()], ..Default::default() };
    wait_for("Lease answers", workers.lease(request)).await.expect("an answer");
}

#[tokio::test]
async fn health_watches_report_the_shutdown() {
    let server = TestServer::start().await;
    let mut health = HealthClient::new(server.channel());
    let mut watches = Vec::new();
    for service in ["", OURS[0], OURS[1]] {
        let mut stream = wait_for("Watch begins", health.watch(of(service))).await.unwrap().into_inner();
        let first = wait_for("its health", stream.message()).await.unwrap().expect("an answer");
        assert_eq!(first.status(), ServingStatus::Serving, "{service:?}");
        watches.push(stream);
    }
    server.shutdown.graceful.cancel();
    for stream in &mut watches {
        let last = wait_for("its health", stream.message()).await.unwrap().expect("an answer");
        assert_eq!(last.status(), ServingStatus::NotServing);
    }
}

/// Lists the services with both versions of reflection.
async fn listed_services(server: &TestServer) -> [BTreeSet<String>; 2] {
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(server.channel());
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let answer = wait_for("reflection answers", answers.into_inner().next())
        .await
        .expect("an answer")
        .expect("no error");
    let Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(new)) =
        answer.message_response
    else {
        panic!("no list")
    };
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel());
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let answer = wait_for("reflection answers", answers.into_inner().next())
        .await
        .expect("an answer")
        .expect("no error");
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(old)) =
        answer.message_response
    else {
        panic!("no list")
    };
    [
        new.service.into_iter().map(|one| one.name).collect(),
        old.service.into_iter().map(|one| one.name).collect(),
    ]
}

#[tokio::test]
async fn both_reflections_list_every_service() {
    let server = TestServer::start().await;
    let [new, old] = listed_services(&server).await;
    for service in ALL {
        assert!(new.contains(service), "{service} is not in {new:?}");
        assert!(old.contains(service), "{service} is not in {old:?}");
    }
}

#[tokio::test]
async fn reflection_returns_the_file_of_a_symbol() {
    let server = TestServer::start().await;
    let file = async |symbol: &str| {
        let request = v1::server_reflection_request::MessageRequest::FileContainingSymbol(symbol.to_owned());
        let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        let mut client = v1::server_reflection_client::ServerReflectionClient::new(server.channel());
        let answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
        let answer = wait_for("reflection answers", answers.into_inner().next()).await.unwrap().unwrap();
        match answer.message_response {
            Some(v1::server_reflection_response::MessageResponse::FileDescriptorResponse(file)) => file,
            other => panic!("no file for {symbol}: {other:?}"),
        }
    };
    for symbol in ["jobstream.v1.JobService", "jobstream.v1.Payload", "google.rpc.ErrorInfo"] {
        let file = file(symbol).await;
        let file = prost_types::FileDescriptorProto::decode(&file.file_descriptor_proto[0][..]).unwrap();
        assert!(symbol.starts_with(file.package()), "{symbol} is listed in {}", file.name());
    }
    let whole = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    assert!(whole.file.iter().any(|file| file.name() == "jobstream/v1/job_service.proto"));
}
