//! Where the streams of a connection run: each is a task of the edge, which ends at once when it is condemned.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::rt::Executor;

use super::super::budget::ConnectionBudget;

/// Runs the streams of one connection.
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
            poll_fn(|context| match budget.is_condemned() {
                // Dropped, it resets its stream, and what was to be sent is dropped with it.
                true => Poll::Ready(()),
                false => stream.as_mut().poll(context).map(drop),
            })
            .await;
        });
    }
}
