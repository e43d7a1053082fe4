//! Where an attempt's news goes: to the engine in this process, to a server elsewhere, or to nobody.

use std::sync::Arc;

use super::rehearsal::Recorder;
use super::remote::Ledger;
use crate::core::{AttemptEnd, LeaseId, Report};
use crate::engine::Reporter;
use crate::error::Result;
use crate::job::{Log, Output, Progress};

/// The way from an attempt to whoever gave it. Cheap to clone.
#[derive(Clone)]
pub(super) enum Link {
    /// To the engine of this process.
    Engine(Reporter),
    /// To a server elsewhere.
    Remote(Arc<Ledger>),
    /// To whoever rehearses a handler.
    Recorder(Arc<Recorder>),
}

impl Link {
    // If the attempt no longer stands, its handler is being stopped anyway: progress and logs need no answer. They cannot
    // wait either: those that the disk does not keep up with are left out.

    pub(super) fn progress(&self, lease: LeaseId, progress: Progress) {
        match self {
            Self::Engine(reporter) if !reporter.has_room() => {}
            Self::Engine(reporter) => drop(reporter.report(lease, Report::Progress(progress))),
            Self::Remote(ledger) => ledger.progress(lease, progress),
            Self::Recorder(recorder) => recorder.report(Report::Progress(progress)),
        }
    }

    pub(super) fn log(&self, lease: LeaseId, log: Log) {
        match self {
            Self::Engine(reporter) if !reporter.has_room() => {}
            Self::Engine(reporter) => drop(reporter.report(lease, Report::Log(log))),
            Self::Remote(ledger) => ledger.log(lease, log),
            Self::Recorder(recorder) => recorder.report(Report::Log(log)),
        }
    }

    /// Waits for room if there is none.
    pub(super) async fn output(&self, lease: LeaseId, output: Output) -> Result<()> {
        match self {
            Self::Engine(reporter) => {
                reporter.room().await;
                reporter.report(lease, Report::Output(output))
            }
            Self::Remote(ledger) => ledger.output(lease, output).await,
            Self::Recorder(recorder) => {
                recorder.report(Report::Output(output));
                Ok(())
            }
        }
    }

    /// Ends the attempt. A lost lease was told to the handler by its stop; here it only frees the slot.
    pub(super) fn end(&self, lease: LeaseId, end: AttemptEnd) {
        match self {
            Self::Engine(reporter) => drop(reporter.end(lease, end)),
            Self::Remote(ledger) => ledger.end(lease, end),
            Self::Recorder(recorder) => recorder.end(end),
        }
    }
}
