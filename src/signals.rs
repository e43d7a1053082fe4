//! SIGINT and SIGTERM. The library installs signal handlers only in [`Interrupts::listen`].

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A listener for SIGINT and SIGTERM. It receives signals from its creation on.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Installs handlers for both signals, in place of the default action, which ends the process.
    ///
    /// # Errors
    ///
    /// If the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
