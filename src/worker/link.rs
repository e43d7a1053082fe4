//! Where an attempt's news goes: to the engine in this process, or to a server elsewhere.

use std::sync::Arc;

use super::remote::Ledger;
use crate::core::{AttemptEnd, LeaseId, Report};
use crate::engine::Reporter;
use crate::error::Result;
use crate::job::{JobId, Log, Output, Progress};

/// The way from an attempt to whoever gave it. Cheap to clone.
#[derive(Clone)]
pub(super) enum Link {
    /// To the engine of this process.
    Engine(Reporter),
    /// To a server elsewhere.
    Remote(Arc<Ledger>),
}

/// Which attempt news is about.
pub(super) type About = (JobId, LeaseId);

impl Link {
    // If the attempt no longer stands, its handler is being stopped anyway: progress and logs need no answer.

    pub(super) fn progress(&self, (job, lease): About, progress: Progress) {
        match self {
            Self::Engine(reporter) => drop(reporter.report(job, lease, Report::Progress(progress))),
            Self::Remote(ledger) => ledger.progress(lease, progress),
        }
    }

    pub(super) fn log(&self, (job, lease): About, log: Log) {
        match self {
            Self::Engine(reporter) => drop(reporter.report(job, lease, Report::Log(log))),
            Self::Remote(ledger) => ledger.log(lease, log),
        }
    }

    /// Waits for room if there is none.
    pub(super) async fn output(&self, (job, lease): About, output: Output) -> Result<()> {
        match self {
            Self::Engine(reporter) => reporter.report(job, lease, Report::Output(output)),
            Self::Remote(ledger) => ledger.output(lease, output).await,
        }
    }

    /// Ends the attempt. A lost lease was told to the handler by its stop; here it only frees the slot.
    pub(super) fn end(&self, (job, lease): About, end: AttemptEnd) {
        match self {
            Self::Engine(reporter) => drop(reporter.end(job, lease, end)),
            Self::Remote(ledger) => ledger.end(lease, end),
        }
    }
}
