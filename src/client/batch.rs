//! Submits many jobs in few calls.

use prost::Message;

use super::error::{Error, Result};
use super::request::submitted;
use super::{Client, Job, JobRequest, jobs, status};
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
            match self.submit_some(&ids, specs).await {
                Ok(some) => answers.extend(some),
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
    async fn submit_some<T>(
        &self,
        ids: &[JobId],
        jobs_sent: Vec<v1::JobSpec>,
    ) -> Result<Vec<Result<Job<T>>>> {
        let request = v1::BatchSubmitRequest { jobs: jobs_sent, atomic: false };
        let send = |channel, request| async move { jobs(channel).batch_submit(request).await };
        let results = self.call(request, send).await?.results;
        if results.len() != ids.len() {
            return Err(self.unreadable_batch());
        }
        let read = |(id, answer): (&JobId, v1::SubmitResult)| match answer.result {
            Some(Submitted::Submitted(answer)) => submitted(self, *id, &answer),
            Some(Submitted::Error(error)) => Err(status::from_rpc_status(&error, self.address())),
            None => Err(self.unreadable_batch()),
        };
        Ok(ids.iter().zip(results).map(read).collect())
    }

    fn unreadable_batch(&self) -> Error {
        status::unreadable(self.address(), "the answer to a batch")
    }
}
