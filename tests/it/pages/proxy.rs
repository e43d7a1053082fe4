//! The nginx of docs/operations.md in front of a server with tokens.

use std::net::TcpListener;
use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{Directory, blocks, has_grpcurl, page, run_blocks};
use crate::support::until;

/// Starts the nginx of the page in front of the server at this port. Returns the process and its port.
async fn nginx(directory: &Directory, server: &str) -> (Child, u16) {
    let text = page("docs/operations.md");
    let (_, block) = blocks(&text).find(|(language, _)| *language == "nginx").expect("a block");
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("an address").port();
    let block = block
        .replace("listen 443", &format!("listen 127.0.0.1:{port}"))
        .replace("127.0.0.1:7070", &format!("127.0.0.1:{server}"));
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {{ }}\nhttp {{\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n{block}\n}}\n"
    );
    std::fs::write(directory.0.join("nginx.conf"), config).expect("a file");
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&directory.0).args(["-e", "stderr", "-c", "nginx.conf"]).kill_on_drop(true);
    drop(free);
    let child =
        command.stderr(Stdio::inherit()).spawn().expect("nginx is needed: install it (Debian: nginx-light)");
    until("nginx listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    (child, port)
}

#[tokio::test]
async fn a_server_with_tokens_works_behind_the_nginx_of_the_page() {
    if !has_grpcurl().await {
        println!("no grpcurl: skipped");
        return;
    }
    let directory = Directory::new();
    let of_tls = run_blocks("docs/tls.md", &page("docs/tls.md"));
    let authority = of_tls.iter().find(|block| block.contains("jobstream CA")).expect("the authority");
    directory.sh(&authority.replace("DNS:localhost", "DNS:jobs.example.com")).await;
    let of_access = run_blocks("docs/authentication.md", &page("docs/authentication.md"));
    directory.sh(of_access.iter().find(|block| block.contains("token new")).expect("tokens")).await;
    let of_page = run_blocks("docs/operations.md", &page("docs/operations.md"));
    let serve = of_page.iter().find(|block| block.contains("jobs.example.com")).expect("the server");
    let serve = serve.replace("serve", "serve --listen localhost:0 --demo");
    let (_server, server_port) = directory.serve(&serve, "7070").await;
    let (_nginx, port) = nginx(&directory, &server_port).await;

    let script = format!(
        r#"
        base=https://jobs.example.com:{port}
        printf 'authorization: Bearer %s' "$(cat ops.token)" > ops.header
        curl() {{ command curl -s --cacert ca.crt --resolve jobs.example.com:{port}:127.0.0.1 "$@"; }}
        curl -o /dev/null -w '%{{http_code}} %header{{www-authenticate}}\n' $base/v1/whoami
        curl -H @ops.header --json '{{"kind": "demo.count"}}' "$base/v1/jobs?wait=30s"
        id=$(curl -H @ops.header --json '{{"kind": "demo.count"}}' $base/v1/jobs | jq -r .jobId)
        link=$(curl -H @ops.header --json '{{"jobId": "'$id'"}}' $base/v1/tokens | jq -r .token)
        curl --no-buffer "$base/v1/jobs/$id/events?access_token=$link"
        export TOKEN=$(cat ops.token)
        grpcurl -cacert ca.crt -authority jobs.example.com -expand-headers -H 'authorization: Bearer ${{TOKEN}}'           -d '{{"job": {{"kind": "demo.count"}}}}' localhost:{port} jobstream.v1.JobService/Run
        "#
    );
    let stdout = directory.sh(&script).await;
    assert!(stdout.starts_with("401 Bearer\n"), "{stdout}");
    assert_eq!(stdout.matches("JOB_STATE_SUCCEEDED").count(), 3, "HTTP, events, gRPC: {stdout}");
    let log = std::fs::read_to_string(directory.0.join("access.log")).expect("the log of nginx");
    assert!(log.contains("/events\" 200") && !log.contains("jsm_"), "{log}");
}
