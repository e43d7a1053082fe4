//! A fault-injecting TCP proxy between a client and a server. It resets, stalls, delays and refuses connections.
//!
//! Commands take effect at once on all open and later connections. Tests wait for counters, so that
//! no test sleeps.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::wait_for;

/// A direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Towards {
    Server,
    Client,
}

/// The active faults.
#[derive(Debug, Clone, Copy)]
struct Rules {
    target: SocketAddr,
    is_refusing: bool,
    is_stalled: [bool; 2],
    delay: Duration,
    cuts: u64,
    strandings: u64,
}

/// Counters of connections and stalled bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    opened: usize,
    closed: usize,
    held: [usize; 2],
}

/// A running proxy. It closes its connections when dropped.
pub(crate) struct FaultProxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    counts: watch::Sender<Counts>,
    acceptor: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy to this address without faults.
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let rules = Rules {
            target,
            is_refusing: false,
            is_stalled: [false; 2],
            delay: Duration::ZERO,
            cuts: 0,
            strandings: 0,
        };
        let (rules, counts) = (watch::Sender::new(rules), watch::Sender::new(Counts::default()));
        let acceptor = tokio::spawn(accept(listener, rules.subscribe(), counts.clone()));
        Self { address, rules, counts, acceptor }
    }

    /// Returns the URL for clients: `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Resets all open connections on both sides. Bytes in flight are lost.
    pub(crate) fn cut(&self) {
        self.rules.send_modify(|rules| rules.cuts += 1);
    }

    /// Stalls both directions. Sockets stay open.
    pub(crate) fn stall(&self) {
        self.rules.send_modify(|rules| rules.is_stalled = [true; 2]);
    }

    /// Stalls one direction, like a half-open connection.
    pub(crate) fn stall_towards(&self, side: Towards) {
        self.rules.send_modify(|rules| rules.is_stalled[side as usize] = true);
    }

    /// Forwards stalled and later bytes.
    pub(crate) fn resume(&self) {
        self.rules.send_modify(|rules| rules.is_stalled = [false; 2]);
    }

    /// Stalls the open connections permanently. Later ones work.
    pub(crate) fn strand(&self) {
        self.rules.send_modify(|rules| rules.strandings += 1);
    }

    /// Delays each read by this time. Zero removes the delay.
    pub(crate) fn delay(&self, delay: Duration) {
        self.rules.send_modify(|rules| rules.delay = delay);
    }

    /// Resets new connections at once.
    pub(crate) fn refuse(&self) {
        self.rules.send_modify(|rules| rules.is_refusing = true);
    }

    /// Accepts new connections again.
    pub(crate) fn accept(&self) {
        self.rules.send_modify(|rules| rules.is_refusing = false);
    }

    /// Forwards new connections to another server. Open ones do not change.
    pub(crate) fn retarget(&self, target: SocketAddr) {
        self.rules.send_modify(|rules| rules.target = target);
    }

    /// Returns the number of opened connections, including refused ones.
    pub(crate) fn opened(&self) -> usize {
        self.counts.borrow().opened
    }

    /// Waits until this many connections have been opened, including refused ones.
    pub(crate) async fn connections(&self, count: usize) {
        self.reached("connections are opened", |counts| counts.opened >= count).await;
    }

    /// Waits until this many connections have ended, including refused ones.
    pub(crate) async fn closed(&self, count: usize) {
        self.reached("connections end", |counts| counts.closed >= count).await;
    }

    /// Waits until bytes towards this side are stalled.
    pub(crate) async fn stalled(&self, side: Towards) {
        self.reached("something is held back", |counts| counts.held[side as usize] > 0).await;
    }

    async fn reached(&self, what: &str, is_reached: impl FnMut(&Counts) -> bool) {
        let mut counts = self.counts.subscribe();
        wait_for(what, counts.wait_for(is_reached)).await.expect("the proxy runs");
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, rules: watch::Receiver<Rules>, counts: watch::Sender<Counts>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a listening socket");
        counts.send_modify(|counts| counts.opened += 1);
        let (rules, counts) = (rules.clone(), counts.clone());
        connections.spawn(async move {
            relay(client, rules, &counts).await;
            counts.send_modify(|counts| counts.closed += 1);
        });
    }
}

/// Forwards a connection until both sides have ended it or it is reset.
async fn relay(mut client: TcpStream, rules: watch::Receiver<Rules>, counts: &watch::Sender<Counts>) {
    let Rules { target, is_refusing, cuts, .. } = *rules.borrow();
    let server = if is_refusing { None } else { TcpStream::connect(target).await.ok() };
    let Some(mut server) = server else { return reset_when_dropped(&client) };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let relayed = async {
        tokio::join!(
            pump(from_client, to_server, Towards::Server, rules.clone(), counts),
            pump(from_server, to_client, Towards::Client, rules.clone(), counts),
        )
    };
    let mut cut = rules.clone();
    tokio::select! {
        // Checked first, so that stalled bytes are lost even if the stall ends right after the reset.
        biased;
        _ = cut.wait_for(|rules| rules.cuts > cuts) => {
            reset_when_dropped(&client);
            reset_when_dropped(&server);
        }
        _ = relayed => {}
    }
}

/// Forwards one direction until it ends.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    side: Towards,
    mut rules: watch::Receiver<Rules>,
    counts: &watch::Sender<Counts>,
) {
    let strandings = rules.borrow().strandings;
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let delay = rules.borrow().delay;
        tokio::time::sleep(delay).await;
        let is_held = |rules: &Rules| rules.is_stalled[side as usize] || rules.strandings > strandings;
        if is_held(&rules.borrow()) {
            let _held = StallGuard::new(counts, side);
            if rules.wait_for(|rules| !is_held(rules)).await.is_err() {
                return;
            }
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    // The other side may have closed.
    let _ = to.shutdown().await;
}

/// A guard that counts a stall while it exists.
struct StallGuard<'a>(&'a watch::Sender<Counts>, Towards);

impl<'a> StallGuard<'a> {
    fn new(counts: &'a watch::Sender<Counts>, side: Towards) -> Self {
        counts.send_modify(|counts| counts.held[side as usize] += 1);
        Self(counts, side)
    }
}

impl Drop for StallGuard<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|counts| counts.held[self.1 as usize] -= 1);
    }
}

fn reset_when_dropped(stream: &TcpStream) {
    // The socket may be closed.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
