//! Messages to the supervisor of a server: systemd, or another one with its protocol (sd_notify).

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use jobstream::engine::{Engine, LogHealth};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep_until};

/// The variables of the protocol.
const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_TIMEOUT: &str = "WATCHDOG_USEC";
const WATCHDOG_PROCESS: &str = "WATCHDOG_PID";

/// The supervisor, if there is one. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Supervisor(Option<Arc<UnixDatagram>>);

impl Supervisor {
    /// The supervisor that the environment names. One that cannot be reached is named in a warning.
    pub(super) fn of_environment() -> Self {
        let Some(address) = env::var_os(SOCKET).filter(|address| !address.is_empty()) else {
            return Self::default();
        };
        match connect(address.as_bytes()) {
            Ok(socket) => Self(Some(Arc::new(socket))),
            Err(error) => {
                tracing::warn!(?address, %error, "cannot reach the supervisor of {SOCKET}");
                Self::default()
            }
        }
    }

    /// The server accepts calls.
    pub(super) fn ready(&self, addresses: &str) {
        self.send(&format!("READY=1\nSTATUS=listening on {addresses}"));
    }

    /// The server reads its files again. `reloaded` follows.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The server has read its files.
    pub(super) fn reloaded(&self) {
        self.send("READY=1");
    }

    /// The server ends.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=draining");
    }

    /// Pings the watchdog, if there is one, twice in each of its timeouts: only while the engine answers, and its log takes
    /// records. It does not return.
    pub(super) async fn keep_watchdog(self, engine: Engine) {
        let Some(period) = watchdog_timeout().map(|timeout| timeout / 2).filter(|_| self.0.is_some()) else {
            return;
        };
        loop {
            let next = Instant::now() + period;
            let health = engine.health(period).await;
            if health.is_live() && health.log != Some(LogHealth::Slow) {
                self.send("WATCHDOG=1");
            }
            sleep_until(next).await;
        }
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::warn!(%error, "cannot send to the supervisor of {SOCKET}");
        }
    }
}

/// A socket to this address: a path, or a name in the abstract namespace after `@`. Sending does not block.
fn connect(address: &[u8]) -> io::Result<UnixDatagram> {
    let address = match address {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(address))?,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it is neither a path nor an abstract name",
            ));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The timeout of the watchdog of this process.
fn watchdog_timeout() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    if env::var_os(WATCHDOG_PROCESS).is_some() && number(WATCHDOG_PROCESS) != Some(process::id().into()) {
        return None;
    }
    number(WATCHDOG_TIMEOUT).filter(|micros| *micros > 1).map(Duration::from_micros)
}
