//! An entry of the log as JSON, for people who look into one: what happened to which job, without payloads, leases and secrets.

use serde_json::{Map, Value, json};

use super::{Entry, Part, decode};
use crate::core::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{Event, EventBody, Outcome, StateChange};

/// What an entry of an engine's log says: when it was recorded, in microseconds since 1970, and its records.
///
/// Payloads are told by their bytes only, leases and secrets not at all.
///
/// # Errors
///
/// `LogRefused` if it is of a newer version or no such entry.
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
        Record::Accepted(accepted) => json!({
            "record": "accepted",
            "job_id": accepted.id.to_string(),
            "kind": accepted.job.kind.as_str(),
            "queue": accepted.job.queue.as_str(),
            "priority": accepted.job.priority,
            "payload_bytes": accepted.job.payload.bytes.len(),
            "number": accepted.number,
        }),
        Record::Moved(moved) => {
            let mut value = event("moved", &moved.id.to_string(), &moved.event);
            if let Some(running) = &moved.running {
                value.insert("worker".to_owned(), (*running.worker).into());
            }
            Value::Object(value)
        }
        Record::Reported(id, reported) => Value::Object(event("reported", &id.to_string(), reported)),
        Record::Dropped(id, ranges) => {
            let gaps: Vec<_> = ranges.iter().map(|[_, from, to]| [*from, *to]).collect();
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
        Record::CancelHastened(id, _) => json!({"record": "cancel_hastened", "job_id": id.to_string()}),
        Record::Offered(id, attempt) => {
            json!({"record": "offered", "job_id": id.to_string(), "attempt": attempt})
        }
        Record::ReportsTaken(instance, newest) => {
            json!({"record": "reports_taken", "instance": instance.to_string(), "newest": newest})
        }
    }
}

fn event(record: &str, job_id: &str, event: &Event) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("record".to_owned(), record.into());
    told.insert("job_id".to_owned(), job_id.into());
    told.insert("sequence".to_owned(), event.sequence.into());
    told.insert("attempt".to_owned(), event.attempt.into());
    let (name, value) = match &event.body {
        EventBody::State(change) => return state(told, change),
        EventBody::Progress(progress) => ("progress", json!({"fraction": progress.fraction})),
        EventBody::Output(output) => ("output", json!({"bytes": output.payload.bytes.len()})),
        EventBody::Log(log) => ("log", json!({"bytes": log.text.len()})),
    };
    told.insert(name.to_owned(), value);
    told
}

fn state(mut told: Map<String, Value>, change: &StateChange) -> Map<String, Value> {
    told.insert("state".to_owned(), change.state.name().into());
    if let Some(failure) = &change.failure {
        told.insert("failure".to_owned(), failure.reason.name().into());
    }
    let outcome = match &change.outcome {
        None => return told,
        Some(Outcome::Result(result)) => json!({"result_bytes": result.bytes.len()}),
        Some(Outcome::Failure(failure)) => json!({"failure": failure.reason.name()}),
        Some(Outcome::Cancellation(cancelled)) => json!({"cancelled": cancelled.reason}),
    };
    told.insert("outcome".to_owned(), outcome);
    told
}
