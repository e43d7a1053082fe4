//! The messages of a server to its supervisor: a real socket instead of that of systemd.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
use std::path::PathBuf;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tokio::net::UnixDatagram;

use crate::auth::Tokens;
use crate::support::{Dev, new_id, wait_for};

/// The socket of a supervisor.
pub(crate) struct Notified {
    socket: UnixDatagram,
    /// The value of NOTIFY_SOCKET.
    pub(crate) address: String,
    path: Option<PathBuf>,
}

impl Notified {
    pub(crate) fn at_path() -> Self {
        // A path of a socket has at most 108 bytes.
        let path = std::env::temp_dir().join(format!("notify-{}", new_id()));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self { socket, address: path.display().to_string(), path: Some(path) }
    }

    fn abstract_name() -> Self {
        let name = format!("notify-{}", new_id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = StdDatagram::bind_addr(&address).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        let socket = UnixDatagram::from_std(socket).expect("a socket");
        Self { socket, address: format!("@{name}"), path: None }
    }

    pub(crate) async fn next(&self) -> String {
        let mut bytes = [0; 512];
        let length = wait_for("a message", self.socket.recv(&mut bytes)).await.expect("a message");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// The next message that is no ping.
    async fn next_state(&self) -> String {
        loop {
            let message = self.next().await;
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[tokio::test]
async fn a_server_notifies_its_supervisor_from_its_start_to_its_end() {
    for notified in [Notified::at_path(), Notified::abstract_name()] {
        let script = format!("NOTIFY_SOCKET={} WATCHDOG_USEC=200000 exec \"$@\"", notified.address);
        let dev = Dev::start_in(&script, &[]).await;
        assert_eq!(notified.next().await, format!("READY=1\nSTATUS=listening on {}", dev.address));
        for _ in 0..3 {
            assert_eq!(notified.next().await, "WATCHDOG=1");
        }
        dev.signal(Signal::TERM);
        assert_eq!(notified.next_state().await, "STOPPING=1\nSTATUS=draining");
        assert_eq!(dev.end().await.0, Some(0));
    }
}

#[tokio::test]
async fn a_reload_is_notified_and_a_watchdog_of_another_process_gets_no_pings() {
    let notified = Notified::at_path();
    let mut tokens = Tokens::new();
    tokens.add("operator", &["all"], "");
    let script = format!("NOTIFY_SOCKET={} WATCHDOG_USEC=20000 WATCHDOG_PID=1 exec \"$@\"", notified.address);
    let dev = Dev::start_in(&script, &["--auth-tokens", &tokens.path()]).await;
    assert!(notified.next().await.starts_with("READY=1\n"));
    dev.signal(Signal::HUP);
    let reloading = notified.next().await;
    let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a reload");
    let now = clock_gettime(ClockId::Monotonic).tv_sec;
    let sent = micros.parse::<i64>().expect("a number") / 1_000_000;
    assert!((now - 60..=now).contains(&sent), "{sent} at {now}");
    assert_eq!(notified.next().await, "READY=1");
    dev.signal(Signal::TERM);
    assert!(notified.next().await.starts_with("STOPPING=1"));
}

#[tokio::test]
async fn a_supervisor_that_cannot_be_reached_is_a_warning() {
    let dev = Dev::start_in("NOTIFY_SOCKET=vsock:2:1234 exec \"$@\"", &[]).await;
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0));
    assert!(stderr.contains("cannot reach the supervisor of NOTIFY_SOCKET"), "{stderr}");
}
