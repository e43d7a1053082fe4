//! The TLS of a server: its files, and their reload at SIGHUP. Without the feature `tls` a config with TLS is refused before.

use std::time::Duration;

use jobstream::server::ServerOptions;

use crate::config::TlsConfig;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::{self, Interrupts};

/// Loads the files of the config into the options.
///
/// # Errors
///
/// A usage error if a file cannot be used.
#[cfg(feature = "tls")]
pub(super) fn load(config: &TlsConfig, options: &mut ServerOptions) -> Result<()> {
    use jobstream::server::{ServerTls, TlsOptions};

    let (Some(certificate), Some(key)) = (&config.cert, &config.key) else { return Ok(()) };
    let mut files = TlsOptions::new(certificate, key);
    files.client_ca = config.client_ca.clone();
    super::set(&mut files.poll_interval, config.poll_interval);
    let tls = ServerTls::load(files).map_err(|error| crate::error::Error::usage(error.to_string()))?;
    options.serve.tls = Some(tls);
    Ok(())
}

/// Listens for the signals that end the server. With TLS, SIGHUP reloads its files instead.
///
/// # Errors
///
/// If the signals cannot be caught.
#[cfg(feature = "tls")]
pub(super) fn listen_for_signals(options: &ServerOptions, drain: Duration) -> Result<Interrupts> {
    use jobstream::signals::Hangups;

    let Some(tls) = options.serve.tls.clone() else { return interrupt::listen(Exit::Ok, Some(drain)) };
    let mut hangups = Hangups::listen().map_err(|error| super::failed("catch SIGHUP", &error))?;
    let interrupts = interrupt::listen_except_hangup(Exit::Ok, Some(drain))?;
    tokio::spawn(async move {
        loop {
            hangups.next().await;
            let tls = tls.clone();
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => tracing::info!("SIGHUP: reloaded the TLS files: new connections use them"),
                Ok(Ok(false)) => tracing::info!("SIGHUP: the TLS files have not changed"),
                Ok(Err(error)) => tracing::warn!(
                    %error,
                    "SIGHUP: cannot reload the TLS files: new connections use the former ones"
                ),
                Err(error) => tracing::error!(%error, "SIGHUP: the reload ended early"),
            }
        }
    });
    Ok(interrupts)
}

/// Does nothing: there is no TLS.
#[cfg(not(feature = "tls"))]
pub(super) fn load(_config: &TlsConfig, _options: &mut ServerOptions) -> Result<()> {
    Ok(())
}

/// Listens for the signals that end the server.
///
/// # Errors
///
/// If the signals cannot be caught.
#[cfg(not(feature = "tls"))]
pub(super) fn listen_for_signals(_options: &ServerOptions, drain: Duration) -> Result<Interrupts> {
    interrupt::listen(Exit::Ok, Some(drain))
}
