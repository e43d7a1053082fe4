//! The connections to one server: one for short calls, more when many calls stay open. A connection that stops answering
//! is replaced.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use tokio::time;
use tonic::transport::{self, Endpoint};

use super::credentials::Credentials;
use super::error::{Error, ErrorKind, Result, reason};
use super::{Channel, ClientOptions, status};

/// HTTP/2 flow-control windows of a connection and of one stream.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// Watches and waits on one connection before another is opened. Servers allow about a thousand streams on each, and
/// short calls must not queue behind open ones.
const HELD_CALLS_MAX: usize = 900;
/// Most connections at a time. Beyond it watches and waits share them and queue.
const CONNECTIONS_MAX: usize = 64;

/// One server's address and the channels in use, at least one.
#[derive(Debug)]
pub(crate) struct Connection {
    target: Target,
    address: String,
    links: Mutex<Vec<Link>>,
}

/// How to connect to the server, and what to add to each call.
#[derive(Debug)]
struct Target {
    endpoint: Endpoint,
    credentials: Option<Arc<Credentials>>,
    #[cfg(feature = "tls")]
    tls: Option<super::tls::TlsConnect>,
}

impl Target {
    fn plain(uri: Uri) -> Self {
        Self {
            endpoint: Endpoint::from(uri),
            credentials: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    async fn connect(&self) -> Result<transport::Channel, transport::Error> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return self.endpoint.connect_with_connector(tls.clone()).await;
        }
        self.endpoint.connect().await
    }

    /// The channel connects with its first call.
    fn connect_lazy(&self) -> transport::Channel {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return self.endpoint.connect_with_connector_lazy(tls.clone());
        }
        self.endpoint.connect_lazy()
    }
}

/// A channel, for as long as a call uses it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) channel: Channel,
    /// One clone for each user, and one for the list.
    users: Arc<()>,
}

impl Link {
    fn new(channel: transport::Channel, address: &str, target: &Target) -> Self {
        let channel = Channel::new(channel, address, target.credentials.clone());
        Self { channel, users: Arc::default() }
    }

    fn users(&self) -> usize {
        Arc::strong_count(&self.users) - 1
    }
}

impl Connection {
    /// Connects at once.
    pub(super) async fn open(address: &str, options: &ClientOptions) -> Result<Self> {
        let (address, target) = target(address, options)?;
        let why = match time::timeout(options.connect_timeout, target.connect()).await {
            Ok(Ok(channel)) => return Ok(Self::new(address, target, channel)),
            Ok(Err(error)) => return Err(status::unreachable_by(&address, &error)),
            Err(_) => format!("no connection within {:?}", options.connect_timeout),
        };
        Err(status::unreachable(&address, &why))
    }

    /// Connects with the first call.
    pub(super) fn lazy(address: &str, options: &ClientOptions) -> Result<Self> {
        let (address, target) = target(address, options)?;
        let channel = target.connect_lazy();
        Ok(Self::new(address, target, channel))
    }

    fn new(address: String, target: Target, channel: transport::Channel) -> Self {
        let links = Mutex::new(vec![Link::new(channel, &address, &target)]);
        Self { target, address, links }
    }

    /// The server's address, as error messages show it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The channel for short calls. It reconnects by itself.
    pub(crate) fn for_short_calls(&self) -> Channel {
        self.links.lock()[0].channel.clone()
    }

    /// The channel for a call that stays open. The link counts the call until it is dropped.
    pub(crate) fn for_held_call(&self) -> Link {
        let mut links = self.links.lock();
        let free = links.iter().find(|link| link.users() < HELD_CALLS_MAX);
        match free {
            Some(link) => link.clone(),
            None if links.len() < CONNECTIONS_MAX => {
                let link = self.new_link();
                links.push(link.clone());
                link
            }
            None => links[rand::random_range(..links.len())].clone(),
        }
    }

    fn new_link(&self) -> Link {
        Link::new(self.target.connect_lazy(), &self.address, &self.target)
    }

