//! The Rust client and worker behind a proxy that requires a header.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jobstream::client::{BearerToken, Client, ClientOptions, ErrorKind, reason};
use jobstream::worker::{JobContext, RemoteOptions, Worker, WorkerEnd};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::TOKEN;
use crate::support::{Dev, Nginx, ScriptedServer, needs, terms, wait_for};

/// The function of a token that returns these in turn, and the last one for ever. Returns how often it was called, too.
fn in_turn(tokens: &'static [&'static str]) -> (BearerToken, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let token = BearerToken::from_fn(move || {
        let call = counted.fetch_add(1, Ordering::Relaxed).min(tokens.len() - 1);
        async move {
            match tokens[call] {
                "" => Err("the vault is sealed"),
                token => Ok(token.to_owned()),
            }
        }
    });
    (token, calls)
}

async fn guarded() -> (Dev, Nginx) {
    let dev = Dev::start(&[]).await;
    let nginx = Nginx::guarding(&dev.address, "authorization", &format!("Bearer {TOKEN}")).await;
    (dev, nginx)
}

async fn client(nginx: &Nginx, token: BearerToken) -> Client {
    let mut options = ClientOptions::default();
    options.token = Some(token);
    let address = format!("http://127.0.0.1:{}", nginx.grpc);
    wait_for("a connection", Client::connect_with(&address, options)).await.expect("a connection")
}

async fn echo(client: &Client) -> jobstream::client::Result<i64, jobstream::client::ResultError> {
    wait_for("a result", client.job("demo.echo").json(&7).expect("JSON").run()).await
}

#[tokio::test]
async fn calls_and_streams_have_the_token() {
    needs!("nginx");
    let (_dev, nginx) = guarded().await;
    let client = client(&nginx, TOKEN.into()).await;
    assert_eq!(echo(&client).await.expect("a result"), 7);
    let job = client.job("demo.echo").json(&8).expect("JSON").submit::<i64>().await.expect("accepted");
    assert_eq!(wait_for("the result", job.result()).await.expect("a result"), 8);
    let mut watch = job.watch();
    wait_for("an event", watch.next()).await.expect("an event").expect("no error");
    client.server_info().await.expect("an answer");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    needs!("nginx");
    let (_dev, nginx) = guarded().await;
    let (token, calls) = in_turn(&["jst_old", TOKEN]);
    let client = client(&nginx, token).await;
    client.server_info().await.expect("an answer");
    assert_eq!(calls.load(Ordering::Relaxed), 2);

    let (token, calls) = in_turn(&["jst_old"]);
    let refused = self::client(&nginx, token).await;
    let job = client.job("demo.echo").json(&7).expect("JSON").submit::<i64>().await.expect("accepted");
    let error = wait_for("an error", refused.server_info()).await.expect_err("refused");
    assert_eq!((error.kind(), calls.swap(0, Ordering::Relaxed)), (ErrorKind::Unauthenticated, 2), "{error}");
    let mut watch = refused.attach::<i64>(job.id()).watch();
    let error = wait_for("an error", watch.next()).await.expect("an item").expect_err("refused");
    assert_eq!((error.kind(), calls.swap(0, Ordering::Relaxed)), (ErrorKind::Unauthenticated, 2), "{error}");
    let error = wait_for("an error", refused.attach::<i64>(job.id()).outcome()).await.expect_err("refused");
    assert_eq!((error.kind(), calls.swap(0, Ordering::Relaxed)), (ErrorKind::Unauthenticated, 2), "{error}");
    assert!(!format!("{error:?} {error}").contains("jst_"), "{error:?}");
}

#[tokio::test]
async fn a_function_that_fails_is_called_again() {
    needs!("nginx");
    let (_dev, nginx) = guarded().await;
    let (token, calls) = in_turn(&["", "", TOKEN]);
    let client = client(&nginx, token).await;
    client.server_info().await.expect("an answer");
    assert_eq!(calls.load(Ordering::Relaxed), 3);

    let (token, _) = in_turn(&[""]);
    let mut options = ClientOptions::default();
    (options.token, options.retry.tries_max) = (Some(token), 2);
    let failing = Client::lazy(&format!("http://127.0.0.1:{}", nginx.grpc), options).expect("a client");
    let error = wait_for("an error", failing.server_info()).await.expect_err("no token");
    assert_eq!((error.kind(), error.reason()), (ErrorKind::Unavailable, reason::TOKEN_UNAVAILABLE));
    assert!(error.message().contains("the vault is sealed"), "{error}");
}

fn worker() -> Worker {
    Worker::new().name("adder").handler("add", |_: JobContext, number: i64| async move { Ok(number + 1) })
}

#[tokio::test]
async fn a_worker_replaces_its_token_once_and_ends_if_it_is_refused() {
    needs!("nginx");
    let (_dev, nginx) = guarded().await;
    let (token, calls) = in_turn(&["jst_old", TOKEN]);
    let client = client(&nginx, token).await;
    let running = worker().connect(&client, RemoteOptions::default()).expect("valid");
    let sum: i64 =
        wait_for("a result", client.job("add").json(&1).expect("JSON").run()).await.expect("a result");
    assert_eq!(sum, 2);
    running.stop(Duration::ZERO).await;

    calls.store(0, Ordering::Relaxed);
    let (token, calls) = in_turn(&["jst_old"]);
    let refused = self::client(&nginx, token).await;
    let running = worker().connect(&refused, RemoteOptions::default()).expect("valid");
    match wait_for("its end", running.wait()).await {
        WorkerEnd::Refused(status) => assert_eq!(status.code(), Code::Unauthenticated),
        end => panic!("{end:?}"),
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_worker_resumes_with_a_new_token_after_its_credential_expired() {
    let mut server = ScriptedServer::start().await;
    let (token, calls) = in_turn(&["jst_old", TOKEN]);
    let mut options = ClientOptions::default();
    options.token = Some(token);
    let client = Client::lazy(&server.url(), options).expect("a client");
    let running = worker().connect(&client, RemoteOptions::default()).expect("valid");
    let (stream, _) = server.joined(terms()).await;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let details = ErrorDetails::with_error_info("CREDENTIAL_EXPIRED", "jobstream", HashMap::new());
    stream.fail(Status::with_error_details(Code::Unavailable, "the credential has expired", details)).await;
    server.joined(terms()).await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    running.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn metadata_is_sent_with_every_call() {
    needs!("nginx");
    let dev = Dev::start(&[]).await;
    let nginx = Nginx::guarding(&dev.address, "x-tenant", "a").await;
    let mut options = ClientOptions::default();
    options.metadata.add("X-Tenant", "a").expect("valid");
    let client = Client::lazy(&format!("http://127.0.0.1:{}", nginx.grpc), options).expect("a client");
    assert_eq!(echo(&client).await.expect("a result"), 7);
}
