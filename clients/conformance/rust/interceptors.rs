//! The interceptors of the agent. Each adds its name to what it changes.

use jobstream::client::{self, BoxFuture, NextSubmit, Submission, SubmitInterceptor};
use jobstream::job::{JSON, Payload};
use jobstream::proto::v1::{self, payload::Body};
use jobstream::worker::{HandlerInterceptor, JobContext, JobError, NextHandler};

/// An interceptor with this name.
pub(crate) struct Named(String);

impl Named {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// A JSON list with the name of the interceptor.
    fn added(&self, list: &[u8]) -> Result<String, String> {
        if self.0 == "refuse" {
            return Err("refused".to_owned());
        }
        let mut names: Vec<String> = serde_json::from_slice(list).map_err(|error| error.to_string())?;
        names.push(self.0.clone());
        serde_json::to_string(&names).map_err(|error| error.to_string())
    }

    fn payload(&self, payload: &Payload) -> Result<Payload, JobError> {
        let list = self.added(&payload.bytes).map_err(JobError::retryable)?;
        Ok(Payload::text(list).with_content_type(JSON))
    }
}

impl SubmitInterceptor for Named {
    fn submit<'a>(
        &'a self,
        mut job: v1::JobSpec,
        next: NextSubmit<'a>,
    ) -> BoxFuture<'a, client::Result<Submission>> {
        Box::pin(async move {
            let payload = job.payload.get_or_insert_default();
            if let Some(Body::Text(list)) = &mut payload.body {
                *list = self.added(list.as_bytes()).map_err(client::Error::of_interceptor)?;
            }
            job.headers.entry("by".to_owned()).or_default().push_str(&self.0);
            next.submit(job).await
        })
    }
}

impl HandlerInterceptor for Named {
    fn run<'a>(
        &'a self,
        context: JobContext,
        next: NextHandler<'a>,
    ) -> BoxFuture<'a, Result<Payload, JobError>> {
        Box::pin(async move {
            let changed = self.payload(context.payload())?;
            self.payload(&next.run(context.with_payload(changed)).await?)
        })
    }
}
