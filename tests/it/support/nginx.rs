//! nginx in front of a server.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::until;

/// A running nginx.
pub(crate) struct Nginx {
    _child: Child,
    directory: PathBuf,
    /// The port for gRPC.
    pub(crate) grpc: u16,
    /// The port for HTTP/1.1, with the public host.
    pub(crate) http: u16,
    /// The port with the defaults of nginx.
    pub(crate) defaults: u16,
    /// The port that buffers responses even if the server asks it not to.
    pub(crate) buffering: u16,
    /// The port without buffering and with kept connections to the server.
    pub(crate) kept: u16,
}

impl Nginx {
    /// Starts nginx in front of the server at this address.
    pub(crate) async fn before(server: &str) -> Self {
        Self::start(server, "").await
    }

    /// Starts nginx that answers gRPC calls without this header with HTTP status 401.
    pub(crate) async fn guarding(server: &str, name: &str, value: &str) -> Self {
        let variable = name.replace('-', "_");
        Self::start(server, &format!("if ($http_{variable} != \"{value}\") {{ return 401; }}")).await
    }

    async fn start(server: &str, guard: &str) -> Self {
        let [grpc, http, defaults, buffering, kept] = free_ports();
        let directory = std::env::temp_dir().join(format!("jobstream-nginx-{grpc}"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr;\n\
             events {{ }}\n\
             http {{\n\
               access_log off;\n\
               client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
               uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
               upstream kept {{ server {server}; keepalive 4; }}\n\
               server {{ listen 127.0.0.1:{grpc} http2;\n\
                 location / {{ {guard} grpc_pass grpc://{server}; grpc_set_header Host $http_host; }} }}\n\
               server {{ listen 127.0.0.1:{http};\n\
                 location / {{ proxy_pass http://{server}; proxy_set_header Host $http_host; }} }}\n\
               server {{ listen 127.0.0.1:{defaults};\n\
                 location / {{ proxy_pass http://{server}; }} }}\n\
               server {{ listen 127.0.0.1:{buffering};\n\
                 location / {{ proxy_pass http://{server}; proxy_ignore_headers X-Accel-Buffering; }} }}\n\
               server {{ listen 127.0.0.1:{kept}; client_max_body_size 8m;\n\
                 location / {{ proxy_pass http://kept; proxy_buffering off; proxy_http_version 1.1;\n\
                   proxy_set_header Connection \"\"; proxy_set_header Host {server}; }} }}\n\
             }}\n"
        );
        std::fs::write(directory.join("nginx.conf"), config).expect("a file");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&directory).args(["-e", "stderr", "-c", "nginx.conf"]).kill_on_drop(true);
        let child = command.spawn().expect("nginx is needed: install it (Debian: nginx-light)");
        for port in [grpc, http, defaults, buffering, kept] {
            until("nginx listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        }
        Self { _child: child, directory, grpc, http, defaults, buffering, kept }
    }

    /// The address of a port.
    pub(crate) fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A remaining directory is harmless.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Returns free ports. If another process takes one first, nginx reports it.
fn free_ports() -> [u16; 5] {
    let held = [(); 5].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("a bound socket").port())
}
