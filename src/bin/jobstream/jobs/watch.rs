//! `jobstream jobs watch`: shows the state changes of all jobs as they happen.

use clap::Args;
use jobstream::client::{Feed, FeedOptions};
use jobstream::job::{ChangeFilter, JobState, Kind, QueueName, StateSet};
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::outcome::End;
use jobstream::proto::v1::watch_jobs_response::Message;
use jobstream::proto::v1::{FeedGap, JobChange, StateChange, WatchJobsResponse};

use crate::connect::{Client, ClientArgs, ReconnectArgs, retry_line};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::{self, Interrupts};
use crate::job_id;
use crate::output::style::{Color, Style};
use crate::output::table::state_color;
use crate::output::{Format, GlobalArgs, json, screen, text};
use crate::units;

/// Characters of an id on a terminal. Commands accept them.
const ID_CHARS: usize = 8;
/// Widths of the columns on a terminal. A longer text moves those after it.
const TIME_CHARS: usize = 8;
const STATE_CHARS: usize = 9;
const KIND_CHARS: usize = 16;
const QUEUE_CHARS: usize = 10;

const EXAMPLES: &str = "\
Columns: time, id, state, attempt, kind, queue, detail. A terminal shows the
last 8 characters of ids, which commands accept; a pipe gets everything, in
lines separated by tabs. With -o json or jsonl every message is a line, with
its cursor. A lost stream resumes; changes that the server no longer retains
are one line with their number. Ctrl-C ends the command, and prints the cursor
for --after on a terminal.

Examples:
  jobstream jobs watch --state failed
  jobstream jobs watch --queue mail --outcomes -o jsonl";

/// Watch the state changes of all jobs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Watch {
    /// Only changes to these states: scheduled, queued, running,
    /// succeeded, failed, cancelled
    #[arg(long = "state", value_name = "STATES", value_delimiter = ',', ignore_case = true)]
    #[arg(value_parser = super::filter::STATES, hide_possible_values = true, help_heading = "Filters")]
    states: Vec<String>,
    /// Only of this kind
    #[arg(long, help_heading = "Filters")]
    kind: Option<String>,
    /// Only in this queue
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    queue: Option<String>,
    /// Only with this label; repeatable
    #[arg(long = "label", value_name = "K=V", value_parser = units::pair, help_heading = "Filters")]
    labels: Vec<(String, String)>,
    /// Only the ends of jobs
    #[arg(long, help_heading = "Filters")]
    outcomes: bool,
    /// Continue after this cursor of an earlier watch
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[command(flatten)]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl Watch {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let filter = self.filter()?;
        let mut interrupts = interrupt::listen(Exit::Interrupted, None)?;
        let client = self.client.reconnecting(global, self.reconnect).await?;
        let mut options = FeedOptions::default();
        options.after_cursor = self.after.unwrap_or_default();
        let mut feed = client.api.watch_jobs_with(&filter, options);
        let shown = show_all(&client, &mut feed, &mut interrupts).await;
        let resume = match feed.cursor() {
            "" => None,
            cursor => Some(format!("to continue, add --after {cursor} to the same command")),
        };
        match (shown, resume) {
            (Ok(()), resume) => {
                resume.iter().for_each(|resume| client.output.tip(resume));
                Ok(Exit::Interrupted)
            }
            (Err(error), Some(resume)) if error.exit.is_temporary() => Err(error.hint(resume)),
            (Err(error), _) => Err(error),
        }
    }

    fn filter(&self) -> Result<ChangeFilter> {
        let invalid = |error: jobstream::error::Error| Error::usage(error.to_string());
        let state = |name: &String| super::filter::state(name).and_then(known_state);
        let states = match self.states.is_empty() {
            true => StateSet::ALL,
            false => self.states.iter().filter_map(state).fold(StateSet::NONE, StateSet::with),
        };
        let states = if self.outcomes { states.and(StateSet::ENDED) } else { states };
        if states == StateSet::NONE {
            return Err(no_states());
        }
        Ok(ChangeFilter {
            states,
            kind: self.kind.as_ref().map(|name| Kind::parse("--kind", name)).transpose().map_err(invalid)?,
            queue: self
                .queue
                .as_ref()
                .map(|name| QueueName::parse("--queue", name))
                .transpose()
                .map_err(invalid)?,
            labels: self.labels.iter().cloned().collect(),
        })
    }
}

/// Shows changes until an interrupt.
async fn show_all(client: &Client, feed: &mut Feed, interrupts: &mut Interrupts) -> Result<()> {
    let mut retries = client.api.retries();
    loop {
        tokio::select! {
            message = feed.next_message() => {
                let Some(message) = message else { return Ok(()) };
                show(client, &message.map_err(|error| client.error(&error))?)?;
            }
            Ok(()) = retries.changed() => {
                let line = retries.borrow_and_update().as_ref().map(retry_line);
                client.output.notice(&line.unwrap_or_default());
            }
            () = interrupts.next() => return Ok(()),
        }
    }
}

/// The error of `--outcomes` with states in which no job has ended.
fn no_states() -> Error {
    Error::usage(
        "no change matches: --outcomes shows succeeded, failed and cancelled, --state names none of them",
    )
    .hint("remove --outcomes, or name one of these states")
}

