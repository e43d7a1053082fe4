//! Ctrl-C and SIGTERM: the first signal shuts down gracefully, the second ends the process. A thread of its own handles
//! them, so that a blocked command cannot delay it.

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
    end_by: Option<Instant>,
}

impl Interrupts {
    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        let seen = self.seen;
        // The sender lives as long as the process.
        let _ = self.count.wait_for(|count| count.signals > seen).await;
        self.seen += 1;
    }

    /// Time left for a step of the shutdown; `None` without a deadline.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let end_by = self.count.borrow().end_by?;
        Some(end_by.saturating_duration_since(Instant::now()).saturating_sub(MARGIN))
    }
}

/// Handles Ctrl-C and SIGTERM from now on. The second signal ends the process with this exit code; with a `drain` timeout
/// the first one does so a second after the timeout at the latest.
pub(crate) fn listen(exit: Exit, drain: Option<Duration>) -> Result<Interrupts> {
    let failed = |error| Error::new(Exit::Other, format!("cannot catch signals: {error}"));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let signals = {
        let _runtime = runtime.enter();
        signals::Interrupts::listen().map_err(failed)?
    };
    let (counted, count) = watch::channel(Count::default());
    let counting = move || runtime.block_on(end_at_signals(signals, counted, drain)).end(exit);
    thread::Builder::new().name("signals".to_owned()).spawn(counting).map_err(failed)?;
    Ok(Interrupts { count, seen: 0 })
}

/// Why the process is ended.
#[derive(Debug, Clone, Copy)]
enum Why {
    Second,
    Overdue,
}

impl Why {
    fn end(self, exit: Exit) {
        if matches!(self, Self::Overdue) {
            tracing::warn!("the shutdown took too long: ended at once; no acknowledged job is lost");
        }
        stderr::flush(FLUSH_TIME_MAX);
        process::exit(exit as i32);
    }
}

/// Returns when the process must end.
async fn end_at_signals(
    mut signals: signals::Interrupts,
    counted: watch::Sender<Count>,
    drain: Option<Duration>,
) -> Why {
    signals.next().await;
    let end_by = drain.and_then(|drain| Instant::now().checked_add(drain.saturating_add(END_TIME_MAX)));
    counted.send_replace(Count { signals: 1, end_by });
    let overdue = async {
        match end_by {
            Some(end_by) => sleep_until(end_by).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signals.next() => {}
        () = overdue => return Why::Overdue,
    }
    counted.send_replace(Count { signals: 2, end_by: Some(Instant::now() + SECOND_TIME_MAX) });
    sleep(SECOND_TIME_MAX).await;
    Why::Second
}

/// Reports that the job continues without this command, and how to resume.
pub(crate) fn detached(client: &Client, job_id: JobId, resume: &str) -> Exit {
    client.output.tell(&format!("interrupted: job {job_id} goes on"));
    client.output.help(&format!("come back with `{resume}{}`", client.address.again()));
    Exit::Interrupted
}
