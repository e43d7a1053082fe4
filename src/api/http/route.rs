//! A route: an HTTP method and path, the RPC that it calls, and how the request message is bound.

use http::Method;
use prost_reflect::MethodDescriptor;

use super::call::UnaryCall;

/// One entry of the route table.
pub(super) struct Route {
    pub(super) method: Method,
    /// The path, with captures in braces. A capture is named after the field of the request message that it sets.
    pub(super) path: &'static str,
    /// The action after the last `:` of the path: `cancel`. Empty for none.
    pub(super) action: &'static str,
    pub(super) rpc: MethodDescriptor,
    pub(super) body: Body,
    /// Query parameters that have another name than the field: (parameter, field).
    pub(super) aliases: &'static [(&'static str, &'static str)],
    pub(super) idempotency_key: IdempotencyKey,
    pub(super) handler: Handler,
}

/// The effect of the header Idempotency-Key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdempotencyKey {
    /// None: a repeated request has no further effect.
    Ignored,
    /// It sets the id of the new job, at this path of the request message.
    Sets(&'static [&'static str]),
    /// The request creates several jobs, which have ids of their own.
    Refused,
}

/// Which part of the request message is the body of the HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// There is no body. All fields are captures or query parameters.
    None,
    /// The body is the whole message, without the captured fields. An empty body is an empty message.
    Message,
    /// The body is this field. The other fields are query parameters.
    Field(&'static str),
}

/// What answers the requests of a route.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// One message as JSON.
    Unary(UnaryCall),
    /// Submit, with the options of HTTP: `wait` and the header Idempotency-Key.
    Submit,
    /// GetResult, whose status depends on whether the job has finished.
    Result,
    /// The events of one job.
    Events,
    /// The state changes of all jobs.
    Feed,
    /// Run: submits a job and follows its events.
    Run,
    /// The payload of a job as bytes.
    JobPayload,
    /// The result of a job as bytes.
    ResultPayload,
}

impl Route {
    /// The names of the captures, in the order of the path.
    pub(super) fn captures(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }
}
