//! A random client and worker. It records every request that it sends and every response that it gets.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::timeout;
use tonic::{Code, Status};

use super::checker::journal::{JobTrace, Journal, end_of};
use super::checker::rules::Found;
use super::faulty_service::FaultyService;
use crate::proto::v1::attempt_report::News;
use crate::proto::v1::job_service_client::JobServiceClient;
use crate::proto::v1::watch_result_response::Message;
use crate::proto::v1::worker_service_client::WorkerServiceClient;
use crate::proto::v1::{self, Disposition, JobState};

/// The kind that remote workers run.
const REMOTE_KIND: &str = "remote";
/// Longest wait for the next message of a watch.
const WATCH: Duration = Duration::from_millis(2);

/// What all clients have observed, across all runs of the server.
#[derive(Default)]
pub(super) struct Observations {
    pub(super) journal: Journal,
    /// The number of responses, including errors.
    pub(super) responses: usize,
    /// Assignments that workers have and have not ended.
    held: Vec<v1::Assignment>,
    /// The last sequence that the watch of each job has seen.
    cursors: BTreeMap<String, u32>,
}

/// One client.
pub(super) struct Client {
    jobs: JobServiceClient<FaultyService>,
    workers: WorkerServiceClient<FaultyService>,
    observations: Rc<RefCell<Observations>>,
    random: StdRng,
}

