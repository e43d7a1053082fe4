//! The accept loop with a source that fails.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::time::timeout;

use super::*;

/// EMFILE on Linux and macOS.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// A source that fails a number of times and then accepts from a real socket.
struct Exhausted {
    failures: AtomicUsize,
    attempts: Arc<AtomicUsize>,
    listener: TcpListener,
}

impl Accept for Exhausted {
    async fn accept(&self) -> io::Result<(std::net::TcpStream, SocketAddr)> {
        self.attempts.fetch_add(1, Relaxed);
        if self.failures.load(Relaxed) > 0 {
            self.failures.fetch_sub(1, Relaxed);
            // A loop without a back-off must not block the test.
            tokio::task::yield_now().await;
            return Err(io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES));
        }
        Accept::accept(&self.listener).await
    }
}

async fn exhausted(failures: usize) -> (Exhausted, Arc<AtomicUsize>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let attempts = Arc::default();
    let source = Exhausted { failures: failures.into(), attempts: Arc::clone(&attempts), listener };
    (source, attempts, address)
}

fn listener(source: Exhausted, thread: mpsc::Sender<Accepted>) -> Listener<Exhausted> {
    let bounds = ConnectionBounds { max: 1, per_address_max: None, closing_max: 0 };
    Listener::new(source, vec![thread], bounds, Descriptors::now(), Arc::default())
}

#[tokio::test]
async fn a_full_file_table_slows_the_loop_down() {
    let (source, attempts, _) = exhausted(usize::MAX).await;
    let (thread, _sockets) = mpsc::channel(1);
    let listener = listener(source, thread);
    let ran = timeout(Duration::from_millis(300), listener.run()).await;
    assert!(ran.is_err(), "the loop ended on accept errors");
    // Back-offs of 5, 10, 20, 40, 80, 100 and 100 ms.
    let attempts = attempts.load(Relaxed);
    assert!((2..=7).contains(&attempts), "{attempts} attempts in 300 ms");
}

#[tokio::test]
async fn accepting_continues_once_descriptors_are_free() {
    let (source, _, address) = exhausted(3).await;
    let (thread, mut sockets) = mpsc::channel(1);
    let listener = listener(source, thread);
    let client = std::net::TcpStream::connect(address).expect("a listening socket");
    tokio::select! {
        () = listener.run() => panic!("the loop ended on accept errors"),
        accepted = sockets.recv() => {
            let accepted = accepted.expect("an open channel");
            assert_eq!(accepted.peer, client.local_addr().expect("a connected socket"));
        }
    }
}