    /// Replaces a connection that is open but does not answer: the next call opens another. Replacing it twice changes
    /// nothing. Calls on the old connection continue.
    pub(crate) fn replace(&self, silent: &Link) {
        let mut links = self.links.lock();
        let still_used = links.iter_mut().find(|link| Arc::ptr_eq(&link.users, &silent.users));
        if let Some(link) = still_used {
            *link = self.new_link();
        }
    }
}

fn target(address: &str, options: &ClientOptions) -> Result<(String, Target)> {
    let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let uri: Uri = address.parse().map_err(|error| bad_address(&address, &format!("{error}")))?;
    let mut target = match uri.scheme_str() {
        Some("http") => Target::plain(uri.clone()),
        Some("https") => with_tls(&uri, options)
            .map_err(|why| invalid(format!("TLS to {address} is not possible: {why}")))?,
        _ => return Err(bad_address(&address, "only http and https are supported")),
    };
    target.credentials = Credentials::of(options, &address, &uri)?;
    target.endpoint = target
        .endpoint
        .user_agent(options.name.as_str())
        .map_err(|_| invalid(bad_name(options)))?
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(None::<Duration>)
        .http2_keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    Ok((address, target))
}

#[cfg(feature = "tls")]
fn with_tls(uri: &Uri, options: &ClientOptions) -> Result<Target, String> {
    let (endpoint, tls) = super::tls::TlsConnect::new(uri, options)?;
    Ok(Target { endpoint, credentials: None, tls: Some(tls) })
}

#[cfg(not(feature = "tls"))]
fn with_tls(_uri: &Uri, _options: &ClientOptions) -> Result<Target, String> {
    Err("this program was built without the feature tls of jobstream".to_owned())
}

fn bad_address(address: &str, why: &str) -> Error {
    invalid(format!("{address} is not a server address: {why}: write http://host:port or https://host:port"))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, reason::INVALID_FIELD, message)
}

fn bad_name(options: &ClientOptions) -> String {
    format!("the name {:?} cannot be sent as a user agent: use printable ASCII", options.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_needs_no_scheme_but_no_other_than_http_and_https() {
        let lazy = |address| Connection::lazy(address, &ClientOptions::default());
        assert_eq!(lazy("jobs:7070").unwrap().address(), "http://jobs:7070");
        assert_eq!(lazy("http://[::1]:7070").unwrap().address(), "http://[::1]:7070");
        for address in ["ftp://jobs:7070", "http://", "", "jobs 7070"] {
            let error = lazy(address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{address}: {error}");
        }
    }

    fn count(connection: &Connection) -> usize {
        connection.links.lock().len()
    }

    #[tokio::test]
    async fn a_silent_link_is_replaced_once() {
        let connection = Connection::lazy("jobs:7070", &ClientOptions::default()).unwrap();
        let silent = connection.for_held_call();
        connection.replace(&silent);
        let fresh = connection.for_held_call();
        assert!(!Arc::ptr_eq(&silent.users, &fresh.users));
        connection.replace(&silent);
        assert!(Arc::ptr_eq(&connection.for_held_call().users, &fresh.users));
        assert_eq!(count(&connection), 1);
    }

    #[tokio::test]
    async fn held_calls_spread_over_connections_and_free_their_places() {
        let connection = Connection::lazy("jobs:7070", &ClientOptions::default()).unwrap();
        let mut held: Vec<_> = (0..HELD_CALLS_MAX).map(|_| connection.for_held_call()).collect();
        assert_eq!(count(&connection), 1);
        held.push(connection.for_held_call());
        assert_eq!(count(&connection), 2);
        held.swap_remove(0);
        held.push(connection.for_held_call());
        held.extend((held.len()..HELD_CALLS_MAX * 2).map(|_| connection.for_held_call()));
        assert_eq!(count(&connection), 2);
        let users: Vec<_> = connection.links.lock().iter().map(Link::users).collect();
        assert_eq!(users, [HELD_CALLS_MAX; 2]);
    }
}
