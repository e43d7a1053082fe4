//! Whether other machines reach a server that needs no credential.

use std::net::SocketAddr;

use crate::config::ServerConfig;
use crate::error::{Error, Result};

/// Refuses a server that other machines can reach and that needs no credential, unless the config allows it. Then it returns a
/// warning, a clearer one if they can run programs.
///
/// # Errors
///
/// A usage error with the ways out.
pub(super) fn check(
    addresses: &[SocketAddr],
    programs: &[&str],
    config: &ServerConfig,
) -> Result<Option<String>> {
    let reachable = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
    let Some(address) = reachable.filter(|_| !needs_credential(config)) else { return Ok(None) };
    if !config.auth.allow_anonymous {
        return Err(Error::usage(format!(
            "anyone who reaches {address} could submit, read and cancel every job: other machines need a credential"
        ))
        .hint("tokens: jobstream token new NAME --grant all --file tokens.toml, then serve --auth-tokens tokens.toml")
        .hint("client certificates: --tls-cert, --tls-key and --tls-client-ca")
        .hint("none, on a trusted network or behind a proxy that authenticates: --allow-anonymous"));
    }
    let granted = match config.auth.anonymous_grants.as_slice() {
        [] => "submit, read and cancel every job".to_owned(),
        grants => format!("use it without a credential ({})", grants.join(", ")),
    };
    Ok(Some(match programs {
        [] => format!("--allow-anonymous: anyone who reaches {address} can {granted}"),
        _ => format!(
            "--allow-anonymous: DANGER: anyone who reaches {address} can RUN PROGRAMS on this machine ({}), and {granted}",
            programs.join(", ")
        ),
    }))
}

/// Refuses a reload that leaves every caller without a credential in: a config file that is empty or half written looks the same,
/// and a proxy may make a server public that listens on loopback.
///
/// # Errors
///
/// A usage error with the ways out.
pub(super) fn check_reload(in_force: &ServerConfig, new: &ServerConfig) -> Result<()> {
    if !needs_credential(in_force) || needs_credential(new) || new.auth.allow_anonymous {
        return Ok(());
    }
    Err(Error::usage(
        "[auth]: no tokens, keys or certificates are left, so every caller could submit, read and cancel every job: set \
         auth.allow_anonymous if that is wanted, or restart the server",
    ))
}

/// Whether a caller without a credential is refused, or may do only what the config grants to it.
fn needs_credential(config: &ServerConfig) -> bool {
    config.tls.requires_client_certificates() || config.auth.has_credentials()
}
