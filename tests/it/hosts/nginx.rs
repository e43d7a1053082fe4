//! A server behind nginx that forwards the public host, with gRPC and HTTP/1.1.

use jobstream::proto::v1::SubmitRequest;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::{from_page, host};
use crate::support::{Dev, Nginx, echo, needs, refused, wait_for};

const PUBLIC: &str = "jobs.example";

async fn submit(nginx: &Nginx) -> Result<(), Status> {
    let public = format!("http://{PUBLIC}").parse().expect("a URI");
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", nginx.grpc)).expect("an address");
    let mut jobs = JobServiceClient::new(endpoint.origin(public).connect_lazy());
    let request = SubmitRequest { job: Some(echo("public")), validate_only: false };
    wait_for("Submit answers", jobs.submit(request)).await.map(drop)
}

async fn page(nginx: &Nginx, origin: &str) -> String {
    from_page(Nginx::address(nginx.http), &host(PUBLIC), Some(origin)).await
}

#[tokio::test]
async fn a_proxy_with_an_allowed_public_host_works() {
    needs!("nginx");
    let dev = Dev::start(&["--allowed-host", PUBLIC]).await;
    let nginx = Nginx::before(&dev.address).await;
    submit(&nginx).await.expect("it is accepted");
    let answer = page(&nginx, &format!("http://{PUBLIC}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = page(&nginx, "http://evil.example").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn a_proxy_with_an_unknown_host_gets_an_error_with_the_option() {
    needs!("nginx");
    let dev = Dev::start(&[]).await;
    let nginx = Nginx::before(&dev.address).await;
    let status = submit(&nginx).await.expect_err("the host is not allowed");
    refused(&status, Code::PermissionDenied, "HOST_NOT_ALLOWED");
    assert!(status.message().contains("--allowed-host jobs.example"), "{status:?}");
    let answer = page(&nginx, &format!("http://{PUBLIC}")).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    assert!(answer.contains("--allowed-host jobs.example"), "{answer}");
}
