//! Ctrl-C, SIGTERM and SIGHUP: the first signal shuts down gracefully, the second ends the process. A thread of its own handles
//! them, so that a blocked command cannot delay it.

use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use jobstream::job::JobId;
use jobstream::signals;
use tokio::runtime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::connect::Client;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::stderr;

/// Timeout of the shutdown after the drain timeout. With the flush of stderr the process ends within a second.
const END_TIME_MAX: Duration = Duration::from_millis(900);
/// Timeout of the shutdown after the second signal. With the flush of stderr the process ends within 100 ms.
const SECOND_TIME_MAX: Duration = Duration::from_millis(75);
/// Timeout for writing the last lines to stderr.
const FLUSH_TIME_MAX: Duration = Duration::from_millis(15);
/// Part of the time left that is reserved for the steps after a wait for a slow disk.
const MARGIN: Duration = Duration::from_millis(50);

/// The signals since the process listens for them. Every clone sees each of them.
#[derive(Debug, Clone)]
pub(crate) struct Interrupts {
    count: watch::Receiver<Count>,
    seen: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    signals: u32,
    /// The deadline of the process.
    deadline: Option<Instant>,
}

impl Interrupts {
    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        let seen = self.seen;
        // The sender is never dropped.
        let _ = self.count.wait_for(|count| count.signals > seen).await;
        self.seen += 1;
    }

    /// Time left for a step of the shutdown; `None` without a deadline.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let deadline = self.count.borrow().deadline?;
        Some(deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN))
    }
}

/// Handles Ctrl-C, SIGTERM and SIGHUP from now on. The second signal ends the process with this exit code; with a `drain` timeout
/// the first one does so a second after the timeout at the latest.
pub(crate) fn listen(exit: Exit, drain: Option<Duration>) -> Result<Interrupts> {
    start(exit, drain, signals::Interrupts::listen)
}

/// [`listen`] without SIGHUP, for a server that reloads at it.
pub(crate) fn listen_except_hangup(exit: Exit, drain: Option<Duration>) -> Result<Interrupts> {
    start(exit, drain, signals::Interrupts::listen_except_hangup)
}

fn start(
    exit: Exit,
    drain: Option<Duration>,
    listen: impl FnOnce() -> io::Result<signals::Interrupts>,
) -> Result<Interrupts> {
    let failed = |error| Error::new(Exit::Other, format!("cannot catch signals: {error}"));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let signals = {
        let _runtime = runtime.enter();
        listen().map_err(failed)?
    };
    let (sender, count) = watch::channel(Count::default());
    let handle_signals = move || runtime.block_on(end_at_signals(signals, sender, drain)).end(exit);
    thread::Builder::new().name("signals".to_owned()).spawn(handle_signals).map_err(failed)?;
    Ok(Interrupts { count, seen: 0 })
}

/// Why the process is ended.
#[derive(Debug, Clone, Copy)]
enum ExitCause {
    SecondSignal,
    Timeout,
}

impl ExitCause {
    fn end(self, exit: Exit) {
        if matches!(self, Self::Timeout) {
            tracing::warn!("the shutdown took too long: ended at once; no acknowledged job is lost");
        }
        stderr::flush(FLUSH_TIME_MAX);
        process::exit(exit as i32);
    }
}

/// Returns when the process must end.
async fn end_at_signals(
    mut signals: signals::Interrupts,
    sender: watch::Sender<Count>,
    drain: Option<Duration>,
) -> ExitCause {
    signals.next().await;
    let deadline = drain.and_then(|drain| Instant::now().checked_add(drain.saturating_add(END_TIME_MAX)));
    sender.send_replace(Count { signals: 1, deadline });
    let timeout = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signals.next() => {}
        () = timeout => return ExitCause::Timeout,
    }
    sender.send_replace(Count { signals: 2, deadline: Some(Instant::now() + SECOND_TIME_MAX) });
    sleep(SECOND_TIME_MAX).await;
    ExitCause::SecondSignal
}

/// Reports that the job continues without this command, and how to resume.
pub(crate) fn detached(client: &Client, job_id: JobId, resume: &str) -> Exit {
    client.output.report(&format!("interrupted: job {job_id} continues"));
    client.output.help(&format!("resume with `{resume}{}`", client.address.as_flag()));
    Exit::Interrupted
}
