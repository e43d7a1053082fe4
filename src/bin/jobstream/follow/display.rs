//! Shows a job's events: chunks on stdout; progress, logs and state changes on stderr, as a progress bar on a terminal and
//! as plain lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::watch_result_response::Message;
use jobstream::proto::v1::{
    JobEvent, JobState, Log, LogLevel, Output as Chunk, Progress, StateChange, WatchResultResponse,
};
use tokio::time::Instant;

use super::lines::{fraction, gap_line, progress_line, state_line};
use crate::error::Result;
use crate::output::style::Color;
use crate::output::table::state_color;
use crate::output::{Output, json, raw, screen};

/// Plain progress lines are at least this far apart.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The bar moves in these steps.
const BAR_STEPS: u64 = 1_000;

/// The text comes last and is cut off at the width of the terminal: a line that wraps is not redrawn as one.
const BAR: &str = "[{bar:30}] eta {eta:<4} {wide_msg}";
const SPINNER: &str = "{spinner} {wide_msg}";

const SPINNER_INTERVAL: Duration = Duration::from_millis(100);

/// Which of a job's events are written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// Chunks of output, as they are.
    Chunks,
    /// Every event, a JSON object a line.
    Events,
    /// Nothing: the end is shown later.
    Nothing,
}

/// The display of one job.
#[derive(Debug)]
pub(crate) struct EventDisplay<'a> {
    output: &'a Output,
    pub(super) stdout: Stdout,
    bar: Option<ProgressBar>,
    progress_shown: Option<Instant>,
    attempt_with_chunks: u32,
    open_line: bool,
}

impl<'a> EventDisplay<'a> {
    /// A display that has shown nothing yet.
    pub(crate) fn new(output: &'a Output, stdout: Stdout) -> Self {
        let draws = output.stderr_is_terminal && !output.quiet && stdout != Stdout::Events;
        let bar = draws.then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.set_style(spinner_style());
            bar.enable_steady_tick(SPINNER_INTERVAL);
        }
        Self { output, stdout, bar, progress_shown: None, attempt_with_chunks: 0, open_line: false }
    }

    /// Shows one message of the job's watch.
    ///
    /// # Errors
    ///
    /// If stdout cannot be written.
    pub(crate) fn message(&mut self, message: &Message) -> Result<()> {
        match message {
            Message::Heartbeat(_) => Ok(()),
            message if self.stdout == Stdout::Events => {
                let message = WatchResultResponse { message: Some(message.clone()) };
                self.output.json_line(&json::message("WatchResultResponse", &message)?)
            }
            Message::Event(event) => self.event(event),
            Message::Gap(gap) => self.notice(&gap_line(gap)),
        }
    }

    /// Removes the progress bar. Later messages are plain lines.
    ///
    /// # Errors
    ///
    /// If stdout cannot be written.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.drop_bar();
        self.close_line()
    }

    fn event(&mut self, event: &JobEvent) -> Result<()> {
        match &event.event {
            Some(Event::StateChange(change)) => self.state_change(event, change),
            Some(Event::Progress(progress)) => self.progress(progress),
            Some(Event::Output(chunk)) => self.chunk(event.attempt, chunk),
            Some(Event::Log(log)) => {
                let (color, line) = log_line(log);
                self.notice_in(color, &line)
            }
            None => Ok(()),
        }
    }

    fn state_change(&mut self, event: &JobEvent, change: &StateChange) -> Result<()> {
        let line = state_line(event, change);
        if let Some(bar) = &self.bar {
            bar.set_message(screen::clean(&line).into_owned());
            if change.state() == JobState::Running {
                bar.set_style(spinner_style());
            }
        }
        let has_line = self.bar.is_none() || change.failure.is_some();
        if change.state() == JobState::Running
            && self.attempt_with_chunks > 0
            && event.attempt > self.attempt_with_chunks
        {
            self.notice(&format!("attempt {}: the output above is void", event.attempt))?;
        }
        match has_line && change.outcome.is_none() {
            true => self.notice_in(state_color(change.state()), &line),
            false => Ok(()),
        }
    }

    fn progress(&mut self, progress: &Progress) -> Result<()> {
        let line = screen::clean(&progress_line(progress)).into_owned();
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            if let Some(fraction) = fraction(progress) {
                bar.set_length(BAR_STEPS);
                bar.set_position(steps(fraction));
                bar.set_style(bar_style());
            }
            return Ok(());
        }
        if self.progress_shown.is_some_and(|shown| shown.elapsed() < PLAIN_INTERVAL) {
            return Ok(());
        }
        self.progress_shown = Some(Instant::now());
        self.notice(&line)
    }

    fn chunk(&mut self, attempt: u32, chunk: &Chunk) -> Result<()> {
        let Some(payload) = chunk.payload.as_ref().filter(|_| self.stdout == Stdout::Chunks) else {
            return Ok(());
        };
        self.attempt_with_chunks = attempt;
        let bytes = raw::chunk(payload)?;
        if let Some(last) = bytes.last() {
            self.open_line = *last != b'\n';
        }
        // A bar and an unfinished line cannot share the screen.
        if self.output.stdout_is_terminal && self.open_line {
            self.drop_bar();
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.data(&bytes)),
            None => self.output.data(&bytes),
        }
    }

    fn drop_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Writes a line to stderr that mixes neither with the progress bar nor with an unfinished line on the same screen.
    ///
    /// # Errors
    ///
    /// If stdout cannot be written.
    pub(crate) fn notice(&mut self, line: &str) -> Result<()> {
        self.notice_in(None, line)
    }

    fn notice_in(&mut self, color: Option<Color>, line: &str) -> Result<()> {
        if self.output.quiet {
            return Ok(());
        }
        self.close_line()?;
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.notice_in(color, line)),
            None => self.output.notice_in(color, line),
        }
        Ok(())
    }

    fn close_line(&mut self) -> Result<()> {
        if self.open_line && self.output.stdout_is_terminal {
            self.open_line = false;
            return self.output.raw(b"\n");
        }
        Ok(())
    }
}

fn log_line(log: &Log) -> (Option<Color>, String) {
    let (color, level) = match log.level() {
        LogLevel::Error => (Some(Color::Red), "error"),
        LogLevel::Warn => (Some(Color::Yellow), "warn "),
        LogLevel::Debug => (Some(Color::Dim), "debug"),
        LogLevel::Info | LogLevel::Unspecified => (None, "log  "),
    };
    (color, format!("{level} | {}", log.text))
}

fn steps(fraction: f64) -> u64 {
    (fraction * BAR_STEPS as f64).round() as u64
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template(BAR)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template(SPINNER).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_a_style() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
        assert!(ProgressStyle::with_template(SPINNER).is_ok());
        assert_eq!(steps(0.4), 400);
    }
}
