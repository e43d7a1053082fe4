//! Compares the final state of a server with the recorded responses. Reports breaches as text per job.
//!
//! It does not fill the journal and does not know the injected faults.

use std::collections::BTreeMap;

use jobstream::proto::v1;

use super::journal::{JobTrace, Journal, end_of};

/// The number of breaches that are reported of a job.
const BREACHES_PER_JOB_MAX: usize = 3;
/// The kind that reports progress, of which only the newest is retained.
const REPORTS_PROGRESS: &str = "demo.count";

/// The final state of one job.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) job: v1::Job,
    pub(crate) result: v1::GetResultResponse,
    pub(crate) events: Vec<v1::JobEvent>,
}

/// Returns all breaches. A job may run at most `runs_max` times.
pub(crate) fn check(journal: &Journal, found: &BTreeMap<String, Found>, runs_max: usize) -> Vec<String> {
    let unknown = found.keys().filter(|id| !journal.traces.contains_key(*id));
    let mut breaches: Vec<_> = unknown.map(|id| format!("{id}: it was not submitted")).collect();
    for (id, trace) in &journal.traces {
        let wrong = match found.get(id) {
            Some(found) => check_found(trace, found, runs_max),
            None if trace.is_acknowledged && !trace.is_removal_sent => {
                vec![format!("it was acknowledged and is not found: {trace:?}")]
            }
            None => Vec::new(),
        };
        let wrong = trace.breaches.iter().cloned().chain(wrong).chain(check_alone(trace));
        breaches.extend(wrong.take(BREACHES_PER_JOB_MAX).map(|what| format!("{id}: {what}")));
    }
    breaches
}

/// Returns contradictions between the responses.
fn check_alone(trace: &JobTrace) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut seen = BTreeMap::new();
    for event in &trace.events {
        let first = *seen.entry(event.sequence).or_insert(event);
        if first != event {
            breaches.push(format!("two events with one sequence: {first:?} and {event:?}"));
        }
    }
    let mut runs = BTreeMap::new();
    for (attempt, lease) in &trace.runs {
        let first = *runs.entry(attempt).or_insert(lease);
        if first != lease {
            breaches.push(format!("attempt {attempt} was assigned twice: {first} and {lease}"));
        }
    }
    let ends = trace.ends.windows(2).filter(|ends| ends[0].1 != ends[1].1);
    breaches.extend(ends.map(|ends| format!("two outcomes were returned: {:?} and {:?}", ends[0], ends[1])));
    breaches
}

/// Returns contradictions between the responses and the final state, and within the final state.
fn check_found(trace: &JobTrace, found: &Found, runs_max: usize) -> Vec<String> {
    let Found { job, result, events } = found;
    let mut breaches = Vec::new();
    let mut wrong = |is_wrong: bool, what: String| is_wrong.then(|| breaches.push(what));
    let outcome = job.outcome.as_ref();
    wrong(outcome.is_none(), format!("it has not ended: {job:?}"));
    wrong(trace.is_removal_acknowledged, "it was deleted and is listed".to_owned());
    wrong(result.outcome.as_ref() != outcome, format!("GetResult returns {result:?}, GetJob {outcome:?}"));
    let last = events.last();
    wrong(
        last.and_then(end_of) != outcome,
        format!("a watch ends with {last:?}, GetJob returns {outcome:?}"),
    );
    for (by, returned) in &trace.ends {
        wrong(Some(returned) != outcome, format!("{by} returned {returned:?}, and now it is {outcome:?}"));
    }
    wrong(
        !events.is_sorted_by(|one, next| one.sequence < next.sequence),
        format!("out of order: {events:?}"),
    );
    for event in &trace.events {
        let now = events.iter().find(|now| now.sequence == event.sequence);
        let differs = match now {
            Some(now) => now != event,
            // Only the newest progress is retained.
            None => !matches!(event.event, Some(v1::job_event::Event::Progress(_))),
        };
        wrong(differs, format!("a watch returned {event:?}, and now it is {now:?}"));
        wrong(event.sequence > job.sequence, format!("{event:?} has a sequence above {}", job.sequence));
    }
    for (attempt, lease) in &trace.runs {
        let is_there = events.iter().any(|event| event.attempt == *attempt);
        wrong(
            !is_there,
            format!("attempt {attempt} was assigned with lease {lease} and has no events: {events:?}"),
        );
    }
    let is_whole = events.iter().zip(1..).all(|(event, sequence)| event.sequence == sequence);
    wrong(!is_whole && trace.spec.kind != REPORTS_PROGRESS, format!("events are missing: {events:?}"));
    let newest = job.attempts.last().map_or(0, |attempt| attempt.attempt);
    let ended_by = last.map_or(0, |event| event.attempt);
    wrong(
        (job.attempt, newest) != (ended_by, ended_by),
        format!("attempt {ended_by} ended it, and the newest is {newest}: {job:?}"),
    );
    wrong(job.attempts.len() > runs_max, format!("it ran {} times: {:?}", job.attempts.len(), job.attempts));
    check_outcome(trace, job, &mut breaches);
    breaches
}

/// Checks that the job succeeded or was cancelled, and that its result is that of its last attempt.
fn check_outcome(trace: &JobTrace, job: &v1::Job, breaches: &mut Vec<String>) {
    let spec = job.spec.as_ref();
    if spec.map(|spec| (&spec.payload, &spec.labels)) != Some((&trace.spec.payload, &trace.spec.labels)) {
        breaches.push(format!("{:?} was sent, and stored as {spec:?}", trace.spec));
    }
    let end = job.outcome.as_ref().and_then(|outcome| outcome.end.as_ref());
    let result = match end {
        Some(v1::outcome::End::Result(result)) if !trace.is_cancelled => result,
        Some(v1::outcome::End::Cancellation(_)) if trace.is_cancel_sent => return,
        other => return breaches.push(format!("unexpected outcome: {other:?}")),
    };
    if !trace.results.is_empty() && !trace.results.contains(&(job.attempt, result.clone())) {
        breaches.push(format!("attempt {} ended it, and its result is {result:?}", job.attempt));
    }
    if trace.spec.kind == "demo.echo" && Some(result) != trace.spec.payload.as_ref() {
        breaches.push(format!("the expected result is {:?}, not {result:?}", trace.spec.payload));
    }
}
