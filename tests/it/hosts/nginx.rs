//! A server behind nginx that forwards the public host, with gRPC and HTTP/1.1.

use std::net::TcpListener;
use std::path::PathBuf;

use jobstream::proto::v1::SubmitRequest;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::{from_page, host};
use crate::support::{Dev, echo, refused, until, wait_for};

const PUBLIC: &str = "jobs.example";

/// A running nginx in front of a server.
struct Nginx {
    _child: Child,
    directory: PathBuf,
    /// The port for gRPC.
    grpc: u16,
    /// The port for HTTP/1.1.
    http: u16,
}

impl Nginx {
    async fn before(dev: &Dev) -> Self {
        let [grpc, http] = free_ports();
        let directory = std::env::temp_dir().join(format!("jobstream-nginx-{grpc}"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let server = &dev.address;
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr;\n\
             events {{ }}\n\
             http {{\n\
               access_log off;\n\
               client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
               uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
               server {{ listen 127.0.0.1:{grpc} http2;\n\
                 location / {{ grpc_pass grpc://{server}; grpc_set_header Host $http_host; }} }}\n\
               server {{ listen 127.0.0.1:{http};\n\
                 location / {{ proxy_pass http://{server}; proxy_set_header Host $http_host; }} }}\n\
             }}\n"
        );
        std::fs::write(directory.join("nginx.conf"), config).expect("a file");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&directory).args(["-e", "stderr", "-c", "nginx.conf"]).kill_on_drop(true);
        let child = command.spawn().expect("nginx is needed: install it (Debian: nginx-light)");
        for port in [grpc, http] {
            until("nginx listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        }
        Self { _child: child, directory, grpc, http }
    }

    async fn submit(&self) -> Result<(), Status> {
        let public = format!("http://{PUBLIC}").parse().expect("a URI");
        let nginx = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.grpc)).expect("an address");
        let mut jobs = JobServiceClient::new(nginx.origin(public).connect_lazy());
        let request = SubmitRequest { job: Some(echo("public")), validate_only: false };
        wait_for("Submit answers", jobs.submit(request)).await.map(drop)
    }

    async fn page(&self, origin: &str) -> String {
        from_page(([127, 0, 0, 1], self.http).into(), &host(PUBLIC), Some(origin)).await
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A remaining directory is harmless.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Returns two free ports. If another process takes one first, nginx reports it.
fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("a bound socket").port())
}

#[tokio::test]
async fn a_proxy_with_an_allowed_public_host_works() {
    let dev = Dev::start(&["--allowed-host", PUBLIC]).await;
    let nginx = Nginx::before(&dev).await;
    nginx.submit().await.expect("it is accepted");
    let answer = nginx.page(&format!("http://{PUBLIC}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = nginx.page("http://evil.example").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn a_proxy_with_an_unknown_host_gets_an_error_with_the_option() {
    let dev = Dev::start(&[]).await;
    let nginx = Nginx::before(&dev).await;
    let status = nginx.submit().await.expect_err("the host is not allowed");
    refused(&status, Code::PermissionDenied, "HOST_NOT_ALLOWED");
    assert!(status.message().contains("--allowed-host jobs.example"), "{status:?}");
    let answer = nginx.page(&format!("http://{PUBLIC}")).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    assert!(answer.contains("--allowed-host jobs.example"), "{answer}");
}
