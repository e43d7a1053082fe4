//! Interceptors of clients and workers: their order, what they change, and how they refuse.

use jobstream::client::{
    BoxFuture, Client, Error, NextSubmit, Result, Submission, SubmitInterceptor, reason,
};
use jobstream::job::Payload;
use jobstream::proto::v1::JobSpec;
use jobstream::worker::{HandlerInterceptor, JobContext, JobError, NextHandler, Worker};

use crate::support::{Setup, TestServer, connect_worker};

/// Adds its name to a label, and refuses jobs of the kind `refused`.
struct Label(&'static str);

impl SubmitInterceptor for Label {
    fn submit<'a>(&'a self, mut job: JobSpec, next: NextSubmit<'a>) -> BoxFuture<'a, Result<Submission>> {
        Box::pin(async move {
            if job.kind == "refused" {
                return Err(Error::of_interceptor("no job of this kind is submitted here"));
            }
            *job.labels.entry("path".to_owned()).or_default() += self.0;
            job.job_id.clear();
            next.submit(job).await
        })
    }
}

/// Adds its name to the payload before the handler and to the result after it.
struct Mark(&'static str);

impl HandlerInterceptor for Mark {
    fn run<'a>(
        &'a self,
        context: JobContext,
        next: NextHandler<'a>,
    ) -> BoxFuture<'a, std::result::Result<Payload, JobError>> {
        Box::pin(async move {
            if context.header("refuse").is_some() {
                return Err(JobError::permanent("refused by an interceptor"));
            }
            let payload = added(context.payload(), self.0);
            let result = next.run(context.with_payload(payload)).await?;
            Ok(added(&result, self.0))
        })
    }
}

fn added(payload: &Payload, name: &str) -> Payload {
    Payload::text(format!("{}{name}", String::from_utf8_lossy(&payload.bytes)))
}

fn marked(worker: Worker) -> Worker {
    worker
        .interceptor(Mark("a"))
        .interceptor(Mark("b"))
        .raw_handler("test.async", async |context: JobContext| Ok(context.payload().clone()))
        .inline_handler("test.inline", |job| Ok(job.payload))
}

async fn client(server: &TestServer) -> Client {
    let client = Client::connect(&format!("http://{}", server.address)).await.expect("a server");
    client.interceptor(Label("a")).interceptor(Label("b"))
}

#[tokio::test]
async fn submit_interceptors_run_in_order_around_every_way_to_submit() {
    let server = TestServer::start().await;
    let client = client(&server).await;
    let path = async |id| {
        let job = client.get(id).await.expect("the job exists");
        job.spec.options.expect("options").labels["path"].clone()
    };
    let request = client.job("demo.echo").text("x");
    let job = request.submit::<String>().await.expect("accepted");
    assert!(job.submission().expect("submitted").is_new);
    assert_eq!(job.id(), request.job_id(), "the id is not changed");
    assert_eq!((path(job.id()).await.as_str(), job.await.expect("a result").as_str()), ("ab", "x"));

    let request = client.job("demo.echo").text("y");
    assert_eq!(request.run::<String>().await.expect("a result"), "y");
    assert_eq!(path(request.job_id()).await, "ab");

    let requests: Vec<_> = (0..3).map(|_| client.job("demo.echo").text("z")).collect();
    for job in client.submit_all::<String>(requests).await {
        assert_eq!(path(job.expect("accepted").id()).await, "ab");
    }
}

#[tokio::test]
async fn an_interceptor_refuses_one_job_of_a_batch() {
    let server = TestServer::start().await;
    let client = client(&server).await;
    let kinds = ["demo.echo", "refused", "demo.echo", "not a kind"];
    let requests = kinds.map(|kind| client.job(kind).text("x")).to_vec();
    let jobs = client.submit_all::<String>(requests).await;
    let reasons: Vec<_> = jobs.iter().map(|job| job.as_ref().err().map(Error::reason)).collect();
    assert_eq!(reasons, [None, Some(reason::INTERCEPTED), None, Some("INVALID_FIELD")]);
    let error = client.job("refused").submit::<()>().await.expect_err("it is refused");
    assert_eq!(error.message(), "no job of this kind is submitted here");
    let all_refused = client.submit_all::<()>(vec![client.job("refused")]).await;
    assert_eq!(all_refused[0].as_ref().expect_err("it is refused").reason(), reason::INTERCEPTED);
}

#[tokio::test]
async fn handler_interceptors_run_in_order_in_the_pool_and_in_a_remote_worker() {
    let pool = TestServer::with(|setup: &mut Setup| setup.worker = marked(Worker::new())).await;
    let server = TestServer::start().await;
    let _remote = connect_worker(marked(Worker::new()), server.channel()).await;
    for server in [&pool, &server] {
        let client = client(server).await;
        for kind in ["test.async", "test.inline"] {
            let result = client.job(kind).text("x").run::<String>().await.expect("a result");
            assert_eq!(result, "xabba", "{kind}");
        }
    }
}

#[tokio::test]
async fn a_handler_interceptor_fails_an_attempt() {
    let server = TestServer::with(|setup: &mut Setup| setup.worker = marked(Worker::new())).await;
    let client = client(&server).await;
    let failed = client.job("test.async").header("refuse", "1").run::<String>().await.expect_err("it fails");
    assert!(failed.to_string().contains("refused by an interceptor"), "{failed}");
}
