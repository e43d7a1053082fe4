//! The executor of a connection's HTTP/2 streams: each stream is a task that can be aborted.

use hyper::rt::Executor;

use super::super::budget::abortable;

/// Spawns the streams of a connection on the current runtime.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct StreamExecutor;

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(abortable(stream));
    }
}
