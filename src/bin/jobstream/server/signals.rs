//! Signals: the first SIGINT or SIGTERM drains, the second ends at once.

use std::io;

use jobstream::server::Shutdown;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Has signals end the server from now on.
pub(super) fn listen(shutdown: Shutdown) -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        next(&mut interrupt, &mut terminate).await;
        tracing::info!("draining: running jobs may finish; another signal ends at once");
        shutdown.graceful.cancel();
        next(&mut interrupt, &mut terminate).await;
        shutdown.now.cancel();
    });
    Ok(())
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
