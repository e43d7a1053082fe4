//! A fake server with scripted responses, errors and disconnects. It tests the reaction of the
//! command line, and not a real server.

use std::collections::VecDeque;
use std::future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use jobstream::proto::v1::access_service_server::{AccessService, AccessServiceServer};
use jobstream::proto::v1::admin_service_server::{AdminService, AdminServiceServer};
use jobstream::proto::v1::job_service_server::{JobService, JobServiceServer};
use jobstream::proto::v1::*;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast, oneshot};
use tokio::time;
use tokio_stream::wrappers::{BroadcastStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

type Answers<T> = VecDeque<Result<T, Status>>;
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// One watch: its messages, and whether it stays open after them or ends OK.
#[derive(Default)]
pub(super) struct Watching {
    pub(super) messages: Vec<Result<watch_result_response::Message, Status>>,
    pub(super) stays_open: bool,
}

/// The scripted responses and the received requests.
#[derive(Default)]
pub(super) struct Script {
    pub(super) submit: Answers<SubmitResponse>,
    pub(super) watch: VecDeque<Watching>,
    pub(super) result: Answers<GetResultResponse>,
    pub(super) get: Answers<GetJobResponse>,
    pub(super) list: Answers<ListJobsResponse>,
    pub(super) cancel: Answers<CancelResponse>,
    pub(super) retry: Answers<RetryResponse>,
    pub(super) delete: Answers<DeleteResponse>,
    pub(super) info: Answers<GetServerInfoResponse>,
    pub(super) queues: Answers<ListQueuesResponse>,
    pub(super) pause: Answers<PauseQueueResponse>,
    pub(super) resume: Answers<ResumeQueueResponse>,
    pub(super) purge: Answers<PurgeQueueResponse>,
    pub(super) workers: Answers<ListWorkersResponse>,
    pub(super) drain: Answers<DrainWorkerResponse>,
    pub(super) workers_listed: Vec<ListWorkersRequest>,
    pub(super) drained: Vec<DrainWorkerRequest>,
    pub(super) submitted: Vec<SubmitRequest>,
    pub(super) watched: Vec<WatchResultRequest>,
    pub(super) asked: Vec<GetResultRequest>,
    pub(super) listed: Vec<ListJobsRequest>,
    pub(super) cancelled: Vec<CancelRequest>,
    /// Cancels are answered once this many wait, the last one first.
    pub(super) cancels_held: usize,
    held: Vec<oneshot::Sender<()>>,
    /// Most cancels that waited at the same time.
    pub(super) held_max: usize,
    pub(super) retried: Vec<RetryRequest>,
    pub(super) purged: Vec<PurgeQueueRequest>,
    /// Whether WhoAmI is never answered.
    pub(super) hides_caller: bool,
}

/// A running fake server.
#[derive(Clone)]
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    job_cancelled: Arc<Notify>,
    live: broadcast::Sender<WatchResultResponse>,
}