impl Client {
    pub(super) fn new(service: FaultyService, observations: Rc<RefCell<Observations>>, seed: u64) -> Self {
        Self {
            jobs: JobServiceClient::new(service.clone()),
            workers: WorkerServiceClient::new(service),
            observations,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Makes random calls. Never returns.
    pub(super) async fn work(mut self) {
        loop {
            // After an error the outcome of the call is unknown, so nothing is recorded.
            let _ = match self.random.random_range(0..20) {
                0..=3 => self.submit_new().await,
                4 => self.submit_again().await,
                5..=7 => self.lease().await,
                8..=11 => self.report().await,
                12 => self.cancel().await,
                13 => self.remove().await,
                14..=15 => self.get().await,
                _ => self.watch().await,
            };
            self.observations.borrow_mut().responses += 1;
            tokio::task::yield_now().await;
        }
    }

    fn trace(&self, id: &str) -> RefMut<'_, JobTrace> {
        RefMut::map(self.observations.borrow_mut(), |observations| observations.journal.trace(id))
    }

    /// A random job that matches, if there is one.
    fn any(&mut self, is_wanted: impl Fn(&JobTrace) -> bool) -> Option<String> {
        let observations = self.observations.borrow();
        let traces = observations.journal.traces.iter().filter(|(_, trace)| is_wanted(trace));
        let ids: Vec<_> = traces.map(|(id, _)| id).collect();
        if ids.is_empty() { None } else { Some(ids[self.random.random_range(0..ids.len())].clone()) }
    }

    /// Records a breach if a job is not found that must exist.
    fn check_known(&self, id: &str, must_exist: bool, status: Status) -> Status {
        let mut trace = self.trace(id);
        if status.code() == Code::NotFound && must_exist && !trace.is_removal_sent {
            trace.breaches.push(format!("it was acknowledged, and is not known: {status}"));
        }
        status
    }

    fn is_acknowledged(&self, id: &str) -> bool {
        self.trace(id).is_acknowledged
    }

    /// The spec of a new job that succeeds in the end. Records it as sent.
    fn spec(&mut self) -> v1::JobSpec {
        let words = format!("{:x}", self.random.random::<u64>());
        let (kind, payload) = match self.random.random_range(0..10) {
            0 => ("demo.count", r#"{"to": 2, "interval_seconds": 0.001}"#),
            1 => ("demo.stream", r#"{"chunks": 3, "interval_seconds": 0.001}"#),
            2..=3 => ("demo.echo", words.as_str()),
            _ => (REMOTE_KIND, words.as_str()),
        };
        let retry = v1::RetryPolicy {
            max_attempts: 100,
            initial_backoff: Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 }),
            max_backoff: Some(prost_types::Duration { seconds: 0, nanos: 2_000_000 }),
            max_lost_attempts: 100,
            ..Default::default()
        };
        let spec = v1::JobSpec {
            job_id: uuid::Uuid::now_v7().to_string(),
            kind: kind.to_owned(),
            payload: Some(text(payload)),
            retry: Some(retry),
            ..Default::default()
        };
        self.observations.borrow_mut().journal.record_sent(&spec);
        spec
    }

    async fn submit_new(&mut self) -> Result<(), Status> {
        let spec = self.spec();
        self.submit(spec).await
    }

    async fn submit_again(&mut self) -> Result<(), Status> {
        // Removed jobs too: their ids stay reserved.
        let Some(id) = self.any(|_| true) else { return Ok(()) };
        let spec = self.trace(&id).spec.clone();
        self.submit(spec).await
    }

    async fn submit(&mut self, spec: v1::JobSpec) -> Result<(), Status> {
        let id = spec.job_id.clone();
        let was_acknowledged = self.trace(&id).is_acknowledged;
        let request = v1::SubmitRequest { job: Some(spec), validate_only: false };
        let response = self.jobs.submit(request).await;
        let mut trace = self.trace(&id);
        let response = match response {
            Ok(response) => response.into_inner(),
            Err(status) => {
                assert_ne!(status.code(), Code::InvalidArgument, "{status}");
                if was_acknowledged && [Code::NotFound, Code::AlreadyExists].contains(&status.code()) {
                    trace
                        .breaches
                        .push(format!("it was acknowledged, and a repeated submit is refused: {status}"));
                }
                return Err(status);
            }
        };
        if response.disposition() == Disposition::Created && was_acknowledged {
            trace.breaches.push(format!("it was accepted a second time: {response:?}"));
        }
        trace.is_acknowledged = true;
        Ok(())
    }

    async fn lease(&mut self) -> Result<(), Status> {
        let request = v1::LeaseRequest {
            name: "remote".to_owned(),
            kinds: vec![REMOTE_KIND.to_owned()],
            max_jobs: self.random.random_range(1..4),
            wait: Some(prost_types::Duration::default()),
            ..Default::default()
        };
        let response = self.workers.lease(request).await?.into_inner();
        for assignment in response.assignments {
            self.trace(&assignment.job_id).runs.push((assignment.attempt, assignment.lease_id.clone()));
            self.observations.borrow_mut().held.push(assignment);
        }
        Ok(())
    }

    /// Reports on an attempt that a worker has or had.
    async fn report(&mut self) -> Result<(), Status> {
        let held = self.observations.borrow().held.len();
        if held == 0 {
            return Ok(());
        }
        let assignment = self.observations.borrow().held[self.random.random_range(0..held)].clone();
        let news = match self.random.random_range(0..10) {
            0..=1 => News::Output(v1::Output { payload: Some(text("chunk")), ..Default::default() }),
            2 => News::Log(v1::Log { text: "line".to_owned(), ..Default::default() }),
            3 => News::Fail(v1::AttemptFail { failure: Some(failure()), ..Default::default() }),
            4 => News::Release(v1::AttemptRelease::default()),
            _ => return self.complete(&assignment).await,
        };
        let is_end = matches!(news, News::Fail(_) | News::Release(_));
        let is_taken = self.send_report(&assignment, news).await?;
        if is_end || !is_taken {
            self.forget_assignment(&assignment);
        }
        Ok(())
    }

    async fn complete(&mut self, assignment: &v1::Assignment) -> Result<(), Status> {
        let result = text(&format!("{} of {}", assignment.lease_id, assignment.attempt));
        self.trace(&assignment.job_id).results.push((assignment.attempt, result.clone()));
        let news = News::Complete(v1::AttemptComplete { result: Some(result.clone()) });
        if self.send_report(assignment, news).await? {
            let end = Some(v1::outcome::End::Result(result));
            self.trace(&assignment.job_id).record_outcome("its worker", Some(v1::Outcome { end }));
        }
        self.forget_assignment(assignment);
        Ok(())
    }

    /// Sends a report. Returns whether it was accepted; an error if that is unknown.
    async fn send_report(&mut self, assignment: &v1::Assignment, news: News) -> Result<bool, Status> {
        let lease_id = assignment.lease_id.clone();
        let report = v1::AttemptReport { lease_id, report_sequence: 0, news: Some(news) };
        let request = v1::ReportRequest { reports: vec![report], lease_ids: Vec::new() };
        let response = self.workers.report(request).await?.into_inner();
        Ok(response.results.first().is_some_and(|result| result.code == 0))
    }

    /// Removes the assignment from the worker.
    fn forget_assignment(&self, assignment: &v1::Assignment) {
        self.observations.borrow_mut().held.retain(|held| held.lease_id != assignment.lease_id);
    }

    async fn cancel(&mut self) -> Result<(), Status> {
        let Some(id) = self.any(|trace| !trace.is_removal_sent) else { return Ok(()) };
        self.trace(&id).is_cancel_sent = true;
        let must_exist = self.is_acknowledged(&id);
        let request = v1::CancelRequest {
            job_id: id.clone(),
            reason: "enough".to_owned(),
            grace: Some(prost_types::Duration::default()),
        };
        let response = self.jobs.cancel(request).await;
        let response = response.map_err(|status| self.check_known(&id, must_exist, status))?;
        self.trace(&id).is_cancelled |= response.get_ref().state() == JobState::Cancelled;
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), Status> {
        let is_ended = |trace: &JobTrace| !trace.ends.is_empty() && !trace.is_removal_acknowledged;
        let Some(id) = self.any(is_ended) else { return Ok(()) };
        self.trace(&id).is_removal_sent = true;
        match self.jobs.delete(v1::DeleteRequest { job_id: id.clone() }).await {
            Err(status) if status.code() != Code::NotFound => return Err(status),
            // NotFound means that an earlier delete succeeded and its response was lost.
            Ok(_) | Err(_) => self.trace(&id).is_removal_acknowledged = true,
        }
        Ok(())
    }

    async fn get(&mut self) -> Result<(), Status> {
        let Some(id) = self.any(|trace| !trace.is_removal_sent) else { return Ok(()) };
        let must_exist = self.is_acknowledged(&id);
        let request = v1::GetResultRequest { job_id: id.clone(), wait: None };
        let response = self.jobs.get_result(request).await;
        let response = response.map_err(|status| self.check_known(&id, must_exist, status))?;
        self.trace(&id).record_outcome("GetResult", response.into_inner().outcome);
        Ok(())
    }

    /// Continues the watch of a job until no message arrives in time.
    async fn watch(&mut self) -> Result<(), Status> {
        let Some(id) = self.any(|trace| !trace.is_removal_sent) else { return Ok(()) };
        let mut after = self.observations.borrow().cursors.get(&id).copied().unwrap_or_default();
        let request =
            v1::WatchResultRequest { job_id: id.clone(), after_sequence: after, ..Default::default() };
        let must_exist = self.is_acknowledged(&id);
        let opened = self.jobs.watch_result(request).await;
        let mut stream =
            opened.map_err(|status| self.check_watchable(&id, after, must_exist, status))?.into_inner();
        // An earlier stream may have returned the end.
        let mut is_over = !self.trace(&id).ends.is_empty();
        while let Ok(message) = timeout(WATCH, stream.message()).await {
            let Some(message) = message? else {
                let breach = || format!("a watch ended OK after {after} without the end");
                self.trace(&id).breaches.extend((!is_over).then(breach));
                break;
            };
            if let Some(Message::Event(event)) = message.message {
                is_over |= end_of(&event).is_some();
                let before = after;
                after = self.trace(&id).record_event(after, event);
                if after <= before {
                    // The breach is recorded. A stream out of order may not end.
                    break;
                }
                let mut observations = self.observations.borrow_mut();
                let cursor = observations.cursors.entry(id.clone()).or_default();
                *cursor = after.max(*cursor);
            }
        }
        Ok(())
    }

    /// Records a breach if a watch from a known sequence is refused.
    fn check_watchable(&self, id: &str, after: u32, must_exist: bool, status: Status) -> Status {
        if status.code() == Code::InvalidArgument {
            self.trace(id).breaches.push(format!("a watch after {after} is refused: {status}"));
        }
        self.check_known(id, must_exist, status)
    }

    /// Runs all jobs until every job has ended.
    pub(super) async fn finish(&mut self) {
        while !self.all_ended().await {
            // Errors are ignored here; the final check detects their effects.
            let _ = self.lease().await;
            while let Some(assignment) = self.held() {
                let _ = self.complete(&assignment).await;
                self.forget_assignment(&assignment);
            }
        }
    }

    fn held(&self) -> Option<v1::Assignment> {
        self.observations.borrow().held.first().cloned()
    }

    async fn all_ended(&mut self) -> bool {
        let waiting = [JobState::Scheduled, JobState::Queued, JobState::Running].map(Into::into).to_vec();
        let request = v1::ListJobsRequest { states: waiting, page_size: 1, ..Default::default() };
        self.jobs.list_jobs(request).await.is_ok_and(|page| page.get_ref().jobs.is_empty())
    }

    /// Reads the final state of every job.
    pub(super) async fn read_all(&mut self) -> BTreeMap<String, Found> {
        let (mut found, mut request) =
            (BTreeMap::new(), v1::ListJobsRequest { page_size: 1_000, ..Default::default() });
        loop {
            let page = self.jobs.list_jobs(request.clone()).await.expect("a list").into_inner();
            for job in page.jobs {
                found.insert(job.job_id.clone(), self.read(&job.job_id).await.expect("it was listed"));
            }
            if page.next_page_token.is_empty() {
                return found;
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn read(&mut self, id: &str) -> Result<Found, Status> {
        let job_id = id.to_owned();
        let job = self.jobs.get_job(v1::GetJobRequest { job_id: job_id.clone() }).await?.into_inner();
        let request = v1::GetResultRequest { job_id: job_id.clone(), wait: None };
        let result = self.jobs.get_result(request).await?.into_inner();
        let request = v1::WatchResultRequest { job_id, ..Default::default() };
        let mut stream = self.jobs.watch_result(request).await?.into_inner();
        let mut events = Vec::new();
        let (mut newest, mut is_in_order) = (0, true);
        // Events out of order are a breach, and the stream may not end.
        while is_in_order && let Some(message) = stream.message().await? {
            if let Some(Message::Event(event)) = message.message {
                is_in_order = event.sequence > std::mem::replace(&mut newest, event.sequence);
                events.push(event);
            }
        }
        Ok(Found { job: job.job.expect("a job"), result, events })
    }

    /// Checks that every job whose removal was acknowledged is not found. Returns the breaches.
    pub(super) async fn check_removed(&mut self) -> Vec<String> {
        let is_removed =
            |(id, trace): (&String, &JobTrace)| trace.is_removal_acknowledged.then(|| id.clone());
        let removed: Vec<_> =
            self.observations.borrow().journal.traces.iter().filter_map(is_removed).collect();
        let mut breaches = Vec::new();
        for id in removed {
            let request = v1::GetResultRequest { job_id: id.clone(), wait: None };
            match self.jobs.get_result(request).await {
                Err(status) if status.code() == Code::NotFound => {}
                response => breaches.push(format!("{id}: it was removed, and responses {response:?}")),
            }
        }
        breaches
    }
}

fn text(words: &str) -> v1::Payload {
    v1::Payload { body: Some(v1::payload::Body::Text(words.to_owned())), content_type: String::new() }
}

fn failure() -> v1::Failure {
    v1::Failure { message: "again".to_owned(), retryable: true, ..Default::default() }
}
