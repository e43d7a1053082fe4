//! The `[auth.jwt]` table of a config: the JSON Web Tokens that the server accepts.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::values;
use crate::error::{Error, Result};
use crate::units;

/// The JSON Web Tokens of an identity provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JwtConfig {
    /// Issuer of JSON Web Tokens, their claim iss [default: none]
    #[arg(long = "jwt-issuer", value_name = "TEXT", env = "JOBSTREAM_JWT_ISSUER", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// Audience of these tokens, one in their claim aud
    /// [default: none]
    #[arg(id = "jwt_audience", long = "jwt-audience", value_name = "TEXT")]
    #[arg(env = "JOBSTREAM_JWT_AUDIENCE", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<String>,
    /// Key set (JWKS) of the issuer, a file or an https URL
    /// [default: none]
    #[arg(long = "jwt-jwks", value_name = "URL", env = "JOBSTREAM_JWT_JWKS", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks: Option<String>,
    /// CAs of that URL, PEM [default: those of the system]
    #[arg(id = "jwt_ca", long = "jwt-ca", value_name = "FILE")]
    #[arg(env = "JOBSTREAM_JWT_CA", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// How often the key set is loaded again [default: 10m]
    #[arg(long = "jwt-refresh-interval", value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_JWT_REFRESH_INTERVAL", hide_env_values = true)]
    #[serde(with = "values::optional_span", skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_interval: Option<Duration>,
    /// Claim with the name of the caller [default: sub]
    #[arg(long = "jwt-name-claim", value_name = "NAME", env = "JOBSTREAM_JWT_NAME_CLAIM")]
    #[arg(hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name_claim: Option<String>,
    /// Grant of every valid token, repeatable [default: none]
    #[arg(long = "jwt-grant", value_name = "GRANT", value_delimiter = ',')]
    #[arg(env = "JOBSTREAM_JWT_GRANTS", hide_env_values = true)]
    pub(crate) grants: Vec<String>,
    /// Claim with a list of further grants [default: none]
    #[arg(long = "jwt-grants-claim", value_name = "NAME", env = "JOBSTREAM_JWT_GRANTS_CLAIM")]
    #[arg(hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grants_claim: Option<String>,
}

impl JwtConfig {
    /// Whether no key is set, so that no token is accepted.
    pub(crate) fn is_unset(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the values against each other.
    ///
    /// # Errors
    ///
    /// A usage error.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_unset() {
            return Ok(());
        }
        if !cfg!(feature = "tls") {
            return Err(Error::usage(
                "auth.jwt.* is set (--jwt-issuer and others), but this jobstream was built without TLS: build it with \
                 the feature tls",
            ));
        }
        for (value, key, flag) in [
            (&self.issuer, "issuer", "--jwt-issuer"),
            (&self.audience, "audience", "--jwt-audience"),
            (&self.jwks, "jwks", "--jwt-jwks"),
        ] {
            if value.as_ref().is_none_or(String::is_empty) {
                return Err(Error::usage(format!(
                    "auth.jwt.* is set without auth.jwt.{key}: JSON Web Tokens need {flag}"
                )));
            }
        }
        if self.refresh_interval.is_some_and(|interval| interval < Duration::from_secs(1)) {
            return Err(Error::usage("auth.jwt.refresh_interval is too short: it must be at least 1s"));
        }
        if self.grants.is_empty() && self.grants_claim.is_none() {
            return Err(Error::usage(
                "auth.jwt has neither grants nor grants_claim: name what valid tokens may do with --jwt-grant, or the \
                 claim that says so with --jwt-grants-claim",
            ));
        }
        Ok(())
    }
}