fn show(client: &Client, message: &WatchJobsResponse) -> Result<()> {
    let output = &client.output;
    match &message.message {
        Some(Message::Heartbeat(_)) | None => Ok(()),
        Some(_) if output.format.is_json() => output.json_line(&json::message("WatchJobsResponse", message)?),
        Some(Message::Gap(gap)) => {
            output.notice_in(Some(Color::Yellow), &gap_line(gap));
            Ok(())
        }
        Some(Message::Change(change)) => {
            let Some(Event::StateChange(state)) =
                change.event.as_ref().and_then(|event| event.event.as_ref())
            else {
                return Ok(());
            };
            match output.format {
                Format::Table => output.raw(format!("{}\n", aligned(output.style, change, state)).as_bytes()),
                _ => output.line(&columns(change, state).join("\t")),
            }
        }
    }
}

fn gap_line(gap: &FeedGap) -> String {
    match gap.missed {
        0 => "changes are missing: the server started again, or was not watched for a while".to_owned(),
        1 => "1 change of all jobs is missing".to_owned(),
        missed => format!("{} changes of all jobs are missing", text::count(missed)),
    }
}

/// A change as texts without control characters: time, id, state, attempt, kind, queue, detail.
fn columns(change: &JobChange, state: &StateChange) -> [String; 7] {
    let event = change.event.as_ref();
    let columns = [
        text::time(event.and_then(|event| event.time.as_ref())),
        change.job_id.clone(),
        text::state(state.state()).to_owned(),
        event.map_or(0, |event| event.attempt).to_string(),
        change.kind.clone(),
        change.queue.clone(),
        detail(state),
    ];
    columns.map(|text| screen::clean(&text).into_owned())
}

/// A change as a line for a terminal, in columns.
fn aligned(style: Style, change: &JobChange, state: &StateChange) -> String {
    let [time, id, state_name, attempt, kind, queue, detail] = columns(change, state);
    // The time of RFC 3339 without the date.
    let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time);
    let time = time.get(..TIME_CHARS).unwrap_or(time);
    let padded = format!("{state_name:STATE_CHARS$}");
    let state_name = match state_color(state.state()) {
        Some(color) => style.paint(color, &padded),
        None => padded,
    };
    let id = job_id::end(&id, ID_CHARS);
    format!("{time}  {id}  {state_name}  {attempt:>2}  {kind:KIND_CHARS$}  {queue:QUEUE_CHARS$}  {detail}")
        .trim_end()
        .to_owned()
}

/// The most important fact besides the state: the failure, the cancellation, or why the job waits.
fn detail(state: &StateChange) -> String {
    match state.outcome.as_ref().and_then(|outcome| outcome.end.as_ref()) {
        Some(End::Failure(failure)) => return text::failure(failure),
        Some(End::Cancellation(cancellation)) => return cancellation.reason.clone(),
        Some(End::Result(_)) => return String::new(),
        None => {}
    }
    match &state.failure {
        Some(failure) => format!("attempt {} failed: {}", failure.attempt, text::failure(failure)),
        None if state.cancel_requested => "cancel requested".to_owned(),
        None => text::wait_reason(state.wait_reason()).to_owned(),
    }
}

fn known_state(state: jobstream::proto::v1::JobState) -> Option<JobState> {
    use jobstream::proto::v1::JobState as Wire;
    match state {
        Wire::Unspecified => None,
        Wire::Scheduled => Some(JobState::Scheduled),
        Wire::Queued => Some(JobState::Queued),
        Wire::Running => Some(JobState::Running),
        Wire::Succeeded => Some(JobState::Succeeded),
        Wire::Failed => Some(JobState::Failed),
        Wire::Cancelled => Some(JobState::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;
    use jobstream::proto::v1::{self, Failure, FailureReason, JobEvent, Outcome};
    use prost_types::Timestamp;

    use super::*;

    fn failed() -> (JobChange, StateChange) {
        let failure = Failure { message: "boom\u{1b}[2J".to_owned(), ..Failure::default() };
        let failure = Failure { reason: FailureReason::Handler.into(), ..failure };
        let state = StateChange {
            state: v1::JobState::Failed.into(),
            outcome: Some(Outcome { end: Some(End::Failure(failure)) }),
            ..StateChange::default()
        };
        let time = Some(Timestamp { seconds: 3_661, nanos: 0 });
        let event = JobEvent { time, attempt: 2, ..JobEvent::default() };
        let change = JobChange {
            job_id: "01890000-0000-7000-8000-00000000000a".to_owned(),
            kind: "resize".to_owned(),
            queue: "media".to_owned(),
            event: Some(event),
            ..JobChange::default()
        };
        (change, state)
    }

    #[test]
    fn a_line_of_a_terminal_is_aligned_and_has_no_control_characters() {
        let (change, state) = failed();
        let line = aligned(Style::new(ColorChoice::Never, true), &change, &state);
        assert_eq!(
            line,
            "01:01:01  0000000a  FAILED      2  resize            media       HANDLER: boom\\u{1b}[2J"
        );
    }

    #[test]
    fn a_line_of_a_pipe_has_everything() {
        let (change, state) = failed();
        let [time, id, state, attempt, ..] = columns(&change, &state);
        assert_eq!((time.as_str(), id.as_str()), ("1970-01-01T01:01:01Z", change.job_id.as_str()));
        assert_eq!((state.as_str(), attempt.as_str()), ("FAILED", "2"));
    }

    #[test]
    fn a_gap_says_how_many_changes_are_missing() {
        assert_eq!(gap_line(&FeedGap { missed: 1 }), "1 change of all jobs is missing");
        assert_eq!(gap_line(&FeedGap { missed: 1_200 }), "1,200 changes of all jobs are missing");
        assert!(
            gap_line(&FeedGap { missed: 0 }).starts_with("changes are missing: the server started again")
        );
    }
}
