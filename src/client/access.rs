//! The calls about the caller itself, and tokens for others.

use std::time::Duration;

use super::error::Result;
use super::{Channel, Client};
use crate::job::JobId;
use crate::proto::v1::access_service_client::AccessServiceClient;
use crate::proto::{render, v1};

impl Client {
    /// Who the server takes this client for, and what it may do.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, or if the server does not answer.
    pub async fn who_am_i(&self) -> Result<v1::WhoAmIResponse> {
        let send = |channel, request| async move { access(channel).who_am_i(request).await };
        self.call(v1::WhoAmIRequest {}, send).await
    }

    /// A token with which its holder may read one job: its state, payload, result and events. It is valid for this long, at
    /// most 24 h.
    ///
    /// # Errors
    ///
    /// `NotFound` (JOB_NOT_FOUND) unless this client may read the job.
    pub async fn mint_token(&self, job: JobId, lifetime: Duration) -> Result<v1::MintTokenResponse> {
        let send = |channel, request| async move { access(channel).mint_token(request).await };
        let (job_id, lifetime) = (job.to_string(), Some(render::duration(lifetime)));
        self.call(v1::MintTokenRequest { job_id, lifetime }, send).await
    }
}

fn access(channel: Channel) -> AccessServiceClient<Channel> {
    AccessServiceClient::new(channel)
}
