//! The endpoints of the `[http.KIND]` tables as handlers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jobstream::worker::HttpHandler;

use super::size;
use crate::config::{HttpConfig, ServerConfig};
use crate::error::{Error, Result};

/// Most bytes of a file of secrets or certificate authorities.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The endpoints by kind.
///
/// # Errors
///
/// For an invalid value, and for a file that cannot be read.
pub(super) fn handlers(config: &ServerConfig) -> Result<BTreeMap<String, HttpHandler>> {
    let mut handlers = BTreeMap::new();
    for (kind, http) in &config.http {
        let handler = handler(http, config);
        let handler = handler
            .map_err(|problem| Error::usage(format!("the endpoint of kind {}: {problem}", kind.as_str())))?;
        handlers.insert(kind.as_str().to_owned(), handler);
    }
    Ok(handlers)
}

fn handler(http: &HttpConfig, config: &ServerConfig) -> std::result::Result<HttpHandler, String> {
    let mut handler = HttpHandler::new(&http.url).map_err(|error| error.to_string())?;
    for (name, value) in &http.headers {
        handler = handler.header(name, value).map_err(|error| error.to_string())?;
    }
    if let Some(file) = &http.secret_file {
        handler = signed(handler, file)?;
    }
    if let Some(file) = &http.ca_file {
        handler = handler.ca_certificates(read(file)?);
    }
    handler.time_limit = http.time_limit;
    handler.result_bytes_max = size(http.result_bytes_max.unwrap_or(config.limits.payload_bytes_max));
    if let Some(slots) = http.slots {
        handler.slots = slots.get();
    }
    Ok(handler)
}

/// Reads the secrets of a file, one a line. Blank lines and lines that begin with `#` are skipped.
fn signed(handler: HttpHandler, file: &Path) -> std::result::Result<HttpHandler, String> {
    let text = read(file)?;
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
