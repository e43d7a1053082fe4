//! `--http` and `[http.KIND]` of the binary, in `dev`, `serve` and `worker`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use rustix::process::Signal;
use tokio::process::Command;

use super::endpoint::{Endpoint, response};
use crate::support::{Dev, Gate, Remote, Served, new_id, send, wait_for};

/// An endpoint that returns its input in upper case, and the header `x-team` after it.
pub(super) async fn upper() -> Endpoint {
    Endpoint::new(|request| async move {
        let header = |name: &str| {
            let value = request.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
            value.unwrap_or_default()
        };
        let text = String::from_utf8(request.body().to_vec()).expect("text").to_uppercase();
        let signatures = header("webhook-signature").split_whitespace().count();
        response(200, "text/plain", format!("{text} {} {signatures}", header("x-team")))
    })
    .await
}

/// Writes a file. Returns its path.
pub(super) fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", new_id()));
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

async fn jobstream(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    wait_for("the command ends", command.args(args).kill_on_drop(true).output()).await.expect("it runs")
}

#[tokio::test]
async fn dev_sends_jobs_to_an_endpoint_and_signs_them() {
    let endpoint = upper().await;
    let secrets =
        file("secrets", "# rotated\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\na raw secret of 24 bytes\n");
    let flag = format!("upper={}", endpoint.url("/"));
    let dev = Dev::start(&["--http", &flag, "--http-secret-file", &secrets]).await;
    assert!(dev.banner.contains("upper"), "{}", dev.banner);
    assert_eq!(dev.sh("jobstream run upper --text hello").await.trim(), "HELLO  2");
}

#[tokio::test]
async fn a_secret_file_that_others_can_read_is_used_with_a_warning() {
    let secrets = file("secrets", "a raw secret of 24 bytes\n");
    let set_mode =
        |mode| std::fs::set_permissions(&secrets, Permissions::from_mode(mode)).expect("it is ours");
    set_mode(0o644);
    let warning =
        format!("the secret file {secrets} has mode 644, other users can use it: run chmod 600 {secrets}");
    let flags = ["--http", "a=http://h/", "--http", "b=http://h/", "--http-secret-file", &secrets];
    let checked = jobstream(&[&["config", "check"][..], &flags].concat()).await;
    let stderr = String::from_utf8(checked.stderr).expect("text");
    assert_eq!((checked.status.code(), stderr), (Some(0), format!("warning: {warning}\n")));
    let mut worker = Remote::start("127.0.0.1:1", &flags);
    assert_eq!(worker.wait_for_line("secret file").await, format!("warning: {warning}"));
    set_mode(0o600);
    let config = format!("listen = '127.0.0.1:0'\n[http.a]\nurl = 'http://h/'\nsecret_file = '{secrets}'\n");
    let mut server = Served::start(&config).await;
    set_mode(0o644);
    server.process.signal(Signal::HUP);
    let line = server.process.wait_for_line("secret file").await;
    assert!(line.contains(" WARN ") && line.ends_with(&warning), "{line}");
    server.process.wait_for_line("SIGHUP: nothing has changed").await;
}

#[tokio::test]
async fn serve_reads_endpoints_from_its_config() {
    let endpoint = upper().await;
    let config = format!(
        "[http.upper]\nurl = '{}'\nslots = 3\nheaders = {{ x-team = 'images' }}\n",
        endpoint.url("/")
    );
    let config = file("http.toml", &config);
    let printed = jobstream(&["serve", "--config", &config, "--print-config"]).await;
    let printed = file("again.toml", &String::from_utf8(printed.stdout).expect("text"));
    let again = jobstream(&["serve", "--config", &printed, "--print-config"]).await;
    assert_eq!(
        String::from_utf8(again.stdout).expect("text"),
        std::fs::read_to_string(&printed).expect("a file")
    );

    let dev = Dev::start(&[]).await;
    let _worker = {
        let text = std::fs::read_to_string(&config).expect("a file");
        Remote::connected(&dev, &["--config", &file("worker.toml", &text)]).await
    };
    assert_eq!(dev.sh("jobstream run upper --text hello").await.trim(), "HELLO images 0");
}

#[tokio::test]
async fn a_draining_worker_waits_for_the_response() {
    let gate = Gate::new();
    let handler = gate.clone();
    let endpoint = Endpoint::new(move |_| {
        let gate = handler.clone();
        async move {
            gate.pass().await;
            response(200, "text/plain", "late")
        }
    });
    let endpoint = endpoint.await;
    let dev = Dev::start(&[]).await;
    let mut worker = Remote::connected(&dev, &["--http", &format!("slow={}", endpoint.url("/"))]).await;
    let id = dev.sh("jobstream submit slow").await;
    gate.arrival().await;
    send(&worker.child, Signal::TERM);
    worker.wait_for_line("draining").await;
    gate.open(1);
    assert_eq!(dev.sh(&format!("jobstream result --wait {}", id.trim())).await.trim(), "late");
    assert_eq!(worker.ended().await, Some(0));
}

#[tokio::test]
async fn invalid_endpoints_are_errors_at_the_start() {
    let short = file("short", "hunter2\n");
    let empty = file("empty", "# none\n");
    let no_pem = file("no.pem", "not a certificate\n");
    let reserved = file("reserved.toml", "[http.a]\nurl = 'http://h/'\nheaders = { content-length = '1' }\n");
    let authorities = file("ca.toml", &format!("[http.a]\nurl = 'https://h/'\nca_file = '{no_pem}'\n"));
    let no_certificate = format!("{no_pem}: the file of the authorities has no certificate in PEM format");
    let cases: [(&[&str], &str); 13] = [
        (&["dev", "--http", "a"], "write kind=URL"),
        (&["dev", "--http", "a=ftp://h/"], "not http or https"),
        (&["dev", "--http", "a=h:9000"], "no scheme"),
        (&["serve", "--http", "a=http://u:p@h/"], "user information"),
        (&["worker", "--http", "a b=http://h/"], "has a character outside"),
        (&["serve", "--http", "a=http://h/", "--http", "a=http://i/"], "names kind a twice"),
        (&["dev", "--http", "a=http://h/", "--exec", "a=cat"], "kind a has a program and an HTTP endpoint"),
        (&["dev", "--http", "a=http://h/", "--http-secret-file", &short], "has 7 bytes, at least 24"),
        (&["dev", "--http", "a=http://h/", "--http-secret-file", &empty], "has no secret"),
        (&["dev", "--http", "a=http://h/", "--http-secret-file", "/no/file"], "cannot read /no/file"),
        (&["worker", "--config", &reserved], "\"content-length\" cannot be set"),
        (&["worker", "--config", &authorities], &no_certificate),
        (&["worker"], "--http"),
    ];
    for (args, expected) in cases {
        let listen: &[&str] = if args[0] == "worker" { &[] } else { &["--listen", "127.0.0.1:0"] };
        let output = jobstream(&[args, listen].concat()).await;
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(expected) && !stderr.contains("hunter2"), "{args:?}: {stderr}");
    }
}
