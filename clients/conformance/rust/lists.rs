//! The commands on many jobs and on queues: list, feed, retry, delete, batch, queues, pause, resume, purge.

use jobstream::client::{Client, FeedItem, FeedOptions, Job, JobRequest};
use jobstream::job::{ChangeFilter, JobFilter, JobState, JobView, Kind, QueueName, StateSet};
use jobstream::proto::v1;
use serde_json::{Value, json};

use crate::wire::{self, CommandError, Response};
use crate::{Command, caller};

const STATES: [JobState; 6] = [
    JobState::Scheduled,
    JobState::Queued,
    JobState::Running,
    JobState::Succeeded,
    JobState::Failed,
    JobState::Cancelled,
];

pub(crate) async fn list(client: &Client, body: &Value) -> Response {
    let limit = body["limit"].as_u64().map_or(usize::MAX, |limit| limit as usize);
    let mut jobs = client.list(&filter(body)?);
    let mut listed = Vec::new();
    while listed.len() < limit {
        let Some(job) = jobs.next().await else { break };
        listed.push(job_json(&job?));
    }
    Ok(json!({"jobs": listed}))
}

fn filter(body: &Value) -> Result<JobFilter, CommandError> {
    let named = |name: &str| body[name].as_str();
    let labels = wire::texts(&body["labels"]).map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(JobFilter {
        states: named("state").map_or(StateSet::ALL, |name| with_names(&[name])),
        kind: named("kind").map(|kind| Kind::parse("kind", kind)).transpose().map_err(wire::caller_error)?,
        queue: named("queue")
            .map(|queue| QueueName::parse("queue", queue))
            .transpose()
            .map_err(wire::caller_error)?,
        labels: labels.collect(),
        ..JobFilter::default()
    })
}

pub(crate) async fn feed(client: &Client, command: &Command) -> Response {
    let body = &command.body;
    let mut options = FeedOptions::default();
    options.after_cursor = wire::text(body, "after_cursor").to_owned();
    let mut feed = client.watch_jobs_with(&change_filter(body)?, options);
    while let Some(item) = feed.next().await {
        command.emit(match item? {
            FeedItem::Change(change) => json!({
                "type": "change", "job_id": change.job_id.to_string(), "kind": &*change.kind,
                "queue": &*change.queue, "labels": change.labels(), "event": wire::event_json(&change.event),
                "cursor": feed.cursor(),
            }),
            FeedItem::Gap { missed } => json!({"type": "gap", "missed": missed, "cursor": feed.cursor()}),
        });
    }
    Ok(json!({}))
}

fn change_filter(body: &Value) -> Result<ChangeFilter, CommandError> {
    let states = body["states"].as_array().map_or(StateSet::ALL, |names| {
        let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
        with_names(&names)
    });
    let JobFilter { kind, queue, labels, .. } = filter(body)?;
    Ok(ChangeFilter { states, kind, queue, labels })
}

fn with_names(names: &[&str]) -> StateSet {
    STATES.into_iter().filter(|state| names.contains(&state.name())).fold(StateSet::NONE, StateSet::with)
}

fn job_json(job: &JobView) -> Value {
    json!({
        "job_id": job.id.to_string(), "kind": job.spec.kind.as_str(), "queue": job.spec.queue.as_str(),
        "state": job.state.name(),
    })
}

pub(crate) async fn delete(client: &Client, body: &Value) -> Response {
    client.delete(caller::job_id(body)?).await?;
    Ok(json!({}))
}

pub(crate) async fn batch(client: &Client, body: &Value) -> Response {
    let jobs = body["jobs"].as_array().into_iter().flatten();
    let requests: Vec<JobRequest> = jobs.map(|job| caller::request(client, job)).collect::<Result<_, _>>()?;
    let answers = client.submit_all::<Value>(requests).await;
    let results = answers.into_iter().map(|answer| match answer {
        Ok(job) => submitted(&job),
        Err(error) => json!({"error": CommandError::from(error).0}),
    });
    Ok(json!({"results": results.collect::<Vec<_>>()}))
}

/// The id of a submitted job and why it waits.
pub(crate) fn submitted(job: &Job<Value>) -> Value {
    let wait_reason = job.submission().and_then(|submission| submission.wait_reason);
    json!({"job_id": job.id().to_string(), "wait_reason": wait_reason.map(|reason| reason.name())})
}

pub(crate) async fn queues(client: &Client) -> Response {
    let queues = client.queues().await?;
    Ok(json!({"queues": queues.iter().map(queue_json).collect::<Vec<_>>()}))
}

fn queue_json(queue: &v1::Queue) -> Value {
    let counts = queue.counts.unwrap_or_default();
    json!({
        "name": queue.queue, "waiting": counts.scheduled + counts.queued, "running": counts.running,
        "paused": queue.paused,
    })
}

pub(crate) async fn pause(client: &Client, body: &Value) -> Response {
    client.pause_queue(wire::text(body, "queue")).await?;
    Ok(json!({}))
}

pub(crate) async fn resume(client: &Client, body: &Value) -> Response {
    client.resume_queue(wire::text(body, "queue")).await?;
    Ok(json!({}))
}

pub(crate) async fn purge(client: &Client, body: &Value) -> Response {
    Ok(json!({"cancelled": client.purge_queue(wire::text(body, "queue")).await?}))
}
