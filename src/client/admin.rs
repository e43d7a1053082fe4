//! The calls about the server, its queues and its workers.

use std::time::Duration;

use super::error::Result;
use super::tries::Tries;
use super::{ANSWER_BYTES_MAX, Channel, Client, status};
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::{render, v1};

/// Queues or workers in one call; the server's limit.
const PAGE_SIZE: u32 = 1_000;

impl Client {
    /// What the server is, what it promises and which bounds are in force.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub async fn server_info(&self) -> Result<v1::GetServerInfoResponse> {
        let send = |channel, request| async move { admin(channel).get_server_info(request).await };
        self.call(v1::GetServerInfoRequest {}, send).await
    }

    /// Every queue and what it holds, by name.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub async fn queues(&self) -> Result<Vec<v1::Queue>> {
        let send = |channel, request| async move { admin(channel).list_queues(request).await };
        let (mut queues, mut page_token) = (Vec::new(), String::new());
        loop {
            let page = self.call(v1::ListQueuesRequest { page_size: PAGE_SIZE, page_token }, send).await?;
            queues.extend(page.queues);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(queues);
            }
        }
    }

    /// Counts of jobs over a window that ends now, by step.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a window or a name that is not allowed.
    pub async fn stats(&self, request: v1::GetStatsRequest) -> Result<v1::GetStatsResponse> {
        let send = |channel, request| async move { admin(channel).get_stats(request).await };
        self.call(request, send).await
    }

    /// Starts no further attempts of a queue's jobs. Running attempts continue, and jobs are still accepted.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a bad name.
    pub async fn pause_queue(&self, name: impl Into<String>) -> Result<v1::Queue> {
        let send = |channel, request| async move { admin(channel).pause_queue(request).await };
        let answer = self.call(v1::PauseQueueRequest { queue: name.into() }, send).await?;
        answer.queue.ok_or_else(|| status::unreadable(self.address(), "a queue"))
    }

    /// Starts attempts of a paused queue's jobs again.
    ///
    /// # Errors
    ///
    /// `NotFound` (QUEUE_NOT_FOUND).
    pub async fn resume_queue(&self, name: impl Into<String>) -> Result<v1::Queue> {
        let send = |channel, request| async move { admin(channel).resume_queue(request).await };
        let answer = self.call(v1::ResumeQueueRequest { queue: name.into() }, send).await?;
        answer.queue.ok_or_else(|| status::unreadable(self.address(), "a queue"))
    }

    /// Cancels every waiting job of a queue and returns how many there were. Running jobs continue. It is sent once: after
    /// a lost answer, a second call would cancel jobs that were submitted since the first one.
    ///
    /// # Errors
    ///
    /// `NotFound` (QUEUE_NOT_FOUND).
    pub async fn purge_queue(&self, name: impl Into<String>) -> Result<u32> {
        let send = |channel, request| async move { admin(channel).purge_queue(request).await };
        let mut tries = Tries::within(self, self.options().call_timeout);
        let request = v1::PurgeQueueRequest { queue: name.into() };
        loop {
            match tries.once(self.channel(), request.clone(), send).await {
                Err(error) if tries.renews_token(&error) => {}
                answer => return Ok(answer?.purged),
            }
        }
    }

    /// Every worker, oldest first.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub async fn workers(&self) -> Result<Vec<v1::Worker>> {
        let send = |channel, request| async move { admin(channel).list_workers(request).await };
        let (mut workers, mut page_token) = (Vec::new(), String::new());
        loop {
            let page = self.call(v1::ListWorkersRequest { page_size: PAGE_SIZE, page_token }, send).await?;
            workers.extend(page.workers);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(workers);
            }
        }
    }

    /// Drains workers, by the id of one or by a name: they get no further jobs, may finish running attempts within this
    /// time, return the others and end. Returns the workers, at once.
    ///
    /// # Errors
    ///
    /// `NotFound` (WORKER_NOT_FOUND); `FailedPrecondition` (ILLEGAL_STATE) for the server's own worker.
    pub async fn drain_worker(&self, worker: impl Into<String>, within: Duration) -> Result<Vec<v1::Worker>> {
        let send = |channel, request| async move { admin(channel).drain_worker(request).await };
        let within = Some(render::duration(within));
        Ok(self.call(v1::DrainWorkerRequest { worker: worker.into(), within }, send).await?.workers)
    }

    /// Changes the level of the server's log: `debug`, or `info,jobstream::jobs=debug`. Returns the level before.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if it is no level; `Unimplemented` (UNSUPPORTED) if the server cannot change its log.
    pub async fn set_log_level(&self, level: impl Into<String>) -> Result<String> {
        let send = |channel, request| async move { admin(channel).set_log_level(request).await };
        Ok(self.call(v1::SetLogLevelRequest { level: level.into() }, send).await?.previous_level)
    }
}

fn admin(channel: Channel) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}