impl Fake {
    /// Listens on a free port.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let fake = Self {
            address,
            script: Arc::default(),
            job_cancelled: Arc::default(),
            live: broadcast::Sender::new(16),
        };
        let serving = Server::builder()
            .add_service(JobServiceServer::new(fake.clone()))
            .add_service(AdminServiceServer::new(fake.clone()))
            .add_service(AccessServiceServer::new(fake.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        fake
    }

    /// Returns the script, to add responses or to read requests.
    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no test panicked with it")
    }

    /// Waits for a cancel request.
    pub(super) async fn cancelled(&self) {
        time::timeout(super::TIMEOUT, self.job_cancelled.notified()).await.expect("a cancel in time");
    }

    /// Sends a message on the open watches.
    pub(super) fn push(&self, message: watch_result_response::Message) {
        self.live.send(WatchResultResponse { message: Some(message) }).expect("a watch is open");
    }

    fn messages(&self, watching: Watching) -> Messages<WatchResultResponse> {
        let messages = watching
            .messages
            .into_iter()
            .map(|message| message.map(|message| WatchResultResponse { message: Some(message) }));
        let messages = tokio_stream::iter(messages.collect::<Vec<_>>());
        let live = BroadcastStream::new(self.live.subscribe()).filter_map(Result::ok).map(Ok);
        match watching.stays_open {
            true => Box::pin(messages.chain(live)),
            false => Box::pin(messages),
        }
    }

    /// Waits until as many cancels wait as the script says.
    async fn hold(&self) {
        let released = {
            let mut script = self.script();
            if script.cancels_held == 0 {
                return;
            }
            let (release, released) = oneshot::channel();
            script.held.push(release);
            script.held_max = script.held_max.max(script.held.len());
            if script.held.len() == script.cancels_held {
                for release in script.held.drain(..).rev() {
                    release.send(()).expect("the call waits");
                }
            }
            released
        };
        released.await.expect("the others arrive");
    }

    fn answer<T>(
        &self,
        pick: impl FnOnce(&mut Script) -> Option<Result<T, Status>>,
    ) -> Result<Response<T>, Status> {
        let answer = pick(&mut self.script());
        answer.unwrap_or_else(|| Err(Status::internal("the script has no such answer"))).map(Response::new)
    }
}

#[tonic::async_trait]
impl JobService for Fake {
    type SubmitStreamStream = Messages<SubmitStreamResponse>;
    type RunStream = Messages<RunResponse>;
    type WatchResultStream = Messages<WatchResultResponse>;
    type WatchJobsStream = Messages<WatchJobsResponse>;

    async fn watch_jobs(
        &self,
        _request: Request<WatchJobsRequest>,
    ) -> Result<Response<Self::WatchJobsStream>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    /// Copies the id of the request to the response.
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let request = request.into_inner();
        let job_id = request.job.clone().unwrap_or_default().job_id;
        let answer = self.answer(|script| {
            script.submitted.push(request);
            script.submit.pop_front()
        })?;
        Ok(answer.map(|answer| SubmitResponse { job_id, ..answer }))
    }

    async fn watch_result(
        &self,
        request: Request<WatchResultRequest>,
    ) -> Result<Response<Self::WatchResultStream>, Status> {
        let watching = {
            let mut script = self.script();
            script.watched.push(request.into_inner());
            script.watch.pop_front().ok_or_else(|| Status::internal("the script has no such watch"))?
        };
        Ok(Response::new(self.messages(watching)))
    }

    async fn get_result(
        &self,
        request: Request<GetResultRequest>,
    ) -> Result<Response<GetResultResponse>, Status> {
        self.answer(|script| {
            script.asked.push(request.into_inner());
            script.result.pop_front()
        })
    }

    async fn get_job(&self, _: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        self.answer(|script| script.get.pop_front())
    }

    async fn list_jobs(
        &self,
        request: Request<ListJobsRequest>,
    ) -> Result<Response<ListJobsResponse>, Status> {
        self.answer(|script| {
            script.listed.push(request.into_inner());
            script.list.pop_front()
        })
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        self.hold().await;
        self.answer(|script| {
            script.cancelled.push(request.into_inner());
            self.job_cancelled.notify_one();
            script.cancel.pop_front()
        })
    }

    async fn retry(&self, request: Request<RetryRequest>) -> Result<Response<RetryResponse>, Status> {
        self.answer(|script| {
            script.retried.push(request.into_inner());
            script.retry.pop_front()
        })
    }

    async fn delete(&self, _: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        self.answer(|script| script.delete.pop_front())
    }

    async fn batch_submit(
        &self,
        _: Request<BatchSubmitRequest>,
    ) -> Result<Response<BatchSubmitResponse>, Status> {
        Err(Status::unimplemented("the command line does not call it"))
    }

    async fn submit_stream(
        &self,
        _: Request<Streaming<SubmitStreamRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        Err(Status::unimplemented("the command line does not call it"))
    }

    /// A submit followed by a watch.
    async fn run(&self, request: Request<RunRequest>) -> Result<Response<Self::RunStream>, Status> {
        let job = request.into_inner().job;
        let request = Request::new(SubmitRequest { job, validate_only: false });
        let submitted = self.submit(request).await?.into_inner();
        let watching = {
            let mut script = self.script();
            script.watch.pop_front().ok_or_else(|| Status::internal("the script has no such watch"))?
        };
        let submitted = RunResponse { message: Some(run_response::Message::Submitted(submitted)) };
        let events = self.messages(watching).map(|message| {
            let message = message?.message.map(|message| match message {
                watch_result_response::Message::Event(event) => run_response::Message::Event(event),
                watch_result_response::Message::Gap(gap) => run_response::Message::Gap(gap),
                watch_result_response::Message::Heartbeat(heartbeat) => {
                    run_response::Message::Heartbeat(heartbeat)
                }
            });
            Ok(RunResponse { message })
        });
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(submitted)).chain(events))))
    }
}

