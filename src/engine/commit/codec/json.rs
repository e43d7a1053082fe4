//! JSON of an entry of the log, for inspection: what happened to which job, without payloads, leases and secrets.

use serde_json::{Value, json};

use super::{Entry, Part, decode};
use crate::core::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{Event, EventBody, JobId, Outcome};

/// Renders an entry of an engine's log: its time in microseconds since 1970, and its records.
///
/// Of a payload only the size is shown; leases and secrets are left out.
///
/// # Errors
///
/// `LogRefused` if a newer version wrote the entry, or if it cannot be decoded.
pub fn entry_to_json(entry: &[u8]) -> Result<Value> {
    let Entry { now, part, records } =
        decode(entry).map_err(|why| Error::new(ErrorKind::LogRefused, why.to_string()))?;
    let records: Vec<_> = records.iter().map(record).collect();
    let mut value = json!({"time_us": now.wall.as_micros(), "records": records});
    if part != Part::default() {
        value["part"] = json!(format!("{} of {}", part.number, part.count));
    }
    Ok(value)
}

fn record(record: &Record) -> Value {
    match record {
        Record::Accepted(accepted) => {
            let mut value = json!({
                "record": "accepted",
                "job_id": accepted.id.to_string(),
                "kind": accepted.job.kind.as_str(),
                "queue": accepted.job.queue.as_str(),
                "priority": accepted.job.priority,
                "payload_bytes": accepted.job.payload.bytes.len(),
                "number": accepted.number,
            });
            if let Some(owner) = &accepted.owner {
                value["owner"] = (**owner).into();
            }
            value
        }
        Record::StateChanged(changed) => {
            let mut value = event("moved", &changed.id, &changed.event);
            if let Some(running) = &changed.running {
                value["worker"] = (*running.worker).into();
            }
            value
        }
        Record::Reported(id, reported) => event("reported", id, reported),
        Record::Dropped(id, gaps) => {
            let gaps: Vec<_> = gaps.iter().map(|gap| [gap.from, gap.to]).collect();
            json!({"record": "dropped", "job_id": id.to_string(), "gaps": gaps})
        }
        Record::Removed(removed) => {
            let mut value = json!({
                "record": "removed",
                "job_id": removed.id.to_string(),
                "expire_time_us": removed.expire_time.map(|time| time.as_micros()),
            });
            if let Some((state, _)) = removed.end {
                value["state"] = state.name().into();
            }
            value
        }
        Record::QueuePaused(queue, is_paused) => {
            json!({"record": "queue_paused", "queue": **queue, "paused": is_paused})
        }
        Record::Resumed(stopped) => json!({"record": "resumed", "stopped_us": stopped.as_micros() as u64}),
        Record::Secret(_) => json!({"record": "id_key"}),
        Record::CancelDeadline(id, _) => json!({"record": "cancel_deadline", "job_id": id.to_string()}),
        Record::Offered(id, attempt) => {
            json!({"record": "offered", "job_id": id.to_string(), "attempt": attempt})
        }
        Record::ReportsTaken(instance, newest) => {
            json!({"record": "reports_taken", "instance": instance.id.to_string(), "newest": newest})
        }
    }
}

fn event(record: &str, id: &JobId, event: &Event) -> Value {
    let mut value = json!({
        "record": record,
        "job_id": id.to_string(),
        "sequence": event.sequence,
        "attempt": event.attempt,
    });
    match &event.body {
        EventBody::State(change) => {
            value["state"] = change.state.name().into();
            if let Some(failure) = &change.failure {
                value["failure"] = failure.reason.name().into();
            }
            if let Some(outcome) = &change.outcome {
                value["outcome"] = match outcome {
                    Outcome::Result(result) => json!({"result_bytes": result.bytes.len()}),
                    Outcome::Failure(failure) => json!({"failure": failure.reason.name()}),
                    Outcome::Cancellation(cancelled) => json!({"cancelled": cancelled.reason}),
                };
            }
        }
        EventBody::Progress(progress) => value["progress"] = json!({"fraction": progress.fraction}),
        EventBody::Output(output) => value["output"] = json!({"bytes": output.payload.bytes.len()}),
        EventBody::Log(log) => value["log"] = json!({"bytes": log.text.len()}),
    }
    value
}
