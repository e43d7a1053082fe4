//! Test support for programs that use jobstream: an in-process server, and single attempts of a handler without a
//! server.
//!
//! ```
//! use jobstream::job::Payload;
//! use jobstream::testing::run_handler;
//! use jobstream::worker::{JobContext, Worker};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let worker = Worker::new().handler("double", |context: JobContext, number: i64| async move {
//!     context.progress(0.5, "almost there");
//!     Ok(number * 2)
//! });
//! let run = run_handler(&worker, "double", Payload::json_text("21")).await?;
//! assert_eq!(run.result().map(|result| &result.bytes[..]), Some(&b"42"[..]));
//! assert_eq!(run.progress().next().and_then(|progress| progress.fraction), Some(0.5));
//! # Ok(()) }
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::engine::{Engine, EngineOptions};
use crate::error::Result;
use crate::job::{AttemptEnd, Failure, Kind, Log, NewJob, Output, Payload, Progress, Report};
use crate::server::{Server, ServerError, ServerOptions, Shutdown, ShutdownReport};
use crate::worker::{RunningWorker, Worker, dry_run};

/// Time for handlers to end when a [`TestServer`] stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);

/// An in-memory server in this process, on a free port of the loopback interface. Dropping it stops it.
///
/// ```
/// use jobstream::proto::v1::job_service_client::JobServiceClient;
/// use jobstream::proto::v1::{JobSpec, SubmitRequest};
/// use jobstream::testing::TestServer;
/// use jobstream::worker::{Worker, demo};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TestServer::start().await?.with(demo::add_to(Worker::new()))?;
/// let mut jobs = JobServiceClient::connect(format!("http://{}", server.address())).await?;
/// let job = JobSpec { kind: "demo.echo".to_owned(), ..Default::default() };
/// let submitted = jobs.submit(SubmitRequest { job: Some(job), validate_only: false }).await?;
/// assert!(!submitted.into_inner().job_id.is_empty());
/// server.stop().await?;
/// # Ok(()) }
/// ```
pub struct TestServer {
    address: SocketAddr,
    engine: Engine,
    workers: Vec<RunningWorker>,
    shutdown: Shutdown,
    serving: Option<JoinHandle<Result<ShutdownReport, ServerError>>>,
}

impl TestServer {
    /// Starts a server with default options and without handlers.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(EngineOptions::default(), ServerOptions::default()).await
    }

    /// Starts a server with these options. It serves connections with one thread, regardless of the options.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn start_with(engine: EngineOptions, mut options: ServerOptions) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let engine = Engine::start(engine);
        options.serve.connection_threads = NonZeroUsize::MIN;
        let shutdown = Shutdown::default();
        let server = Server::new(engine.clone(), options);
        let serving = Some(tokio::spawn(server.run(listener, shutdown.clone())));
        Ok(Self { address, engine, workers: Vec::new(), shutdown, serving })
    }

    /// Runs this worker as an in-process pool of the server.
    ///
    /// # Errors
    ///
    /// Those of [`Worker::start`].
    pub fn with(mut self, worker: Worker) -> Result<Self> {
        self.workers.push(worker.start(&self.engine)?);
        Ok(self)
    }

    /// The address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's URL for clients, such as `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The server's engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Stops the server and waits for its end.
    ///
    /// # Errors
    ///
    /// If the server failed to start.
    pub async fn stop(mut self) -> io::Result<()> {
        self.shutdown.now.cancel();
        for worker in &self.workers {
            worker.stop(STOP_TIME_MAX).await;
        }
        if let Some(serving) = self.serving.take() {
            serving.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.now.cancel();
        self.workers.iter().for_each(RunningWorker::request_stop);
    }
}

/// The reports and the end of an attempt that ran without a server.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerRun {
    /// All progress, output and log lines, in order.
    pub reports: Vec<Report>,
    /// The end of the attempt.
    pub end: AttemptEnd,
}

impl HandlerRun {
    /// The result, if the attempt succeeded.
    pub fn result(&self) -> Option<&Payload> {
        match &self.end {
            AttemptEnd::Success(result) => Some(result),
            _ => None,
        }
    }

    /// The failure, if the attempt failed.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.end {
            AttemptEnd::Failure(failure, _) => Some(failure),
            _ => None,
        }
    }

    /// The reported progress, in order.
    pub fn progress(&self) -> impl Iterator<Item = &Progress> {
        self.reports.iter().filter_map(|report| match report {
            Report::Progress(progress) => Some(progress),
            _ => None,
        })
    }

    /// The chunks of output, in order.
    pub fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.reports.iter().filter_map(|report| match report {
            Report::Output(output) => Some(output),
            _ => None,
        })
    }

    /// The log lines, in order.
    pub fn logs(&self) -> impl Iterator<Item = &Log> {
        self.reports.iter().filter_map(|report| match report {
            Report::Log(log) => Some(log),
            _ => None,
        })
    }
}

