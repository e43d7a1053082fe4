//! The connection to a server: opened once, used by every call of a command, retried where that is safe.

mod address;
mod backoff;

use std::time::Duration;

use clap::Args;
use jobstream::proto::v1::admin_service_client::AdminServiceClient;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tokio::time;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::error::{self, Cause, Error, Result};
use crate::exit::Exit;
use crate::output::{Output, OutputFormat, Voice, text};
use crate::units;

pub(crate) use address::Address;
pub(crate) use backoff::Backoff;

/// The first try and how many more a call gets.
const TRIES_MAX: u32 = 6;

/// Longest time for one try to connect, where tries do not end.
const LAZY_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A dead server is noticed after these two.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Room for what a fast server sends while stdout is slow.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// The largest answer: a page of jobs with their payloads.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How much later than the server this side gives up on a call, so that the server's own answer comes first.
const DEADLINE_SLACK: Duration = Duration::from_millis(500);

/// Flags of every command that talks to a server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct ClientArgs {
    /// Server, host:port [env: JOBSTREAM_ADDRESS]
    /// [default: http://127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Longest time to connect, and for a server to answer
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_RPC_TIMEOUT", hide_env_values = true, default_value = "10s")]
    rpc_timeout: Duration,
    /// Format of data: json, jsonl, table
    /// [default: table; tab-separated into a pipe]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    #[arg(env = "JOBSTREAM_OUTPUT", hide_env_values = true, hide_possible_values = true)]
    output: Option<OutputFormat>,
}

impl ClientArgs {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the address is none or nobody listens there.
    pub(crate) async fn connect(&self, voice: Voice) -> Result<Client> {
        let address = Address::resolve(self.address.as_deref())?;
        let output = Output::new(voice, self.output);
        let channel = open(&address, self.rpc_timeout).await?;
        Ok(Client { channel, address, timeout: self.rpc_timeout, output })
    }
}

/// A channel that connects when it is first used, and again whenever the connection was lost.
pub(crate) fn lazy(address: &Address) -> Result<Channel> {
    Ok(endpoint(address, LAZY_CONNECT_TIMEOUT)?.connect_lazy())
}

fn endpoint(address: &Address, timeout: Duration) -> Result<Endpoint> {
    let endpoint = Endpoint::from(address.uri.clone())
        .user_agent(concat!("jobstream-cli/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| Error::new(Exit::Other, error.to_string()))?
        .connect_timeout(timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    Ok(endpoint)
}

async fn open(address: &Address, timeout: Duration) -> Result<Channel> {
    let endpoint = endpoint(address, timeout)?;
    let why = match time::timeout(timeout, endpoint.connect()).await {
        Ok(Ok(channel)) => return Ok(channel),
        Ok(Err(error)) => error::innermost(&error),
        Err(_) => format!("no connection within {}", text::duration(timeout)),
    };
    Err(Error::new(Exit::Unreachable, format!("cannot reach the server at {address}: {why}"))
        .hint("start one here with `jobstream dev`")
        .hint("or name another with --address or JOBSTREAM_ADDRESS"))
}

/// A connected server and the streams of this process.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    channel: Channel,
    /// Where the server is.
    pub(crate) address: Address,
    /// How long a call may take.
    pub(crate) timeout: Duration,
    /// Where results and news go.
    pub(crate) output: Output,
}

impl Client {
    /// The calls about jobs.
    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The calls about the server and its queues.
    pub(crate) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// One call, once, with this deadline on both sides.
    pub(crate) async fn once<Q, A>(
        &self,
        message: Q,
        deadline: Duration,
        call: impl AsyncFnOnce(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let mut request = Request::new(message);
        request.set_timeout(deadline);
        match time::timeout(deadline + DEADLINE_SLACK, call(request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) if !error::is_timeout(&status) => Err(status),
            Ok(Err(_)) | Err(_) => Err(Status::deadline_exceeded("")),
        }
    }

    /// One call, tried again a few times while the server is unavailable. Only for calls that may arrive twice.
    ///
    /// # Errors
    ///
    /// What the last try ended with.
    pub(crate) async fn retried<Q: Clone, A>(
        &self,
        message: Q,
        call: impl AsyncFn(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A> {
        self.tried(async || self.once(message.clone(), self.timeout, &call).await).await
    }

    /// Something that may be done twice, tried again a few times while the server is unavailable.
    ///
    /// # Errors
    ///
    /// What the last try ended with.
    pub(crate) async fn tried<A>(&self, once: impl AsyncFn() -> Result<A, Status>) -> Result<A> {
        let mut backoff = Backoff::new();
        for _ in 1..TRIES_MAX {
            match once().await {
                Ok(answer) => return Ok(answer),
                Err(status) if can_retry(&status) => {
                    let pause = backoff.pause(error::retry_delay(&status));
                    self.output.notice(&pause_line(&status, pause));
                    time::sleep(pause).await;
                }
                Err(status) => return Err(self.error(&status)),
            }
        }
        once().await.map_err(|status| self.error(&status))
    }

    /// One call, once, for calls that must not arrive twice.
    ///
    /// # Errors
    ///
    /// What it ended with.
    pub(crate) async fn single<Q, A>(
        &self,
        message: Q,
        call: impl AsyncFnOnce(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A> {
        self.once(message, self.timeout, call).await.map_err(|status| self.error(&status))
    }

    /// The status as an error that names this server.
    pub(crate) fn error(&self, status: &Status) -> Error {
        error::from_status(status, &self.address.to_string())
    }
}

/// That there is a pause before the next try, and why.
pub(crate) fn pause_line(status: &Status, pause: Duration) -> String {
    let why = match error::cause(status) {
        Cause::Server(reason) => format!("the server is unavailable ({reason})"),
        Cause::Transport | Cause::Peer => "lost the server".to_owned(),
    };
    format!("{why}: trying again in {}", text::duration(pause))
}

/// Whether the same call may succeed later: the server was away, or the connection broke under it.
fn can_retry(status: &Status) -> bool {
    match error::cause(status) {
        Cause::Server(_) | Cause::Peer => status.code() == Code::Unavailable,
        // A second wait for a server that does not answer would double what --rpc-timeout promises.
        Cause::Transport => status.code() != Code::DeadlineExceeded,
    }
}
