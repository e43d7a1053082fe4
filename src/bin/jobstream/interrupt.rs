//! Ctrl-C and SIGTERM: the first lets a command end in good order, the second ends the process, whatever it is at. They
//! are counted by a thread of their own, which nothing else can hold up.

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

/// What the end may last beyond the drain that the first signal began; within a second, with all that comes after.
const END_TIME_MAX: Duration = Duration::from_millis(900);
/// What the second signal leaves for an end in good order; within 100 ms, with all that comes after.
const SECOND_TIME_MAX: Duration = Duration::from_millis(75);
/// What the last lines get to be written when the process is ended.
const FLUSH_TIME_MAX: Duration = Duration::from_millis(15);
/// Kept of the time that is left, for what comes after a wait for a slow disk.
const MARGIN: Duration = Duration::from_millis(50);

/// The signals of this process since it listens. Clones see each of them.
#[derive(Debug, Clone)]
pub(crate) struct Interrupts {
    count: watch::Receiver<Count>,
    seen: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    signals: u32,
    /// When the process is ended if it has not ended by then.
    end_by: Option<Instant>,
}

impl Interrupts {
    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let seen = self.seen;
        // The sender lives as long as the process.
        let _ = self.count.wait_for(|count| count.signals > seen).await;
        self.seen += 1;
    }

    /// How long a wait may last that the end depends on; `None` before a signal that bounds it.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let end_by = self.count.borrow().end_by?;
        Some(end_by.saturating_duration_since(Instant::now()).saturating_sub(MARGIN))
    }
}

/// Takes Ctrl-C and SIGTERM over from the system, which would end the process. It is ended with the exit code by the
/// second one, and if `drain` bounds what follows the first, a second after that at the latest.
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

/// Why a process is ended.
#[derive(Debug, Clone, Copy)]
enum Why {
    Second,
    Overdue,
}

impl Why {
    fn end(self, exit: Exit) {
        if matches!(self, Self::Overdue) {
            tracing::warn!("the end took too long: ended at once, nothing that was acknowledged is lost");
        }
        stderr::flush(FLUSH_TIME_MAX);
        process::exit(exit as i32);
    }
}

/// Returns when the process is to be ended.
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

/// Tells that the job goes on without this command, and how to come back to it.
pub(crate) fn detached(client: &Client, job_id: JobId, come_back: &str) -> Exit {
    client.output.tell(&format!("interrupted: job {job_id} goes on"));
    client.output.help(&format!("come back with `{come_back}{}`", client.address.again()));
    Exit::Interrupted
}
