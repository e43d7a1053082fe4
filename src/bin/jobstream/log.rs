//! `jobstream log`: checks, prints and copies the log of a stopped server. It does not change the log.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jobstream::engine::LostEnds;
use jobstream::error::ErrorKind;
use jobstream::job::JobId;
use jobstream::wal::{self, Options, Position, Report};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::{Format, GlobalArgs, Output};

/// Most ids of jobs that may run again in a JSON report. The report has their total number.
const IDS_IN_JSON_MAX: usize = 1_000;
/// Most of them in a text report.
const IDS_IN_TABLE_MAX: usize = 20;

const EXAMPLES: &str = "\
The server of the directory must be stopped.

Examples:
  jobstream log verify /var/lib/jobstream
  jobstream log dump /var/lib/jobstream | jq 'select(.sequence > 100)'
  jobstream log salvage /var/lib/jobstream /var/lib/jobstream-saved";

const VERIFY_EXAMPLES: &str = "\
Ends with 10 if anything acknowledged is lost, and lists each damage.

Examples:
  jobstream log verify /var/lib/jobstream";

const DUMP_EXAMPLES: &str = "\
One JSON object a line: where the entry is, and what it recorded. Payloads are
left out. A gap in the sequences is where something is lost.

Examples:
  jobstream log dump /var/lib/jobstream | tail -1";

const SALVAGE_EXAMPLES: &str = "\
What was lost is only in the report: store it, and do not delete DIR. Jobs that
may run again, because their end may be in a lost entry, are counted and named
in it: the first 20, with -o json the first 1,000.

Examples:
  jobstream log salvage /var/lib/jobstream /var/lib/jobstream-saved";

/// Check, print and copy the log of a stopped server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Log {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check a log for damage
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        /// Directory of the log
        directory: PathBuf,
        /// json, jsonl or table
        #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
        output: Option<Format>,
    },
    /// Print every entry of a log
    #[command(after_help = DUMP_EXAMPLES)]
    Dump {
        /// Directory of the log
        directory: PathBuf,
    },
    /// Copy every undamaged entry to a new log
    #[command(after_help = SALVAGE_EXAMPLES)]
    Salvage {
        /// Directory of the log
        directory: PathBuf,
        /// Directory of the new log; created if missing
        new: PathBuf,
        /// json, jsonl or table
        #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
        output: Option<Format>,
    },
}

impl Log {
    /// Runs the verb.
    pub(crate) fn run(self, global: GlobalArgs) -> Result<Exit> {
        match self.verb {
            Verb::Verify { directory, output } => {
                show_report(&Output::new(global, output), &wal::verify(&directory).map_err(log_error)?, None)
            }
            Verb::Dump { directory } => dump(&Output::new(global, None), &directory),
            Verb::Salvage { directory, new, output } => {
                let output = Output::new(global, output);
                let salvage = wal::salvage(&directory, &new, &Options::default()).map_err(log_error)?;
                let may_run_again = may_run_again(&directory, &salvage.report)?;
                let saved = Salvaged { entries: salvage.entries, may_run_again };
                show_report(&output, &salvage.report, Some(&saved))
            }
        }
    }
}

fn dump(output: &Output, directory: &Path) -> Result<Exit> {
    let mut failed = None;
    let report = wal::dump(directory, |position, sequence, entry| {
        output.json_line(&entry_json(position, sequence, entry)).map_err(|error| {
            failed = Some(error);
            jobstream::error::Error::new(ErrorKind::Internal, "stdout is closed")
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let report = report.map_err(log_error)?;
    report.damages.iter().for_each(|damage| output.report(&format!("damaged: {}", describe(damage))));
    Ok(exit(&report))
}

fn entry_json(position: Position, sequence: u64, entry: &[u8]) -> Value {
    let location = json!({"sequence": sequence, "segment": position.segment, "offset": position.offset, "bytes": entry.len()});
    let content = jobstream::engine::entry_to_json(entry)
        .unwrap_or_else(|error| json!({"unreadable": error.to_string()}));
    let parts = [location, content].into_iter().filter_map(|part| part.as_object().cloned());
    Value::Object(parts.flatten().collect())
}

/// The result of a salvage.
struct Salvaged {
    entries: u64,
    /// Jobs that run again on the new log because their ends may be lost.
    may_run_again: Vec<JobId>,
}

/// The jobs whose ends may be lost. An undamaged log is not read a second time.
fn may_run_again(directory: &Path, report: &Report) -> Result<Vec<JobId>> {
    if report.damages.is_empty() {
        return Ok(Vec::new());
    }
    let mut ends = LostEnds::default();
    let add = |_, sequence, entry: &[u8]| {
        ends.add(sequence, entry);
        Ok(())
    };
    let next_sequence = wal::dump(directory, add).map_err(log_error)?.next_sequence;
    Ok(ends.into_jobs(next_sequence))
}

/// Reports the state of a log, and how many entries were copied.
fn show_report(output: &Output, report: &Report, saved: Option<&Salvaged>) -> Result<Exit> {
    let value = || {
        let damages = report.damages.iter().map(|damage| {
            json!({
                "file": damage.file.display().to_string(),
                "offset": damage.offset,
                "entries_lost": damage.entries_lost,
                "message": damage.message,
            })
        });
        let mut value = json!({
            "segments": report.segments.len(),
            "bytes": bytes(report),
            "entries": report.entries,
            "entry_bytes": report.entry_bytes,
            "is_closed": report.is_closed,
            "is_torn": report.is_torn,
            "damages": damages.collect::<Vec<_>>(),
            "saved": saved.map(|saved| saved.entries),
        });
        if let Some(Salvaged { may_run_again, .. }) = saved {
            let ids = may_run_again.iter().take(IDS_IN_JSON_MAX).map(ToString::to_string);
            let ids: Vec<_> = ids.collect();
            value["may_run_again"] = json!({"count": may_run_again.len(), "job_ids": ids});
        }
        Ok(value)
    };
    let mut pairs = vec![
        ("segments", report.segments.len().to_string().into()),
        ("bytes", bytes(report).to_string().into()),
        ("entries", report.entries.to_string().into()),
        ("entry bytes", report.entry_bytes.to_string().into()),
        ("ended", ended(report).into()),
        ("damages", report.damages.len().to_string().into()),
    ];
    pairs.extend(report.damages.iter().map(|damage| ("damaged", describe(damage).into())));
    if let Some(Salvaged { entries, may_run_again }) = saved {
        pairs.push(("saved", entries.to_string().into()));
        pairs.push(("may run again", may_run_again.len().to_string().into()));
        let ids = may_run_again.iter().take(IDS_IN_TABLE_MAX);
        pairs.extend(ids.map(|id| ("may run again", id.to_string().into())));
    }
    output.object(&pairs, value)?;
    Ok(exit(report))
}

fn bytes(report: &Report) -> u64 {
    report.segments.iter().map(|segment| segment.bytes).sum()
}

fn ended(report: &Report) -> &'static str {
    match (report.is_closed, report.is_torn) {
        (true, _) => "by a clean shutdown",
        (false, true) => "by a crash, with a torn batch that was not acknowledged",
        (false, false) => "by a crash",
    }
}

fn describe(damage: &wal::Damage) -> String {
    let wal::Damage { file, offset, entries_lost, message } = damage;
    format!("{}, byte {offset}: {message}; at least {entries_lost} entries lost", file.display())
}

fn exit(report: &Report) -> Exit {
    if report.damages.is_empty() { Exit::Ok } else { Exit::Other }
}

fn log_error(error: jobstream::error::Error) -> Error {
    Error::new(Exit::Other, error.to_string())
}
