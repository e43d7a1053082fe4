//! The connection of a command: its flags, its client, and how its failed calls and retries are shown.

mod address;
mod credentials;
mod server;
mod tls;

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use jobstream::client::{self, ClientOptions, ErrorKind, Retrying, reason};
use tokio::time::Instant;

use crate::error::{self, Error, Result};
use crate::output::{Format, GlobalArgs, Output, text};
use crate::units;

pub(crate) use address::Address;
#[cfg(test)]
pub(crate) use address::Source;
pub(crate) use credentials::CredentialArgs;
pub(crate) use server::{ADDRESS, CONTEXT, ServerArgs, check, variable};
use server::{Defaults, file_of_variable};
pub(crate) use tls::TlsArgs;

/// Sent to the server as the user agent.
const NAME: &str = concat!("jobstream-cli/", env!("CARGO_PKG_VERSION"));

/// Longest pause before the second try of a call; it doubles, so that six tries outlast the restart of a server.
const FIRST_PAUSE: Duration = Duration::from_millis(400);

/// Most jobs on a page of a list, the limit of servers.
pub(crate) const PAGE_JOBS_MAX: u32 = 1_000;

/// Flags of every command that talks to a server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Timeout for connecting, and for a call with its retries
    #[arg(long, value_name = "SPAN", value_parser = units::timeout)]
    #[arg(env = "JOBSTREAM_RPC_TIMEOUT", hide_env_values = true, default_value = "10s")]
    rpc_timeout: Duration,
    /// Format of data: json, jsonl, table
    /// [default: table; tab-separated into a pipe]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    #[arg(env = "JOBSTREAM_OUTPUT", hide_env_values = true, hide_possible_values = true)]
    output: Option<Format>,
}

/// Flags of commands that wait for a job or watch it.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ReconnectArgs {
    /// How long to reconnect to a lost server; 0 gives up at once
    #[arg(long, value_name = "SPAN", value_parser = units::duration, default_value = "1m")]
    #[arg(env = "JOBSTREAM_RECONNECT", hide_env_values = true)]
    reconnect: Duration,
}

impl ClientArgs {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the address is invalid or no server listens there.
    pub(crate) async fn connect(&self, global: GlobalArgs) -> Result<Client> {
        self.connect_with(global, ClientOptions::default()).await
    }

    /// Connects, for waits and watches that reconnect.
    ///
    /// # Errors
    ///
    /// As [`ClientArgs::connect`].
    pub(crate) async fn reconnecting(&self, global: GlobalArgs, args: ReconnectArgs) -> Result<Client> {
        let mut options = ClientOptions::default();
        options.patience = args.reconnect;
        self.connect_with(global, options).await
    }

    async fn connect_with(&self, global: GlobalArgs, mut options: ClientOptions) -> Result<Client> {
        let output = Output::new(global, self.output);
        let address = self.server.apply(&mut options, &output)?;
        options.connect_timeout = self.rpc_timeout;
        options.call_timeout = self.rpc_timeout;
        options.retry.first_pause = FIRST_PAUSE;
        options.retry.when_exhausted = false;
        options.name = NAME.to_owned();
        match client::Client::connect_with(&address.url(), options).await {
            Ok(api) => Ok(Client { api, address, rpc_timeout: self.rpc_timeout, output }),
            Err(error) => Err(error::from_connect(&error, &address)),
        }
    }
}

/// A client that connects with its first call.
///
/// # Errors
///
/// If the files of TLS or the token cannot be used.
pub(crate) fn lazy(address: &Address, mut options: ClientOptions) -> Result<client::Client> {
    options.name = NAME.to_owned();
    client::Client::lazy(&address.url(), options).map_err(|error| error::from_options(&error))
}

/// A connected client and the output streams of this process.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The calls.
    pub(crate) api: client::Client,
    /// Where the server is.
    pub(crate) address: Address,
    /// Timeout of a call with its retries.
    pub(crate) rpc_timeout: Duration,
    /// Where data and messages go.
    pub(crate) output: Output,
}

impl Client {
    /// Awaits a call and shows its retries on stderr.
    ///
    /// # Errors
    ///
    /// What the last try ended with.
    pub(crate) async fn call<T>(&self, call: impl Future<Output = client::Result<T>>) -> Result<T> {
        self.showing_retries(call).await.map_err(|error| self.error(&error))
    }

    /// Awaits one or more calls and shows their retries on stderr: of calls that are retried at the same time, one.
    pub(crate) async fn showing_retries<T>(&self, calls: impl Future<Output = T>) -> T {
        let mut retries = self.api.retries();
        let mut calls = pin!(calls);
        let mut shown_until = Instant::now();
        loop {
            tokio::select! {
                biased;
                answer = &mut calls => return answer,
                Ok(()) = retries.changed() => {
                    let retrying = retries.borrow_and_update();
                    if let Some(retrying) = retrying.as_ref().filter(|_| Instant::now() >= shown_until) {
                        shown_until = Instant::now() + retrying.pause;
                        self.output.notice(&retry_line(retrying));
                    }
                }
            }
        }
    }

    /// The error of a call, with this server's name.
    pub(crate) fn error(&self, error: &client::Error) -> Error {
        error::from_client(error, &self.address)
    }

    /// The error of a wait or a watch: with the command that resumes it, if the server was lost.
    pub(crate) fn resumable(&self, error: Error, command: &str) -> Error {
        match error.exit.is_temporary() {
            true => error.hint(format!("resume with `{command}{}`", self.address.as_flag())),
            false => error,
        }
    }
}

/// Why a call is sent again, and when.
pub(crate) fn retry_line(Retrying { error, pause }: &Retrying) -> String {
    let why = match error.kind() {
        _ if error.reason() == reason::TOKEN_UNAVAILABLE => error.message().to_owned(),
        ErrorKind::Unavailable | ErrorKind::ResourceExhausted => {
            format!("the server is unavailable ({})", error.reason())
        }
        _ => "lost the server".to_owned(),
    };
    format!("{why}: trying again in {}", text::duration(*pause))
}
