//! The reload of a running server at SIGHUP: the config file, and the files that it names.
//!
//! A reload that fails changes nothing. What a running server cannot change is named in a warning.

use std::net::SocketAddr;
use std::sync::Arc;

use jobstream::server::{Identity, LogLevelControl, ServerOptions};
use jobstream::signals::Hangups;
use parking_lot::Mutex;

use super::log_level::{LogLevel, filter};
use super::supervisor::Supervisor;
use super::{Endpoints, exposure, identity, secret_files};
use crate::config::{Reloaded, ServerConfig};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::{self, Interrupts};

/// Reads the config again, with the flags and variables of the command.
pub(crate) type ReadConfig = Arc<dyn Fn() -> Result<ServerConfig> + Send + Sync>;

/// The name of the log level in the line of a reload.
const LOG_LEVEL: &str = "log.level";

/// What a running server can read again.
#[derive(Clone)]
pub(super) struct Reloadable {
    in_force: Arc<Mutex<InForce>>,
    /// `None` without a config file.
    read_config: Option<ReadConfig>,
    addresses: Arc<[SocketAddr]>,
    log_level: LogLevel,
    identity: Option<Identity>,
    #[cfg(feature = "tls")]
    tls: Option<jobstream::server::ServerTls>,
}

/// What the last reload left in force.
struct InForce {
    config: ServerConfig,
    endpoints: Endpoints,
}

/// What a reload has changed.
struct Changes {
    names: Vec<String>,
    /// The new level of the log, which is not set yet.
    level: Option<String>,
}

impl Reloadable {
    /// What a server with this config, on these addresses, can read again.
    pub(super) fn new(
        config: &ServerConfig,
        read_config: Option<ReadConfig>,
        log_level: LogLevel,
        options: &ServerOptions,
        addresses: &[SocketAddr],
        endpoints: Endpoints,
    ) -> Self {
        Self {
            in_force: Arc::new(Mutex::new(InForce { config: config.clone(), endpoints })),
            read_config,
            addresses: addresses.into(),
            log_level,
            identity: options.serve.identity.clone(),
            #[cfg(feature = "tls")]
            tls: options.serve.tls.clone(),
        }
    }

    /// Listens for the signals that end the server. If the server has files to read again, SIGHUP does that instead, and the
    /// supervisor is notified.
    ///
    /// # Errors
    ///
    /// If the signals cannot be caught.
    pub(super) fn listen_for_signals(self, supervisor: Supervisor) -> Result<Interrupts> {
        let drain = Some(self.in_force.lock().config.drain_timeout);
        if !self.has_files() {
            return interrupt::listen(Exit::Ok, drain);
        }
        let mut hangups = Hangups::listen().map_err(|error| super::failed("catch SIGHUP", &error))?;
        let interrupts = interrupt::listen_except_hangup(Exit::Ok, drain)?;
        tokio::spawn(async move {
            loop {
                hangups.next().await;
                let reloadable = self.clone();
                supervisor.reloading();
                // Reading files blocks its thread.
                if let Err(error) = tokio::task::spawn_blocking(move || reloadable.reload()).await {
                    tracing::error!(%error, "SIGHUP: the reload ended early");
                }
                supervisor.reloaded();
            }
        });
        Ok(interrupts)
    }

    fn has_files(&self) -> bool {
        let config = &self.in_force.lock().config;
        let (auth, http) = (&config.auth, &config.http);
        self.read_config.is_some()
            || config.tls.cert.is_some()
            || auth.tokens_file.is_some()
            || auth.token_key_file.is_some()
            || !auth.jwt.is_unset()
            || http.values().any(|endpoint| endpoint.secret_file.is_some() || endpoint.ca_file.is_some())
    }

    /// Reloads, and logs what has changed.
    fn reload(&self) {
        match self.try_reload() {
            Ok(Changes { names, level }) => {
                // A lower level would hide the line that reports it.
                let is_logged = tracing::enabled!(tracing::Level::INFO);
                if is_logged {
                    log_changes(&names);
                }
                self.set_level(level);
                if !is_logged {
                    log_changes(&names);
                }
            }
            Err(error) => {
                let error = error.message;
                tracing::error!(%error, "SIGHUP: cannot reload: the former config and files stay in force");
            }
        }
    }

    fn set_level(&self, level: Option<String>) {
        if let Some(Err(error)) = level.map(|level| self.log_level.set_level(&level)) {
            tracing::error!(%error, "SIGHUP: the log level stays as it is");
        }
    }

    /// Reads everything again, and then applies it, except the level of the log. Returns what has changed.
    ///
    /// # Errors
    ///
    /// If a value or a file cannot be used. Nothing has changed then.
    fn try_reload(&self) -> Result<Changes> {
        let mut in_force = self.in_force.lock();
        let Reloaded { config, applied, at_start } = self.read(&in_force.config)?;
        filter(&config.log.level).map_err(|error| Error::usage(format!("{LOG_LEVEL}: {error}")))?;
        // The kinds of programs matter for its warning only.
        exposure::check(&self.addresses, &[], &config)?;
        exposure::check_reload(&in_force.config, &config)?;
        let callers = self.identity.as_ref().map(|identity| identity::prepare(&config.auth, identity));
        let callers = callers.transpose()?;
        let endpoints = Endpoints::load(&config)?;
        let mut changes = applied;
        // The last step that may fail.
        if self.reload_tls(&config)? {
            changes.push("changed the TLS files".to_owned());
        }
        changes.extend(callers.map(identity::Prepared::apply).unwrap_or_default());
        changes.extend(in_force.endpoints.replace_with(endpoints));
        // SetLogLevel may have changed it since the last reload.
        let is_other_level = self.read_config.is_some() && self.log_level.level() != config.log.level;
        if is_other_level && !changes.iter().any(|change| change == LOG_LEVEL) {
            changes.push(LOG_LEVEL.to_owned());
        }
        let level = is_other_level.then(|| config.log.level.clone());
        for warning in secret_files::warnings(&config) {
            tracing::warn!("{warning}");
        }
        in_force.config = config;
        if !at_start.is_empty() {
            tracing::warn!("SIGHUP: changes that need a restart: {}", at_start.join(", "));
        }
        Ok(Changes { names: changes, level })
    }

    /// The config file again, as far as a running server can change it; without one, the config in force.
    fn read(&self, current: &ServerConfig) -> Result<Reloaded> {
        let Some(read_config) = &self.read_config else {
            return Ok(Reloaded { config: current.clone(), applied: Vec::new(), at_start: Vec::new() });
        };
        let new = read_config()?;
        new.check()?;
        let reloaded = current.reloaded(&new, self.identity.is_some())?;
        reloaded.config.check()?;
        Ok(reloaded)
    }

    #[cfg(feature = "tls")]
    fn reload_tls(&self, config: &ServerConfig) -> Result<bool> {
        self.tls.as_ref().map_or(Ok(false), |tls| super::tls::reload(&config.tls, tls))
    }

    #[cfg(not(feature = "tls"))]
    fn reload_tls(&self, _config: &ServerConfig) -> Result<bool> {
        Ok(false)
    }
}

fn log_changes(names: &[String]) {
    match names {
        [] => tracing::info!("SIGHUP: nothing has changed"),
        names => tracing::info!("SIGHUP: reloaded: {}", names.join(", ")),
    }
}