#[tonic::async_trait]
impl AdminService for Fake {
    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        // A client that does not find a job queries the uptime of the server.
        self.answer(|script| Some(script.info.pop_front().unwrap_or_else(|| Ok(Default::default()))))
    }

    async fn list_queues(
        &self,
        _: Request<ListQueuesRequest>,
    ) -> Result<Response<ListQueuesResponse>, Status> {
        self.answer(|script| script.queues.pop_front())
    }

    async fn get_stats(&self, _: Request<GetStatsRequest>) -> Result<Response<GetStatsResponse>, Status> {
        Err(Status::unimplemented("it counts nothing"))
    }

    async fn pause_queue(
        &self,
        _: Request<PauseQueueRequest>,
    ) -> Result<Response<PauseQueueResponse>, Status> {
        self.answer(|script| script.pause.pop_front())
    }

    async fn resume_queue(
        &self,
        _: Request<ResumeQueueRequest>,
    ) -> Result<Response<ResumeQueueResponse>, Status> {
        self.answer(|script| script.resume.pop_front())
    }

    async fn purge_queue(
        &self,
        request: Request<PurgeQueueRequest>,
    ) -> Result<Response<PurgeQueueResponse>, Status> {
        self.answer(|script| {
            script.purged.push(request.into_inner());
            script.purge.pop_front()
        })
    }

    async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        self.answer(|script| {
            script.workers_listed.push(request.into_inner());
            script.workers.pop_front()
        })
    }

    async fn drain_worker(
        &self,
        request: Request<DrainWorkerRequest>,
    ) -> Result<Response<DrainWorkerResponse>, Status> {
        self.answer(|script| {
            script.drained.push(request.into_inner());
            script.drain.pop_front()
        })
    }

    async fn set_log_level(
        &self,
        _: Request<SetLogLevelRequest>,
    ) -> Result<Response<SetLogLevelResponse>, Status> {
        Err(Status::unimplemented("no log"))
    }
}

#[tonic::async_trait]
impl AccessService for Fake {
    async fn who_am_i(&self, _: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        if self.script().hides_caller {
            future::pending::<()>().await;
        }
        Err(Status::unimplemented("an older server"))
    }

    async fn mint_token(&self, _: Request<MintTokenRequest>) -> Result<Response<MintTokenResponse>, Status> {
        Err(Status::unimplemented("the command line does not call it"))
    }
}

/// A proxy between the command line and a fake server that can drop connections.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    cut: Arc<Notify>,
}

impl Proxy {
    /// Listens on a free port and forwards all bytes.
    pub(super) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let cut = Arc::new(Notify::new());
        let cutter = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let cutter = cutter.clone();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        () = cutter.notified() => {}
                    }
                });
            }
        });
        Self { address, cut }
    }

    /// Drops the open connections.
    pub(super) fn cut(&self) {
        self.cut.notify_waiters();
    }
}
