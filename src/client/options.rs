//! The options of the client, with their defaults.

use std::time::Duration;

use super::{BearerToken, CallMetadata};
use crate::job::EventTypes;

/// Options of a [`Client`](super::Client): timeouts, retries, keepalive and credentials. Start from [`Default`] and set fields.
///
/// ```
/// use std::time::Duration;
///
/// use jobstream::client::{Client, ClientOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobstream::client::Result<()> {
/// let mut options = ClientOptions::default();
/// options.call_timeout = Duration::from_secs(5);
/// options.retry.tries_max = 3;
/// let client = Client::lazy("http://127.0.0.1:7070", options)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Timeout for opening a connection. Default 10 s.
    pub connect_timeout: Duration,
    /// Timeout of one call with all its retries; each try sends the remaining time as its deadline. For a wait or a watch
    /// it bounds each request, not the whole. Default 30 s.
    pub call_timeout: Duration,
    /// How calls are retried.
    pub retry: RetryOptions,
    /// How long a watch or a wait reconnects to an unavailable server before it gives up. Any response of the server
    /// restarts this time. Default 5 min.
    pub patience: Duration,
    /// HTTP/2 keepalive: while calls are open, a PING is sent after this long without traffic. Default 20 s.
    pub keepalive_interval: Duration,
    /// A connection is closed when a PING is not answered within this time. Default 10 s.
    pub keepalive_timeout: Duration,
    /// The user agent. Default `jobstream-rust/` and the version.
    pub name: String,
    /// The token that is sent with every call. Default none.
    pub token: Option<BearerToken>,
    /// Whether a token may be sent in plain text to a host that is not loopback: everyone on the way can read it. Default
    /// false.
    pub allow_insecure_token: bool,
    /// Further metadata of every call and stream. Default none.
    pub metadata: CallMetadata,
    /// TLS of addresses that begin with `https://`.
    #[cfg(feature = "tls")]
    pub tls: super::ClientTls,
}

impl ClientOptions {
    /// Whether another call may have another token.
    pub(super) fn renews_token(&self) -> bool {
        self.token.as_ref().is_some_and(BearerToken::is_renewed)
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            retry: RetryOptions::default(),
            patience: Duration::from_secs(5 * 60),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            name: concat!("jobstream-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            token: None,
            allow_insecure_token: false,
            metadata: CallMetadata::default(),
            #[cfg(feature = "tls")]
            tls: super::ClientTls::default(),
        }
    }
}

/// How often a call is retried, with exponential back-off and full jitter.
///
/// A pause is random between zero and a bound that doubles from `first_pause` to `longest_pause`, plus the delay that the
/// server requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryOptions {
    /// Tries in all, the first included. Default 6.
    pub tries_max: u32,
    /// Longest pause before the second try. Default 100 ms.
    pub first_pause: Duration,
    /// Longest pause before any try, unless the server requests more. Default 5 s.
    pub longest_pause: Duration,
    /// Whether a call is retried after RESOURCE_EXHAUSTED: the queue is full, or another limit is reached. Default true.
    pub when_exhausted: bool,
}

impl Default for RetryOptions {
    fn default() -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(100), Duration::from_secs(5));
        Self { tries_max: 6, first_pause, longest_pause, when_exhausted: true }
    }
}

/// Options of a [`Watch`](super::Watch). Start from [`Default`] and set fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchOptions {
    /// Only events with a larger sequence. Default 0: from the start.
    pub after_sequence: u32,
    /// Which events. The one that ends the job is always included. Default all.
    pub types: EventTypes,
    /// The server sends a heartbeat after this long without an event, 1 s to 1 h. A stream without a message for three of
    /// them is opened again, on another connection. Default 15 s.
    pub heartbeat: Duration,
}

/// Options of a [`Feed`](super::Feed). Start from [`Default`] and set fields.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedOptions {
    /// Continue after this cursor of another feed. Default empty: from now on.
    pub after_cursor: String,
    /// The server sends a heartbeat after this long without a change, 1 s to 1 h. A stream without a message for three of
    /// them is opened again, on another connection. Default 15 s.
    pub heartbeat: Duration,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self { after_cursor: String::new(), heartbeat: Duration::from_secs(15) }
    }
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { after_sequence: 0, types: EventTypes::ALL, heartbeat: Duration::from_secs(15) }
    }
}
