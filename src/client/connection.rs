//! The connection to one server, shared by every call, and replaced when it is no longer trusted.

use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use tokio::time;
use tonic::transport::{Channel, Endpoint};

use super::error::{Error, ErrorKind, Result, reason};
use super::{ClientOptions, status};

/// Room for what a fast server sends while the caller reads slowly, on all streams and on one.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// One server's address and the channel in use.
#[derive(Debug)]
pub(crate) struct Connection {
    endpoint: Endpoint,
    address: String,
    current: Mutex<Numbered>,
}

/// A channel and how many there were before it.
#[derive(Debug, Clone)]
pub(crate) struct Numbered {
    pub(crate) channel: Channel,
    number: u64,
}

impl Connection {
    /// Connects at once.
    pub(super) async fn open(address: &str, options: &ClientOptions) -> Result<Self> {
        let (address, endpoint) = endpoint(address, options)?;
        let why = match time::timeout(options.connect_timeout, endpoint.connect()).await {
            Ok(Ok(channel)) => return Ok(Self::new(address, endpoint, channel)),
            Ok(Err(error)) => status::innermost(&error),
            Err(_) => format!("no connection within {:?}", options.connect_timeout),
        };
        Err(status::unreachable(&address, &why))
    }

    /// Connects with the first call.
    pub(super) fn lazy(address: &str, options: &ClientOptions) -> Result<Self> {
        let (address, endpoint) = endpoint(address, options)?;
        let channel = endpoint.connect_lazy();
        Ok(Self::new(address, endpoint, channel))
    }

    fn new(address: String, endpoint: Endpoint, channel: Channel) -> Self {
        Self { endpoint, address, current: Mutex::new(Numbered { channel, number: 0 }) }
    }

    /// Where the server is, as in messages.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The channel in use; it reconnects by itself when its connection breaks.
    pub(crate) fn current(&self) -> Numbered {
        self.current.lock().clone()
    }

    /// Gives up a channel whose connection is open and silent: the next call opens another. Does nothing if that has
    /// been done already. Calls on the old one go on.
    pub(crate) fn replace(&self, silent: &Numbered) {
        let mut current = self.current.lock();
        if current.number == silent.number {
            *current = Numbered { channel: self.endpoint.connect_lazy(), number: silent.number + 1 };
        }
    }
}

fn endpoint(address: &str, options: &ClientOptions) -> Result<(String, Endpoint)> {
    let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let uri: Uri = address.parse().map_err(|error| bad_address(&address, &format!("{error}")))?;
    if uri.scheme_str() != Some("http") {
        return Err(bad_address(&address, "only http is spoken here: end TLS in a proxy"));
    }
    let endpoint = Endpoint::from(uri)
        .user_agent(options.name.as_str())
        .map_err(|_| Error::new(ErrorKind::InvalidArgument, reason::INVALID_FIELD, bad_name(options)))?
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(None::<Duration>)
        .http2_keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    Ok((address, endpoint))
}

fn bad_address(address: &str, why: &str) -> Error {
    let message = format!("{address} is no address of a server: {why}: write http://host:port");
    Error::new(ErrorKind::InvalidArgument, reason::INVALID_FIELD, message)
}

fn bad_name(options: &ClientOptions) -> String {
    format!("the name {:?} cannot be sent as a user agent: use printable ASCII", options.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_needs_no_scheme_but_no_other_than_http() {
        let lazy = |address| Connection::lazy(address, &ClientOptions::default());
        assert_eq!(lazy("jobs:7070").unwrap().address(), "http://jobs:7070");
        assert_eq!(lazy("http://[::1]:7070").unwrap().address(), "http://[::1]:7070");
        for address in ["https://jobs:7070", "http://", "", "jobs 7070"] {
            let error = lazy(address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{address}: {error}");
        }
    }

    #[tokio::test]
    async fn a_channel_is_replaced_once() {
        let connection = Connection::lazy("jobs:7070", &ClientOptions::default()).unwrap();
        let silent = connection.current();
        connection.replace(&silent);
        connection.replace(&silent);
        assert_eq!(connection.current().number, 1);
    }
}
