//! Where a key set is loaded from: a file, or a URL over HTTPS.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::runtime;
use tokio::time::timeout;

use super::{DOCUMENT_BYTES_MAX, KeySet};
use crate::worker::{causes, chain, connector, parse_url};

/// Timeout of a load, from the connection to the last byte.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are probed in this interval; a load is shorter.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Largest file of certificate authorities, in bytes.
const CA_BYTES_MAX: usize = 1 << 20;

/// The place of a key set.
#[derive(Debug, Clone)]
pub(in super::super) enum Source {
    File(PathBuf),
    Url { url: Uri, ca: Option<PathBuf> },
}

impl Source {
    /// A source from the text of the option: a URL if it has a scheme, or the path of a file. `ca` is a file of
    /// certificate authorities for the URL.
    ///
    /// # Errors
    ///
    /// A message if the URL cannot be used, or the authorities cannot be read.
    pub(in super::super) fn new(text: &str, ca: Option<&Path>) -> Result<Self, String> {
        if !text.contains("://") {
            return match ca {
                Some(_) => Err(format!("{text:?} is a file, which needs no CA: remove the CA")),
                None => Ok(Self::File(PathBuf::from(text))),
            };
        }
        let url = parse_url(text)?;
        if url.scheme() != Some(&Scheme::HTTPS) && !is_loopback(url.host().unwrap_or_default()) {
            return Err(format!("{text:?} is not encrypted, and others could replace the keys: use https"));
        }
        let ca = ca.map(Path::to_owned);
        connect(&url, ca.as_deref())?;
        Ok(Self::Url { url, ca })
    }

    /// The key set of a file, if the source is one. It blocks its thread.
    ///
    /// # Errors
    ///
    /// A message if the file cannot be read or is no key set.
    pub(super) fn load_file(&self) -> Option<Result<KeySet, String>> {
        match self {
            Self::File(path) => Some(read(path, DOCUMENT_BYTES_MAX).and_then(|bytes| KeySet::parse(&bytes))),
            Self::Url { .. } => None,
        }
    }

    /// Loads the key set within [`LOAD_TIMEOUT`]. It blocks its thread, which may be one of a runtime.
    ///
    /// # Errors
    ///
    /// A message with the reason.
    pub(super) fn load_blocking(&self) -> Result<KeySet, String> {
        if let Some(loaded) = self.load_file() {
            return loaded;
        }
        let load = || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(self.load())
        };
        // A thread of a runtime cannot drive another one.
        thread::scope(|scope| scope.spawn(load).join())
            .unwrap_or_else(|_| Err("the load ended early".to_owned()))
    }

    /// Loads the key set within [`LOAD_TIMEOUT`].
    ///
    /// # Errors
    ///
    /// A message with the reason.
    pub(super) async fn load(&self) -> Result<KeySet, String> {
        let source = self.clone();
        // The file of the keys and that of the authorities may be slow to read.
        let prepare = tokio::task::spawn_blocking(move || match &source {
            Self::File(path) => {
                read(path, DOCUMENT_BYTES_MAX).and_then(|bytes| KeySet::parse(&bytes)).map(Prepared::Keys)
            }
            Self::Url { url, ca } => {
                let connector = connect(url, ca.as_deref())?;
                let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
                Ok(Prepared::Request(get(client, url.clone())))
            }
        });
        let load = async {
            match prepare.await.map_err(|error| error.to_string())?? {
                Prepared::Keys(keys) => Ok(keys),
                Prepared::Request(document) => KeySet::parse(&document.await?),
            }
        };
        match timeout(LOAD_TIMEOUT, load).await {
            Ok(loaded) => loaded,
            Err(_) => Err(format!("there was no complete response within {LOAD_TIMEOUT:?}")),
        }
    }
}

/// The keys of a file, or the request for those of a URL.
enum Prepared<F> {
    Keys(KeySet),
    Request(F),
}

impl fmt::Display for Source {
    /// Without the query of the URL, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url { url, .. } => {
                let scheme = url.scheme_str().unwrap_or_default();
                let host = url.authority().map_or("", |authority| authority.as_str());
                write!(f, "{scheme}://{host}{}", url.path())
            }
        }
    }
}

async fn get<C>(client: Client<C, Empty<Bytes>>, url: Uri) -> Result<Bytes, String>
where
    C: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let request = Request::get(url)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::USER_AGENT, concat!("jobstream/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let response = client.request(request).await.map_err(|error| causes(&error, "jwt.ca"))?;
    match response.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => {
            return Err(format!("the response is the redirect {status}, which is not followed"));
        }
        status => return Err(format!("the response is {status}, not 200")),
    }
    let body = Limited::new(response.into_body(), DOCUMENT_BYTES_MAX).collect().await;
    let body = body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
        true => format!("the key set is larger than {DOCUMENT_BYTES_MAX} bytes"),
        false => format!("the connection broke: {}", chain(&*error)),
    })?;
    Ok(body.to_bytes())
}

/// Makes connections to the URL, with the authorities of a file.
fn connect(url: &Uri, ca: Option<&Path>) -> Result<connector::Connector, String> {
    let Some(path) = ca else { return connector::new(url, None, KEEPALIVE) };
    let authorities = read(path, CA_BYTES_MAX)?;
    let connector = connector::new(url, Some(&authorities), KEEPALIVE);
    connector.map_err(|problem| format!("{}: {problem}", path.display()))
}

fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<_> {
        let mut content = Vec::new();
        File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read().map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    match content.len() > bytes_max {
        true => Err(format!("{} is larger than {bytes_max} bytes", path.display())),
        false => Ok(content),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
