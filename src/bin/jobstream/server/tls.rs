//! The TLS files of a server. Without the feature `tls` a config with TLS is refused before.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use jobstream::server::ServerOptions;

use crate::config::TlsConfig;
use crate::error::{Error, Result};

/// Loads the files of the config into the options.
///
/// # Errors
///
/// A usage error if a file cannot be used.
#[cfg(feature = "tls")]
pub(super) fn load(config: &TlsConfig, options: &mut ServerOptions) -> Result<()> {
    let Some(files) = files(config) else { return Ok(()) };
    let tls = jobstream::server::ServerTls::load(files).map_err(|error| Error::usage(error.to_string()))?;
    options.serve.tls = Some(tls);
    Ok(())
}

/// Loads the files of the config again. Returns whether they have changed.
///
/// # Errors
///
/// As [`load`]. The former files stay in use then.
#[cfg(feature = "tls")]
pub(super) fn reload(config: &TlsConfig, tls: &jobstream::server::ServerTls) -> Result<bool> {
    let Some(files) = files(config) else { return Ok(false) };
    tls.reload_with(files).map_err(|error| Error::usage(error.to_string()))
}

/// The files, if the server has TLS.
#[cfg(feature = "tls")]
fn files(config: &TlsConfig) -> Option<jobstream::server::TlsOptions> {
    use jobstream::server::{ClientAuth, TlsOptions};

    let mut files = TlsOptions::new(config.cert.as_ref()?, config.key.as_ref()?);
    files.client_ca = config.client_ca.clone();
    if !config.requires_client_certificates() {
        files.client_certificate = ClientAuth::Optional;
    }
    super::set(&mut files.poll_interval, config.poll_interval);
    Some(files)
}

/// Every file that cannot be opened, or why the files cannot be used.
pub(super) fn problems(config: &TlsConfig) -> Vec<Error> {
    let files = [&config.cert, &config.key, &config.client_ca].into_iter().flatten();
    let unreadable = files.filter_map(|path| Some((path, File::open(path).err()?)));
    let problem = |(path, error): (&PathBuf, io::Error)| {
        Error::usage(format!("cannot read {}: {error}", path.display()))
    };
    let problems: Vec<_> = unreadable.map(problem).collect();
    if !problems.is_empty() {
        return problems;
    }
    load(config, &mut ServerOptions::default()).err().into_iter().collect()
}

/// Does nothing: there is no TLS.
#[cfg(not(feature = "tls"))]
pub(super) fn load(_config: &TlsConfig, _options: &mut ServerOptions) -> Result<()> {
    Ok(())
}
