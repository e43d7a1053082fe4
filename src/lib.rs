//! jobstream: submit a job, get its result, watch it live, over gRPC.
//!
//! A job is a small stream of numbered events that ends in one outcome. A [`Server`](server::Server) accepts jobs and
//! leases them to workers. A [`Worker`](worker::Worker) runs them, in the server's process or on another machine. A
//! [`Client`](client::Client) submits jobs, gets their results and follows their events. In-process programs may call the
//! [`Engine`](engine::Engine) directly: it gives the same promises as the network API.
//!
//! # A server in a program
//!
//! ```
//! use std::net::TcpListener;
//!
//! use jobstream::engine::{Engine, EngineOptions};
//! use jobstream::server::{Server, ServerOptions, Shutdown};
//! use jobstream::worker::Worker;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::start(EngineOptions::default());
//! let worker = Worker::new().handler("double", async |_, number: i64| Ok(number * 2)).start(&engine)?;
//! let server = Server::new(engine, ServerOptions::default()).with_worker(worker);
//! let shutdown = Shutdown::on_signals()?;
//! # shutdown.graceful.cancel();
//! server.run(TcpListener::bind("127.0.0.1:0")?, shutdown).await?;
//! # Ok(()) }
//! ```
//!
//! `Engine::open` in place of `Engine::start` stores jobs in a write-ahead log on disk.
//!
//! # A client
//!
//! ```no_run
//! use jobstream::client::{Client, ResultError};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("http://127.0.0.1:7070").await?;
//! let job = client.job("double").json(&21)?.submit::<i64>().await?;
//! println!("accepted: {}", job.id());
//! match job.await {
//!     Ok(number) => println!("result: {number}"),
//!     Err(ResultError::Failed { failure, .. }) => println!("failed: {}", failure.message),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(()) }
//! ```
//!
//! # A worker on another machine
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use jobstream::client::{Client, ClientOptions};
//! use jobstream::worker::{JobContext, JobError, RemoteOptions, Worker};
//!
//! async fn double(context: JobContext, number: i64) -> Result<i64, JobError> {
//!     context.progress(0.5, "doubling");
//!     number.checked_mul(2).ok_or_else(|| JobError::permanent("the number is too large"))
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::lazy("http://127.0.0.1:7070", ClientOptions::default())?;
//! let worker = Worker::new().slots(8).handler("double", double);
//! worker.connect(&client, RemoteOptions::default())?.until_signal(Duration::from_secs(30)).await?;
//! # Ok(()) }
//! ```
//!
//! # Modules
//!
//! | module | what it holds |
//! |---|---|
//! | [`client`] | the typed client: retries, waits and watches that survive lost connections |
//! | [`worker`] | handlers, programs and HTTP endpoints as handlers, the in-process pool, the remote worker |
//! | [`server`] | the listener, its limits, graceful shutdown |
//! | [`engine`] | the job engine: submit, watch, cancel, queues, without a network |
//! | [`testing`] | a server in one line and single attempts of a handler, for tests |
//! | [`job`] | ids, specs, payloads, events, outcomes |
//! | [`proto`] | the generated messages and stubs |
//! | [`error`] | the error of the engine |
//! | [`memory`] | the memory budget that bounds derive from |
//! | [`metrics`] | the names and meanings of the server's metrics |
//! | [`wal`] | options and inspection of the write-ahead log |
//! | [`signals`] | SIGINT, SIGTERM and SIGHUP |
//! | [`access`] | principals, grants and their decisions |
//! | [`clock`] | time, as the engine reads it |
//!
//! # Features
//!
//! All but the last two are on by default. A program that needs a part names it, with `default-features = false`. Each of the
//! first four includes the one before.
//!
//! | feature | what it adds |
//! |---|---|
//! | `client` | module `client`: the typed client |
//! | `worker` | modules `worker` and `signals`: handlers, programs and HTTP endpoints that run jobs of a server elsewhere |
//! | `server` | modules `engine`, `memory`, `server`, `testing` and `wal`, and workers inside the server's process |
//! | `cli` | the binary `jobstream` |
//! | `tls` | TLS of the client, of the server and of `https` endpoints as handlers, and JSON Web Tokens; it needs a C compiler |
//! | `dev-tls` | `jobstream dev --tls` of the binary, which makes certificates |
//! | `mimalloc` | the allocator of the binary |
//! | `otel` | spans of OpenTelemetry: `client::Spans`; export of spans and metrics over OTLP |
//! | `full` | everything |
//!
//! Modules `access`, `clock`, `error`, `job` and `proto` need no feature.

// A build with a part of the features leaves some shared code unused.
#![cfg_attr(not(feature = "server"), allow(dead_code, unused_imports))]

pub mod access;
#[cfg(feature = "server")]
pub(crate) mod api;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "server")]
pub(crate) mod core;
#[cfg(feature = "server")]
pub mod engine;
pub mod error;
#[cfg(all(any(test, fuzzing), feature = "server"))]
pub mod fuzzing;
pub mod job;
#[cfg(feature = "worker")]
pub(crate) mod log_limit;
#[cfg(feature = "server")]
pub mod memory;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "tls")]
pub(crate) mod pem;
pub mod proto;
pub mod secret_file;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "worker")]
pub mod signals;
#[cfg(feature = "server")]
pub mod testing;
#[cfg(feature = "server")]
pub mod wal;
#[cfg(feature = "worker")]
pub mod worker;

/// Tests share files with those that see the library from outside.
#[cfg(test)]
extern crate self as jobstream;

/// The Rust of the clients' page compiles.
#[cfg(doctest)]
#[doc = include_str!("../clients/README.md")]
struct ClientsPage;
