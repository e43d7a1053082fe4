//! SIGINT, SIGTERM and SIGHUP. The library installs signal handlers only in [`Interrupts::listen`].

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A listener for SIGINT, SIGTERM and SIGHUP. It receives signals from its creation on.
///
/// Only the first SIGHUP counts: a terminal that closes may send several. A SIGHUP that is ignored at the start, as under
/// `nohup`, stays ignored.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Interrupts {
    /// Installs handlers for the signals, in place of the default action, which ends the process.
    ///
    /// # Errors
    ///
    /// If the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        let Hangups(hangup) = Hangups::listen()?;
        Ok(Self { hangup, ..Self::listen_except_hangup()? })
    }

    /// [`Interrupts::listen`] without SIGHUP, for a program that reloads at it: see [`Hangups`].
    ///
    /// # Errors
    ///
    /// As [`Interrupts::listen`].
    pub fn listen_except_hangup() -> io::Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)?, hangup: None })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = received(&mut self.hangup) => self.hangup = None,
        }
    }
}

/// A listener for SIGHUP alone. A SIGHUP that is ignored at the start, as under `nohup`, stays ignored.
#[derive(Debug)]
pub struct Hangups(Option<Signal>);

impl Hangups {
    /// Installs a handler for the signal, in place of the default action, which ends the process.
    ///
    /// # Errors
    ///
    /// If the handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        match is_ignored(SignalKind::hangup()) {
            true => Ok(Self(None)),
            false => Ok(Self(Some(signal(SignalKind::hangup())?))),
        }
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        received(&mut self.0).await;
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether this process ignores a signal, by its bit in the mask of `/proc/self/status`.
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal.as_raw_value() - 1)) != 0
}
