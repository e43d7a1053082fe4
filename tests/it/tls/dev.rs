//! `jobstream dev --tls`: the files that it makes, and the commands that it prints.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jobstream::server::CertificateInfo;
use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use tokio::process::Command;

use crate::support::{Dev, needs, new_id, wait_for};

const FORMER_HOSTS: [&str; 4] = ["localhost", "127.0.0.1", "::1", "former.example"];

/// A directory that the server makes. It is removed when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("a dev-tls {}", new_id())))
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("text")
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).expect("a file")
    }

    fn certificate(&self, name: &str) -> CertificateInfo {
        CertificateInfo::from_pem(&self.read(name)).expect("a certificate")
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name)).expect("a file").permissions().mode() & 0o777
    }

    /// Replaces the certificate of the server by one that ends when `change` says, with its key.
    fn replace_server(&self, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(FORMER_HOSTS.map(str::to_owned)).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(self.0.join("server.key"), key.serialize_pem()).expect("a file");
        fs::write(self.0.join("server.crt"), certificate.pem()).expect("a file");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A remaining directory in the target directory is harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn end(dev: Dev) {
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("WARN"), "{stderr}");
}

/// Runs the commands that the banner suggests.
async fn try_commands(dev: &Dev) {
    let (_, commands) = dev.banner.split_once("  Try ").expect("commands");
    let (commands, _) = commands.split_once("Ctrl-C").expect("the last line");
    let has_grpcurl = Command::new("grpcurl").arg("-version").output().await.is_ok();
    let commands: String = commands.lines().map(|line| format!("{}\n", line.trim())).collect();
    let grpcurl = commands.split_once("grpcurl").expect("a command").1.split("curl").next().expect("its end");
    let commands = match has_grpcurl {
        true => commands.clone(),
        false => commands.replace(&format!("grpcurl{grpcurl}"), ""),
    };
    let stdout = dev.sh(&format!("export LC_ALL=C\n{commands}")).await;
    let states = if has_grpcurl { 2 } else { 1 };
    assert!(stdout.matches("JOB_STATE_SUCCEEDED").count() >= states, "{stdout}");
    assert!(stdout.contains("demo.echo"), "{stdout}");
}

#[tokio::test]
async fn the_suggested_commands_reach_a_server_with_an_own_ca() {
    needs!("curl");
    let directory = Directory::new();
    let flags = ["--tls", "--tls-dir", directory.text(), "--allowed-host", "jobs.test"];
    let dev = Dev::start(&flags).await;
    assert!(dev.address.starts_with("https://127.0.0.1:"), "{}", dev.address);
    try_commands(&dev).await;
    let port = dev.address.rsplit(':').next().expect("a port");
    for host in ["localhost", "[::1]", "jobs.test"] {
        let curl = format!("curl --no-progress-meter --fail --cacert '{}/ca.crt'", directory.text());
        let resolve = format!("--connect-to '{host}:{port}:127.0.0.1:{port}'");
        dev.sh(&format!("{curl} {resolve} 'https://{host}:{port}/v1/server'")).await;
    }
    for (name, mode) in [("ca.key", 0o600), ("server.key", 0o600), ("ca.crt", 0o644), (".", 0o700)] {
        assert_eq!(directory.mode(name), mode, "{name}");
    }
    let pairs = ["ca.crt", "ca.key", "server.crt", "server.key"].map(|name| directory.read(name));
    end(dev).await;

    fs::set_permissions(directory.0.join("ca.key"), fs::Permissions::from_mode(0o644)).expect("a file");
    end(Dev::start(&flags).await).await;
    assert_eq!(pairs, ["ca.crt", "ca.key", "server.crt", "server.key"].map(|name| directory.read(name)));
    assert_eq!(directory.mode("ca.key"), 0o600);
}

#[tokio::test]
async fn certificates_are_renewed_before_they_expire_and_for_new_hosts() {
    needs!("curl");
    let directory = Directory::new();
    let flags = ["--tls", "--tls-dir", directory.text()];
    end(Dev::start(&flags).await).await;
    let ca = directory.read("ca.crt");
    assert_eq!(directory.certificate("server.crt").hosts, ["localhost", "127.0.0.1", "::1"]);

    end(Dev::start_at("127.0.0.2:0", &flags).await).await;
    assert_eq!(directory.certificate("server.crt").hosts, ["localhost", "127.0.0.1", "::1", "127.0.0.2"]);

    // Its authority is another one, so a server with it would be of no use.
    let expires = |days: i64| {
        move |params: &mut CertificateParams| {
            let now = jobstream::clock::Clock::system().now().wall.as_micros() as u64;
            let now = std::time::UNIX_EPOCH + std::time::Duration::from_micros(now);
            params.not_after = (now + std::time::Duration::from_secs(days as u64 * 86_400)).into();
        }
    };
    directory.replace_server(expires(20));
    let dev = Dev::start(&flags).await;
    try_commands(&dev).await;
    end(dev).await;
    let renewed = directory.certificate("server.crt");
    assert_eq!(renewed.hosts, FORMER_HOSTS);
    assert!(renewed.not_after.since(renewed.not_before).as_secs() > 360 * 86_400);
    assert_eq!(directory.read("ca.crt"), ca);

    // A lost CA needs a new certificate, although the former one has not expired.
    fs::remove_file(directory.0.join("ca.key")).expect("a file");
    let dev = Dev::start(&flags).await;
    try_commands(&dev).await;
    end(dev).await;
    assert_ne!(directory.read("ca.crt"), ca);
}

#[tokio::test]
async fn a_second_certificate_and_a_broken_ca_are_refused() {
    let directory = Directory::new();
    let run = async |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
        command.args(["dev", "--listen", "127.0.0.1:0"]).args(flags);
        let output = wait_for("it ends", command.output()).await.expect("it runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, stderr) = run(&["--tls", "--tls-cert", "a", "--tls-key", "b"]).await;
    assert!(code == Some(2) && stderr.contains("--tls makes a certificate, but tls.cert"), "{stderr}");
    fs::create_dir(&directory.0).expect("a directory");
    for name in ["ca.crt", "ca.key"] {
        fs::write(directory.0.join(name), "nonsense").expect("a file");
    }
    let (code, stderr) = run(&["--tls", "--tls-dir", directory.text()]).await;
    assert!(code == Some(10) && stderr.contains("ca.crt has no certificate"), "{stderr}");
    assert!(stderr.contains("--tls-dir"), "{stderr}");
    // Without a flag it is in the state directory of the user.
    let home = directory.0.join("state");
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.args(["dev", "--tls", "--listen", "192.0.2.1:1"]).env("XDG_STATE_HOME", &home);
    wait_for("it ends", command.output()).await.expect("it runs");
    assert_eq!(fs::read(home.join("jobstream/tls/ca.crt")).map(|file| file.is_empty()).ok(), Some(false));
}
