//! The endpoints of the `[http.KIND]` tables as handlers. Those of a running server are replaced at a reload.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jobstream::error::ErrorKind;
use jobstream::worker::{HttpEndpoint, HttpHandler, Worker};

use super::size;
use crate::config::{HttpConfig, ServerConfig};
use crate::error::{Error, Result};

/// Most bytes of a file of secrets or certificate authorities.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The handler of an endpoint, and what it was made from.
pub(super) struct Endpoint {
    pub(super) handler: HttpHandler,
    source: Source,
}

/// The table of an endpoint, with the contents of its files.
#[derive(Clone, PartialEq, Eq)]
struct Source {
    table: HttpConfig,
    secrets: Option<String>,
    authorities: Option<String>,
}

/// The endpoints of a worker by kind.
pub(crate) struct Endpoints(BTreeMap<String, (HttpEndpoint, Source)>);

impl Endpoints {
    /// # Errors
    ///
    /// If the certificate authorities of an endpoint cannot be read.
    pub(super) fn new(endpoints: BTreeMap<String, Endpoint>) -> Result<Self> {
        let made = endpoints.into_iter().map(|(kind, Endpoint { handler, source })| {
            match HttpEndpoint::new(handler) {
                Ok(endpoint) => Ok((kind, (endpoint, source))),
                Err(error) => {
                    let file = source.table.ca_file.map(|path| format!("{}: ", path.display()));
                    let file = file.unwrap_or_default();
                    let problem = match error.kind() {
                        // Without the field of the library: the file is named.
                        ErrorKind::InvalidField(violations) => violations[0].description.clone(),
                        _ => error.to_string(),
                    };
                    Err(Error::usage(format!("the endpoint of kind {kind}: {file}{problem}")))
                }
            }
        });
        made.collect::<Result<_>>().map(Self)
    }

    /// The endpoints of a config, with their files.
    ///
    /// # Errors
    ///
    /// For an invalid value, and for a file that cannot be read.
    pub(super) fn load(config: &ServerConfig) -> Result<Self> {
        Self::new(handlers(config)?)
    }

    pub(super) fn add_to(&self, worker: Worker) -> Worker {
        self.0.iter().fold(worker, |worker, (kind, (endpoint, _))| worker.http_endpoint(kind, endpoint))
    }

    /// Uses the changed ones of these endpoints from the next attempt on. Returns which files have other contents, for a log.
    pub(super) fn replace_with(&mut self, endpoints: Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (kind, (endpoint, source)) in endpoints.0 {
            let Some((running, former)) = self.0.get_mut(&kind).filter(|(_, former)| *former != source)
            else {
                continue;
            };
            if former.secrets != source.secrets {
                changes.push(format!("changed the secrets of kind {kind}"));
            }
            if former.authorities != source.authorities {
                changes.push(format!("changed the certificate authorities of kind {kind}"));
            }
            running.replace_with(&endpoint);
            *former = source;
        }
        changes
    }
}

/// The endpoints by kind.
///
/// # Errors
///
/// For an invalid value, and for a file that cannot be read.
pub(super) fn handlers(config: &ServerConfig) -> Result<BTreeMap<String, Endpoint>> {
    let (handlers, problems) = check(config);
    problems.into_iter().next().map_or(Ok(handlers), Err)
}

/// The endpoints by kind, and every problem.
pub(super) fn check(config: &ServerConfig) -> (BTreeMap<String, Endpoint>, Vec<Error>) {
    let (mut handlers, mut problems) = (BTreeMap::new(), Vec::new());
    for (kind, http) in &config.http {
        match handler(http, config) {
            Ok(handler) => _ = handlers.insert(kind.as_str().to_owned(), handler),
            Err(problem) => {
                problems.push(Error::usage(format!("the endpoint of kind {}: {problem}", kind.as_str())));
            }
        }
    }
    (handlers, problems)
}

fn handler(http: &HttpConfig, config: &ServerConfig) -> std::result::Result<Endpoint, String> {
    let mut handler = HttpHandler::new(&http.url).map_err(|error| error.to_string())?;
    for (name, value) in &http.headers {
        handler = handler.header(name, value).map_err(|error| error.to_string())?;
    }
    let secrets = http.secret_file.as_deref().map(read).transpose()?;
    if let (Some(file), Some(text)) = (&http.secret_file, &secrets) {
        handler = signed(handler, file, text)?;
    }
    let authorities = http.ca_file.as_deref().map(read).transpose()?;
    if let Some(pem) = &authorities {
        handler = handler.ca_certificates(pem.as_bytes());
    }
    handler.time_limit = http.time_limit;
    handler.result_bytes_max = size(http.result_bytes_max.unwrap_or(config.limits.payload_bytes_max));
    if let Some(slots) = http.slots {
        handler.slots = slots.get();
    }
    Ok(Endpoint { handler, source: Source { table: http.clone(), secrets, authorities } })
}

/// Signs with the secrets of a file, one a line. Blank lines and lines that begin with `#` are skipped.
fn signed(handler: HttpHandler, file: &Path, text: &str) -> std::result::Result<HttpHandler, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let secrets: Vec<_> = lines.collect();
    if secrets.is_empty() {
        return Err(format!("{} has no secret: write one a line", file.display()));
    }
    handler.signed_with(secrets).map_err(|error| format!("{}: {error}", file.display()))
}

fn read(file: &Path) -> std::result::Result<String, String> {
    let cannot_read = |problem: String| format!("cannot read {}: {problem}", file.display());
    let bytes = fs::metadata(file).map_err(|error| cannot_read(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(cannot_read(format!("it has {bytes} bytes, limit is {FILE_BYTES_MAX}")));
    }
    fs::read_to_string(file).map_err(|error| cannot_read(error.to_string()))
}
