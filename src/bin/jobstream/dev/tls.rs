//! The flags of `dev --tls`: where the certificates are, and the hosts that they are for. Module `authority` makes them.

#[cfg(feature = "dev-tls")]
mod authority;

use std::env;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::ServerConfig;
use crate::error::{Error, Result};

/// The hosts of every certificate, besides those of the config.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The flags of TLS for development.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsArgs {
    /// Serve over TLS with a certificate of a local CA; both are made
    /// at the first start and renewed before they expire
    #[arg(long)]
    tls: bool,
    /// Directory of that CA and certificate [default:
    /// jobstream/tls in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR", requires = "tls")]
    tls_dir: Option<PathBuf>,
}

/// A server certificate to make.
#[derive(Debug)]
pub(super) struct Certificate {
    directory: PathBuf,
    hosts: Vec<String>,
}

impl TlsArgs {
    /// Sets the files of the config. `None` without `--tls`.
    ///
    /// # Errors
    ///
    /// A usage error if the config has a certificate, or there is no home directory.
    pub(super) fn apply(&self, config: &mut ServerConfig) -> Result<Option<Certificate>> {
        if !self.tls {
            return Ok(None);
        }
        if config.tls.cert.is_some() || config.tls.key.is_some() {
            return Err(Error::usage(
                "--tls makes a certificate, but tls.cert or tls.key is set: omit one of them",
            ));
        }
        let directory = self.tls_dir.clone().map_or_else(default_directory, Ok)?;
        // The working directory of the commands to try may be another one.
        let directory = std::path::absolute(&directory)
            .map_err(|error| Error::usage(format!("--tls-dir is {}: {error}", directory.display())))?;
        config.tls.cert = Some(directory.join("server.crt"));
        config.tls.key = Some(directory.join("server.key"));
        Ok(Some(Certificate { directory, hosts: hosts(config) }))
    }
}

impl Certificate {
    /// The file with the certificate of the CA.
    pub(super) fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// Makes the files that are missing, about to expire, or for other hosts.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written.
    #[cfg(feature = "dev-tls")]
    pub(super) fn make(&self) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| {
            let text = format!("cannot make a certificate in {}: {error}", self.directory.display());
            Error::new(crate::exit::Exit::Other, text).hint("name another directory with --tls-dir")
        };
        authority::make(&self.directory, &self.hosts).map_err(|error| failed(&error))
    }

    /// Refuses to.
    #[cfg(not(feature = "dev-tls"))]
    pub(super) fn make(&self) -> Result<()> {
        let text = format!(
            "--tls is given for {}, but this jobstream was built without it: build it with the feature dev-tls",
            self.hosts.join(", ")
        );
        Err(Error::usage(text))
    }
}

/// The directory of the user's state, see the XDG Base Directory Specification.
fn default_directory() -> Result<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let missing = || Error::usage("HOME is not set: name the directory of the certificates with --tls-dir");
    state.map(|state| state.join("jobstream/tls")).ok_or_else(missing)
}

/// The hosts by which clients reach the server: the local ones, that of `listen`, and the allowed ones.
fn hosts(config: &ServerConfig) -> Vec<String> {
    let allowed = config.allowed_hosts.iter().map(String::as_str).filter(|host| *host != "*");
    let mut hosts: Vec<String> = LOCAL_HOSTS.map(str::to_owned).to_vec();
    for host in allowed.map(without_port).chain(config.listen.certifiable_host()) {
        if !hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            hosts.push(host.to_owned());
        }
    }
    hosts
}

/// `host` of `host`, `host:port` and `[address]:port`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    }
}

/// The path as a word of a shell command.
pub(super) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    match path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c)) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_for_every_host_of_the_config_once() {
        let of = |toml: &str| hosts(&toml::from_str(toml).expect("TOML")).split_off(LOCAL_HOSTS.len());
        assert_eq!(of("listen = 'LOCALHOST:1'"), [""; 0]);
        assert_eq!(of("listen = '0.0.0.0:1'\nallowed_hosts = ['*']"), [""; 0]);
        assert_eq!(
            of("listen = '[fd00::1]:1'\nallowed_hosts = ['a:1', 'b', '[::2]:1']"),
            ["a", "b", "::2", "fd00::1"]
        );
        assert_eq!(of("listen = '[fe80::1%1]:1'"), ["fe80::1"]);
    }

    #[test]
    fn a_path_is_quoted_for_a_shell_if_it_must_be() {
        assert_eq!(quoted(Path::new("/srv/tls-1/ca.crt")), "/srv/tls-1/ca.crt");
        assert_eq!(quoted(Path::new("/it's here")), r"'/it'\''s here'");
    }
}
