//! Whether a worker serves the kind of a job, and which kinds have similar names.

use std::collections::BTreeMap;
use std::time::Duration;

use jobstream::job::QueueName;
use jobstream::proto::v1::{JobSpec, JobState, SubmitResponse, WaitReason, Worker, WorkerState};
use tokio::time;

use crate::connect::Client;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::narrowed::{self, List};
use crate::output::text;

/// Timeout of the check after a submit. The job is accepted already.
const CHECK_TIME_MAX: Duration = Duration::from_secs(1);
/// Most kinds with similar names in a message.
const NEAR_KINDS_MAX: usize = 3;

/// Refuses a job that no worker serves.
///
/// # Errors
///
/// If no connected worker serves its kind in its queue.
pub(crate) async fn require_worker(client: &Client, spec: &JobSpec) -> Result<()> {
    let workers = client.call(client.api.workers()).await?;
    let Some(problem) = problem(spec, &workers) else { return Ok(()) };
    let error = Error::new(Exit::NotFound, problem).detail("the job was not submitted");
    let narrowed = narrowed::reason(&client.api, &[List::Workers]).await;
    Err(narrowed.into_iter().fold(error, Error::detail).hint(start_command(spec)))
}

/// Writes a warning to stderr if the submitted job waits and no worker serves it. A check that fails is left out.
pub(crate) async fn warn_if_unserved(client: &Client, spec: &JobSpec, answer: &SubmitResponse) {
    if client.output.quiet {
        return;
    }
    let check = find_problem(client, spec, answer);
    if let Ok(Some(problem)) = time::timeout(CHECK_TIME_MAX, check).await {
        client.output.warning(&problem);
        narrowed::notice(client, List::Workers).await;
        client.output.help(&start_command(spec));
    }
}

async fn find_problem(client: &Client, spec: &JobSpec, answer: &SubmitResponse) -> Option<String> {
    match answer.state() {
        JobState::Queued if answer.wait_reason() == WaitReason::NoWorker => {}
        // A job that is not due yet, or that was only validated.
        JobState::Scheduled | JobState::Unspecified => {}
        _ => return None,
    }
    problem(spec, &client.api.workers().await.ok()?)
}

fn start_command(spec: &JobSpec) -> String {
    format!("`jobstream worker --exec '{}=PROGRAM'` serves it; `jobstream workers ls` lists all", spec.kind)
}

/// Why the job waits: `no worker serves thumb.resiz; did you mean thumb.resize (2 workers)?`; `None` if a worker serves
/// it, or may.
fn problem(spec: &JobSpec, workers: &[Worker]) -> Option<String> {
    let queue = if spec.queue.is_empty() { QueueName::DEFAULT } else { &spec.queue };
    let connected = || workers.iter().filter(|worker| worker.state() == WorkerState::Connected);
    if connected().any(|worker| may_serve(worker, &spec.kind, queue)) {
        return None;
    }
    let in_other_queues = connected().filter(|worker| worker.kinds.contains(&spec.kind)).count();
    if in_other_queues > 0 {
        let workers = text::counted(in_other_queues as u64, "worker serves", "workers serve");
        return Some(format!(
            "no worker serves {} in queue {queue}; {workers} it in other queues",
            spec.kind
        ));
    }
    let mut kinds = BTreeMap::new();
    for kind in connected().flat_map(|worker| &worker.kinds) {
        *kinds.entry(kind.as_str()).or_insert(0) += 1;
    }
    let near = near(&spec.kind, &kinds).join(", ");
    Some(match near.as_str() {
        "" => format!("no worker serves {}", spec.kind),
        near => format!("no worker serves {}; did you mean {near}?", spec.kind),
    })
}

/// Lists of names are truncated: a worker with more of them may serve any.
fn may_serve(worker: &Worker, kind: &str, queue: &str) -> bool {
    let has = |names: &[String], total: u32, name: &str| {
        names.iter().any(|known| known == name) || total as usize > names.len()
    };
    has(&worker.kinds, worker.kinds_total, kind)
        && (worker.queues.is_empty() || has(&worker.queues, worker.queues_total, queue))
}

/// The kinds with the most similar names, each with the number of its workers.
fn near(kind: &str, kinds: &BTreeMap<&str, u64>) -> Vec<String> {
    let mut near: Vec<_> = kinds
        .iter()
        .filter_map(|(known, workers)| Some((distance(kind, known)?, *known, *workers)))
        .collect();
    near.sort_unstable();
    near.truncate(NEAR_KINDS_MAX);
    near.into_iter()
        .map(|(_, known, workers)| format!("{known} ({})", text::counted(workers, "worker", "workers")))
        .collect()
}

/// The edits from one kind to the other; `None` if there are too many for a typing error. A missing prefix is one edit.
fn distance(kind: &str, known: &str) -> Option<usize> {
    let (kind, known) = (kind.to_lowercase(), known.to_lowercase());
    let last = |kind: &str| kind.rsplit(['.', '/', ':']).next().map(str::to_owned);
    if last(&kind) == last(&known) {
        return Some(1);
    }
    let edits = strsim::damerau_levenshtein(&kind, &known);
    (edits <= (kind.len() / 4).max(2) && edits * 2 <= kind.len()).then_some(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(kinds: &[&str], queues: &[&str]) -> Worker {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (kinds, queues) = (names(kinds), names(queues));
        let mut worker = Worker { kinds, queues, ..Worker::default() };
        worker.set_state(WorkerState::Connected);
        worker
    }

    fn problem_of(kind: &str, workers: &[Worker]) -> Option<String> {
        problem(&JobSpec { kind: kind.to_owned(), ..JobSpec::default() }, workers)
    }

    #[test]
    fn a_typing_error_gets_near_kinds_with_their_workers() {
        let workers = [worker(&["thumb.resize", "thumb.crop"], &[]), worker(&["thumb.resize"], &[])];
        for typo in ["thumb.resiz", "thumb.rezise", "resize", "Thumb.Resize"] {
            let expected = format!("no worker serves {typo}; did you mean thumb.resize (2 workers)?");
            assert_eq!(problem_of(typo, &workers), Some(expected));
        }
        assert_eq!(problem_of("mail", &workers).as_deref(), Some("no worker serves mail"));
        assert_eq!(problem_of("thumb.crop", &workers), None);
    }

    #[test]
    fn a_worker_of_another_queue_does_not_serve_the_job() {
        let workers = [worker(&["mail"], &["bulk"])];
        let expected = "no worker serves mail in queue default; 1 worker serves it in other queues";
        assert_eq!(problem_of("mail", &workers).as_deref(), Some(expected));
    }

    #[test]
    fn a_worker_counts_while_it_is_connected_and_also_if_its_kinds_are_not_all_listed() {
        let mut gone = worker(&["mail"], &[]);
        gone.set_state(WorkerState::Disconnected);
        assert_eq!(problem_of("mail", &[gone]).as_deref(), Some("no worker serves mail"));
        let many = Worker { kinds_total: 2_000, ..worker(&["a"], &[]) };
        assert_eq!(problem_of("mail", &[many]), None);
    }
}
