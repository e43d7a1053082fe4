//! The trace context of a call, for the jobs that it submits.

use std::sync::Arc;

use http::Extensions;

#[cfg(feature = "otel")]
use crate::api::request_span::RequestSpan;
#[cfg(feature = "otel")]
use crate::client::spans::carried_by;
use crate::job::{NewJob, TraceContext};

/// The trace context of a call: the one that its headers have, or that of the server's own span.
#[derive(Clone, Default)]
pub(super) struct CallTrace {
    sent: Option<Arc<TraceContext>>,
    #[cfg(feature = "otel")]
    span: Option<RequestSpan>,
}

impl CallTrace {
    /// The trace context of a call with these extensions.
    pub(super) fn of(extensions: &Extensions) -> Self {
        Self {
            sent: extensions.get().cloned(),
            #[cfg(feature = "otel")]
            span: extensions.get().cloned(),
        }
    }

    /// Adds the context to a job that has none.
    pub(super) fn add_to(&self, job: &mut NewJob) {
        let of_job = job.options.as_ref().and_then(|options| options.trace.clone());
        let of_call = self.for_job(of_job.as_deref());
        if of_job.is_none() && of_call.is_some() {
            job.options_mut().trace = of_call;
        }
    }

    /// The context for a job that has this one.
    pub(super) fn for_job(&self, of_job: Option<&TraceContext>) -> Option<Arc<TraceContext>> {
        #[cfg(feature = "otel")]
        if let Some(span) = &self.span {
            let started = span.start(of_job);
            if of_job.is_none() && self.sent.as_ref().is_none_or(|sent| sent.parent().is_none()) {
                return started.and_then(|span| carried_by(&span)).map(Arc::new).or(self.sent.clone());
            }
        }
        let _ = of_job;
        self.sent.clone()
    }
}