/// Runs one attempt of a worker's handler without a server.
///
/// # Errors
///
/// `InvalidField` if the worker has no handler for this kind. A failure of the handler is not an error; it is in
/// [`HandlerRun::end`].
pub async fn run_handler(worker: &Worker, kind: &str, payload: Payload) -> Result<HandlerRun> {
    run_attempt(worker, NewJob::new(Kind::parse("kind", kind)?, payload), 1).await
}

/// Runs one attempt of a job, with its headers, queue and attempt timeout, without a server. Dropping the future ends
/// the handler.
///
/// # Errors
///
/// Those of [`run_handler`].
pub async fn run_attempt(worker: &Worker, job: NewJob, attempt: u32) -> Result<HandlerRun> {
    let (reports, end) = dry_run(worker, job, attempt).await?;
    Ok(HandlerRun { reports, end })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::job::FailureReason;
    use crate::worker::{JobContext, JobError, demo};

    #[tokio::test]
    async fn all_reports_are_recorded_in_order() {
        let worker = Worker::new().raw_handler("reports", |context: JobContext| async move {
            context.progress(0.1, "a");
            context.log("b");
            context.progress(0.2, "c");
            context.output_on("d", Payload::text("e")).await?;
            Err(JobError::permanent(format!("{} {:?}", context.attempt(), context.header("name"))))
        });
        let mut job = NewJob::new(Kind::parse("kind", "reports").unwrap(), Payload::default());
        job.options_mut().headers.insert("name".to_owned(), "value".to_owned());
        let run = run_attempt(&worker, job, 3).await.unwrap();
        let messages: Vec<_> = run.progress().map(|progress| progress.message.as_str()).collect();
        assert_eq!((messages, run.reports.len()), (vec!["a", "c"], 4));
        assert!(matches!(run.reports[1], Report::Log(_)));
        assert_eq!(run.outputs().map(|output| &*output.channel).collect::<Vec<_>>(), ["d"]);
        assert_eq!(run.logs().map(|log| &*log.text).collect::<Vec<_>>(), ["b"]);
        let failure = run.failure().unwrap();
        assert_eq!((failure.message.as_str(), failure.retryable), ("3 Some(\"value\")", false));
        assert_eq!(run.result(), None);
    }

    #[tokio::test]
    async fn an_attempt_is_settled_when_it_has_ended() {
        for result in [Ok(Payload::text("done")), Err(JobError::permanent("failed"))] {
            let settled = Arc::new(Mutex::new(Vec::new()));
            let outcomes = settled.clone();
            let worker = Worker::new().raw_handler("k", move |context: JobContext| {
                let (result, outcomes) = (result.clone(), outcomes.clone());
                async move {
                    context.on_settled(|_| panic!("a callback that is broken"));
                    context.on_settled(move |outcome| outcomes.lock().push(outcome));
                    result
                }
            });
            run_handler(&worker, "k", Payload::default()).await.unwrap();
            assert_eq!(*settled.lock(), [Ok(())]);
        }
    }

    #[tokio::test]
    async fn error_of_invalid_input_names_the_field() {
        #[derive(serde::Deserialize)]
        struct Order {
            items: Vec<Item>,
        }
        #[derive(serde::Deserialize)]
        struct Item {
            count: u32,
        }
        let count = |_: JobContext, order: Order| async move {
            Ok(order.items.iter().map(|item| item.count).sum::<u32>())
        };
        let worker = Worker::new().handler("count", count);
        let input = r#"{"items": [{"count": 1}, {"count": "two"}]}"#;
        let run = run_handler(&worker, "count", Payload::json_text(input)).await.unwrap();
        let failure = run.failure().unwrap();
        assert_eq!((failure.reason, failure.retryable), (FailureReason::BadPayload, false));
        assert!(failure.message.contains("items[1].count: invalid type: string"), "{}", failure.message);
    }

    #[tokio::test]
    async fn all_handler_types_run_and_panics_are_failures() {
        let worker = demo::add_to(Worker::new())
            .dedicated_handler("dedicated", 1, |_| async { Ok(Payload::text("done")) })
            .raw_handler("panics", |_| async { std::panic::resume_unwind(Box::new("boom")) });
        let echoed = run_handler(&worker, "demo.echo", Payload::text("hi")).await.unwrap();
        assert_eq!(echoed.result(), Some(&Payload::text("hi")));
        assert_eq!(
            run_handler(&worker, "dedicated", Payload::default()).await.unwrap().result(),
            Some(&Payload::text("done"))
        );
        let run = run_handler(&worker, "panics", Payload::default()).await.unwrap();
        assert_eq!(run.failure().unwrap().reason, FailureReason::Panic);
        let unknown = run_handler(&worker, "unknown", Payload::default()).await.unwrap_err();
        assert!(unknown.message().contains("unknown"), "{unknown}");
    }
}
