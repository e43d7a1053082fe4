//! Holds what a server says in the end against what it said before: what is wrong, in words, job by job.
//!
//! It only compares. Who fills the journal, and what happened to the server meanwhile, is not its business.

use std::collections::BTreeMap;

use jobstream::proto::v1;

use super::journal::{Journal, Story, end_of};

/// Breaches that are told of a job: more say nothing new.
const TOLD_MAX: usize = 3;
/// The kind that reports progress, of which only the newest is kept.
const REPORTS_PROGRESS: &str = "demo.count";

/// All that a server says of one job.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) job: v1::Job,
    pub(crate) result: v1::GetResultResponse,
    pub(crate) events: Vec<v1::JobEvent>,
}

/// What is wrong. Jobs are run at most `runs_max` times each.
pub(crate) fn check(journal: &Journal, found: &BTreeMap<String, Found>, runs_max: usize) -> Vec<String> {
    let unknown = found.keys().filter(|id| !journal.stories.contains_key(*id));
    let mut breaches: Vec<_> = unknown.map(|id| format!("{id}: nobody submitted it")).collect();
    for (id, story) in &journal.stories {
        let wrong = match found.get(id) {
            Some(found) => check_found(story, found, runs_max),
            None if story.is_acknowledged && !story.is_removal_sent => {
                vec![format!("it was acknowledged, and is gone: {story:?}")]
            }
            None => Vec::new(),
        };
        let wrong = story.breaches.iter().cloned().chain(wrong).chain(check_alone(story));
        breaches.extend(wrong.take(TOLD_MAX).map(|what| format!("{id}: {what}")));
    }
    breaches
}

/// What was told before contradicts itself.
fn check_alone(story: &Story) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut seen = BTreeMap::new();
    for event in &story.events {
        let first = *seen.entry(event.sequence).or_insert(event);
        if first != event {
            breaches.push(format!("two events with one sequence: {first:?} and {event:?}"));
        }
    }
    let mut runs = BTreeMap::new();
    for (attempt, lease) in &story.runs {
        let first = *runs.entry(attempt).or_insert(lease);
        if first != lease {
            breaches.push(format!("attempt {attempt} was given twice: {first} and {lease}"));
        }
    }
    let ends = story.ends.windows(2).filter(|ends| ends[0].1 != ends[1].1);
    breaches.extend(ends.map(|ends| format!("two ends were told: {:?} and {:?}", ends[0], ends[1])));
    breaches
}

/// What was told before contradicts what is found, or that itself.
fn check_found(story: &Story, found: &Found, runs_max: usize) -> Vec<String> {
    let Found { job, result, events } = found;
    let mut breaches = Vec::new();
    let mut wrong = |is_wrong: bool, what: String| is_wrong.then(|| breaches.push(what));
    let outcome = job.outcome.as_ref();
    wrong(outcome.is_none(), format!("it has not ended: {job:?}"));
    wrong(story.is_removal_answered, "it was removed, and is listed".to_owned());
    wrong(result.outcome.as_ref() != outcome, format!("GetResult says {result:?}, GetJob {outcome:?}"));
    let last = events.last();
    wrong(last.and_then(end_of) != outcome, format!("a watch ends with {last:?}, GetJob says {outcome:?}"));
    for (by, told) in &story.ends {
        wrong(Some(told) != outcome, format!("{by} told {told:?}, and now it is {outcome:?}"));
    }
    wrong(
        !events.is_sorted_by(|one, next| one.sequence < next.sequence),
        format!("out of order: {events:?}"),
    );
    for event in &story.events {
        let now = events.iter().find(|now| now.sequence == event.sequence);
        let differs = match now {
            Some(now) => now != event,
            // Only the newest progress is kept.
            None => !matches!(event.event, Some(v1::job_event::Event::Progress(_))),
        };
        wrong(differs, format!("a watch told {event:?}, and now it is {now:?}"));
        wrong(event.sequence > job.sequence, format!("{event:?} is beyond {}", job.sequence));
    }
    for (attempt, lease) in &story.runs {
        let is_there = events.iter().any(|event| event.attempt == *attempt);
        wrong(
            !is_there,
            format!("attempt {attempt} was given to a worker, {lease}, and is none: {events:?}"),
        );
    }
    let is_whole = events.iter().zip(1..).all(|(event, sequence)| event.sequence == sequence);
    wrong(!is_whole && story.spec.kind != REPORTS_PROGRESS, format!("events are missing: {events:?}"));
    let newest = job.attempts.last().map_or(0, |attempt| attempt.attempt);
    let ended_by = last.map_or(0, |event| event.attempt);
    wrong(
        (job.attempt, newest) != (ended_by, ended_by),
        format!("attempt {ended_by} ended it, and {newest} is its newest: {job:?}"),
    );
    wrong(job.attempts.len() > runs_max, format!("it ran {} times: {:?}", job.attempts.len(), job.attempts));
    check_outcome(story, job, &mut breaches);
    breaches
}

/// Every job succeeds in the end unless it is cancelled, and its result is that of the attempt that ended it.
fn check_outcome(story: &Story, job: &v1::Job, breaches: &mut Vec<String>) {
    let spec = job.spec.as_ref();
    if spec.map(|spec| (&spec.payload, &spec.labels)) != Some((&story.spec.payload, &story.spec.labels)) {
        breaches.push(format!("{:?} was sent, and kept as {spec:?}", story.spec));
    }
    let end = job.outcome.as_ref().and_then(|outcome| outcome.end.as_ref());
    let result = match end {
        Some(v1::outcome::End::Result(result)) if !story.is_cancelled => result,
        Some(v1::outcome::End::Cancellation(_)) if story.is_cancel_sent => return,
        other => return breaches.push(format!("it did not end as it was told: {other:?}")),
    };
    if !story.results.is_empty() && !story.results.contains(&(job.attempt, result.clone())) {
        breaches.push(format!("attempt {} ended it, and its result is {result:?}", job.attempt));
    }
    if story.spec.kind == "demo.echo" && Some(result) != story.spec.payload.as_ref() {
        breaches.push(format!("{:?} was to be answered, not {result:?}", story.spec.payload));
    }
}
