//! Where an attempt's news goes: to the engine in this process, to a server elsewhere, or to nobody.

use std::sync::Arc;

#[cfg(feature = "server")]
use super::pool_link::PoolLink;
use super::rehearsal::Recorder;
use super::remote::Ledger;
use crate::error::Result;
use crate::job::{AttemptEnd, LeaseId, Log, LogLevel, LogStream, Output, Progress, Report};

/// The way from an attempt to whoever gave it. Cheap to clone.
#[derive(Clone)]
pub(super) enum Link {
    /// To the engine of this process.
    #[cfg(feature = "server")]
    Engine(Arc<PoolLink>),
    /// To a server elsewhere.
    Remote(Arc<Ledger>),
    /// To a dry run of a handler.
    Recorder(Arc<Recorder>),
}

impl Link {
    // If the attempt no longer stands, its handler is being stopped anyway: progress and logs need no answer. They cannot
    // wait either: progress comes later, and of lines without room their number.

    pub(super) fn progress(&self, lease: LeaseId, progress: Progress) {
        match self {
            #[cfg(feature = "server")]
            Self::Engine(pool) => pool.progress(lease, progress),
            Self::Remote(ledger) => ledger.progress(lease, progress),
            Self::Recorder(recorder) => recorder.report(Report::Progress(progress)),
        }
    }

    pub(super) fn log(&self, lease: LeaseId, log: Log) {
        match self {
            #[cfg(feature = "server")]
            Self::Engine(pool) => pool.log(lease, log),
            Self::Remote(ledger) => ledger.log(lease, log),
            Self::Recorder(recorder) => recorder.report(Report::Log(log)),
        }
    }

    /// Waits for room if there is none.
    pub(super) async fn output(&self, lease: LeaseId, output: Output) -> Result<()> {
        match self {
            #[cfg(feature = "server")]
            Self::Engine(pool) => pool.output(lease, output).await,
            Self::Remote(ledger) => ledger.output(lease, output).await,
            Self::Recorder(recorder) => {
                recorder.report(Report::Output(output));
                Ok(())
            }
        }
    }

    /// Waits while the disk of this process's engine does not keep up, for who can wait with a log line.
    pub(super) async fn room(&self) {
        #[cfg(feature = "server")]
        if let Self::Engine(pool) = self {
            pool.room().await;
        }
    }

    /// Ends the attempt. A lost lease was told to the handler by its stop; here it only frees the slot.
    pub(super) fn end(&self, lease: LeaseId, end: AttemptEnd) {
        match self {
            #[cfg(feature = "server")]
            Self::Engine(pool) => pool.end(lease, end),
            Self::Remote(ledger) => ledger.end(lease, end),
            Self::Recorder(recorder) => recorder.end(end),
        }
    }
}

/// The line that stands for those that are missing before it.
pub(super) fn missing_lines(lines: u32) -> Log {
    let text = format!("{lines} log lines were dropped here: they came faster than they could be sent");
    Log { level: LogLevel::Warn, text: text.into(), stream: LogStream::Log }
}
