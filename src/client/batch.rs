//! Submits many jobs in few calls.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::oneshot;

use super::error::{Error, Result};
use super::request::submission;
use super::{Client, Job, JobRequest, Submission, jobs, status};
use crate::job::JobId;
use crate::proto::v1;
use crate::proto::v1::submit_result::Result as Submitted;

/// Most jobs in one call; the server's limit.
const CALL_JOBS_MAX: usize = 1_000;
/// Bytes of jobs after which a call is sent: with the largest job on top it stays below the 4 MiB that servers read.
const CALL_BYTES_FULL: usize = 2 * 1024 * 1024;

impl Client {
    /// Submits many jobs in calls of up to 1,000, one call after the other. The results are in the order of the requests;
    /// one refused job does not affect the others.
    ///
    /// Results can be read while the finished jobs are retained; [`Client::run_all`] waits for them in the same calls.
    ///
    /// If a call fails, its jobs and all later ones get its error, and no further call is sent. After any error a clone of
    /// a request can be submitted again: it gives one job.
    pub async fn submit_all<T>(&self, requests: Vec<JobRequest>) -> Vec<Result<Job<T>>> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut requests = requests.into_iter().map(JobRequest::into_spec).peekable();
        while requests.peek().is_some() {
            let (mut ids, mut specs, mut bytes) = (Vec::new(), Vec::new(), 0);
            while ids.len() < CALL_JOBS_MAX && bytes < CALL_BYTES_FULL {
                let Some((id, spec)) = requests.next() else { break };
                bytes += spec.encoded_len();
                ids.push(id);
                specs.push(spec);
            }
            let submitted = match self.interceptors().is_empty() {
                true => self.submit_some(specs).await,
                false => self.submit_intercepted(&ids, specs).await,
            };
            let handle =
                |(id, submission): (&JobId, Result<_>)| Ok(Job::submitted(self.clone(), *id, submission?));
            match submitted {
                Ok(some) => answers.extend(ids.iter().zip(some).map(handle)),
                Err(error) => {
                    let unsent = ids.len() + requests.count();
                    answers.extend((0..unsent).map(|_| Err(error.clone())));
                    return answers;
                }
            }
        }
        answers
    }

    /// Submits as many jobs as one call takes.
    async fn submit_some(&self, jobs_sent: Vec<v1::JobSpec>) -> Result<Vec<Result<Submission>>> {
        let count = jobs_sent.len();
        let request = v1::BatchSubmitRequest { jobs: jobs_sent, atomic: false };
        let send = |channel, request| async move { jobs(channel).batch_submit(request).await };
        let results = self.call(request, send).await?.results;
        if results.len() != count {
            return Err(self.unreadable_batch());
        }
        let read = |answer: v1::SubmitResult| match answer.result {
            Some(Submitted::Submitted(answer)) => submission(self, &answer),
            Some(Submitted::Error(error)) => Err(status::from_rpc_status(&error, self.address())),
            None => Err(self.unreadable_batch()),
        };
        Ok(results.into_iter().map(read).collect())
    }

    /// [`Client::submit_some`] with the interceptors around each job. The call is sent once every job has passed them all or
    /// was refused by one.
    async fn submit_intercepted(
        &self,
        ids: &[JobId],
        specs: Vec<v1::JobSpec>,
    ) -> Result<Vec<Result<Submission>>> {
        let passed = Mutex::new(Vec::new());
        let chain = |(index, (id, spec)): (usize, (&JobId, v1::JobSpec))| {
            let (id, passed) = (*id, &passed);
            let send = move |job| async move {
                let (sender, answer) = oneshot::channel();
                passed.lock().push((index, job, sender));
                answer.await.unwrap_or_else(|_| Err(self.unreadable_batch()))
            };
            async move { (index, self.intercept(id, spec, send).await) }
        };
        let mut chains: FuturesUnordered<_> = ids.iter().zip(specs).enumerate().map(chain).collect();
        let mut ended = BTreeMap::new();
        while ended.len() + passed.lock().len() < ids.len() {
            let next = poll_fn(|context| match chains.poll_next_unpin(context) {
                Poll::Pending if ended.len() + passed.lock().len() == ids.len() => Poll::Ready(None),
                next => next,
            });
            ended.extend(next.await);
        }
        let mut passed = std::mem::take(&mut *passed.lock());
        passed.sort_by_key(|(index, ..)| *index);
        let (jobs_sent, senders): (Vec<_>, Vec<_>) =
            passed.into_iter().map(|(_, job, sender)| (job, sender)).unzip();
        let answers = match jobs_sent.is_empty() {
            true => Ok(Vec::new()),
            false => self.submit_some(jobs_sent).await,
        };
        let all = |error: &Error| senders.iter().map(|_| Err(error.clone())).collect();
        let each = answers.as_ref().map_or_else(all, Clone::clone);
        for (sender, answer) in senders.into_iter().zip(each) {
            // An interceptor may have given up.
            let _ = sender.send(answer);
        }
        ended.extend(chains.collect::<Vec<_>>().await);
        answers.map(|_| ended.into_values().collect())
    }

    fn unreadable_batch(&self) -> Error {
        status::unreadable(self.address(), "the answer to a batch")
    }
}
