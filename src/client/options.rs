//! Every bound of the client, with its default.

use std::time::Duration;

use crate::job::EventTypes;

/// How a [`Client`](super::Client) connects, how long it waits and how often it tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// Longest time to open a connection. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest time of one call with all its tries; each try carries what is left as its deadline. A wait for a result
    /// and an open watch are not bounded by it, only their single steps. Default 30 s.
    pub call_timeout: Duration,
    /// How calls that may arrive twice are tried again.
    pub retry: RetryOptions,
    /// How long a watch or a wait for a result looks for a server that is away before it gives up. Any word of the
    /// server starts it anew. Default 5 min.
    pub patience: Duration,
    /// HTTP/2 PING after each silence of this length, so that a dead connection is noticed. Default 10 s.
    pub keepalive_interval: Duration,
    /// A connection that leaves a PING unanswered for this long is given up. Default 5 s.
    pub keepalive_timeout: Duration,
    /// Who is calling, sent as the user agent. Default `jobstream-rust/` and the version.
    pub name: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            retry: RetryOptions::default(),
            patience: Duration::from_secs(5 * 60),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            name: concat!("jobstream-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// How often a call is tried and how long it pauses in between.
///
/// A pause is chance between nothing and a length that doubles from `first_pause` to `longest_pause`, plus what the
/// server asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// Tries in all, the first included. Default 6.
    pub tries_max: u32,
    /// Longest pause before the second try. Default 100 ms.
    pub first_pause: Duration,
    /// Longest pause before any try, unless the server asks for more. Default 5 s.
    pub longest_pause: Duration,
    /// Whether a call that a bound of the server refuses (RESOURCE_EXHAUSTED) is sent again. Default yes.
    pub when_exhausted: bool,
}

impl Default for RetryOptions {
    fn default() -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(100), Duration::from_secs(5));
        Self { tries_max: 6, first_pause, longest_pause, when_exhausted: true }
    }
}

/// What a [`Watch`](super::Watch) tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchOptions {
    /// Only events with a larger sequence. Default 0: from the start.
    pub after_sequence: u32,
    /// Which events; the one that ends the job is always told. Default all.
    pub types: EventTypes,
    /// The server is to say that it is there after each silence of this length, 1 s to 1 h. A stream that is silent for
    /// three of them is given up and opened anew, on another connection. Default 15 s.
    pub heartbeat: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { after_sequence: 0, types: EventTypes::ALL, heartbeat: Duration::from_secs(15) }
    }
}
