//! The executor of a connection's HTTP/2 streams: each stream is a task, which ends once its stream is aborted.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::rt::Executor;

use super::super::budget::ConnectionBudget;

/// Spawns the streams of one connection on the current runtime.
#[derive(Debug, Clone)]
pub(in crate::server) struct StreamExecutor {
    pub(super) budget: Arc<ConnectionBudget>,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
{
    fn execute(&self, stream: F) {
        let budget = self.budget.clone();
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            poll_fn(|context| match budget.take_abort() {
                // Dropping the future resets the stream and drops its unsent bytes.
                true => Poll::Ready(()),
                false => stream.as_mut().poll(context).map(drop),
            })
            .await;
        });
    }
}
