//! The destination of an attempt's reports: the in-process engine, a remote server or a dry run.

use std::sync::Arc;

use super::dry_run::Recorder;
#[cfg(feature = "server")]
use super::engine_sink::EngineSink;
use super::remote::ReportBuffer;
use super::settled::Settled;
use crate::error::Result;
use crate::job::{AttemptEnd, LeaseId, Log, LogLevel, LogStream, Output, Progress, Report};

/// Receives the reports and the end of an attempt. Cheap to clone.
#[derive(Clone)]
pub(super) enum ReportSink {
    /// The in-process engine.
    #[cfg(feature = "server")]
    Engine(Arc<EngineSink>),
    /// A remote server.
    Remote(Arc<ReportBuffer>),
    /// A dry run.
    Recorder(Arc<Recorder>),
}

impl ReportSink {
    // Progress and log lines return no error: if the lease is lost, the handler is being stopped anyway. They do not
    // wait either. Under backpressure only the newest progress is retained, and log lines are dropped and counted.

    pub(super) fn progress(&self, lease: LeaseId, progress: Progress) {
        match self {
            #[cfg(feature = "server")]
            Self::Engine(sink) => sink.progress(lease, progress),
            Self::Remote(buffer) => buffer.progress(lease, progress),
            Self::Recorder(recorder) => recorder.report(Report::Progress(progress)),
        }
    }

    pub(super) fn log(&self, lease: LeaseId, log: Log) {
        match self {
            #[cfg(feature = "server")]
            Self::Engine(sink) => sink.log(lease, log),
            Self::Remote(buffer) => buffer.log(lease, log),
            Self::Recorder(recorder) => recorder.report(Report::Log(log)),
        }
    }

    /// Reports a chunk of output. Waits under backpressure.
    pub(super) async fn output(&self, lease: LeaseId, output: Output) -> Result<()> {
        match self {
            #[cfg(feature = "server")]
            Self::Engine(sink) => sink.output(lease, output).await,
            Self::Remote(buffer) => buffer.output(lease, output).await,
            Self::Recorder(recorder) => {
                recorder.report(Report::Output(output));
                Ok(())
            }
        }
    }

    /// Waits for the end of backpressure from the in-process engine's log. Callers that can wait use it before a log
    /// line.
    pub(super) async fn wait_for_capacity(&self) {
        #[cfg(feature = "server")]
        if let Self::Engine(sink) = self {
            sink.wait_for_capacity().await;
        }
    }

    /// Ends the attempt and frees its slot. If the lease is lost, the end has no other effect. The callbacks are called when the
    /// end is recorded: with an engine before this returns.
    pub(super) async fn end(&self, lease: LeaseId, end: AttemptEnd, settled: Settled) {
        match self {
            #[cfg(feature = "server")]
            Self::Engine(sink) if settled.is_empty() => sink.end(lease, end),
            #[cfg(feature = "server")]
            Self::Engine(sink) => settled.call(&sink.end_durably(lease, end).await),
            Self::Remote(buffer) => buffer.end(lease, end, settled),
            Self::Recorder(recorder) => {
                settled.call(&Ok(()));
                recorder.end(end);
            }
        }
    }
}

/// The log line that replaces this many dropped ones.
pub(super) fn dropped_lines(lines: u32) -> Log {
    let text = format!("{lines} log lines were dropped here: the send buffer was full");
    Log { level: LogLevel::Warn, text: text.into(), stream: LogStream::Log }
}
