//! The `[auth]` table of a config: who may call the server, and what they may do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use jobstream::access::AUDIENCE_DEFAULT;
use serde::{Deserialize, Serialize};

use super::jwt::JwtConfig;
use super::quota::QuotaConfig;
use super::table::table;
use crate::error::{Error, Result};

/// The callers of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Authentication")]
pub(crate) struct AuthConfig {
    /// File of the static tokens: names, digests, grants
    /// [default: none]
    #[arg(long = "auth-tokens", value_name = "FILE", env = "JOBSTREAM_AUTH_TOKENS", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens_file: Option<PathBuf>,
    /// File of the keys of minted tokens, one of at least 64 hex digits
    /// a line, mode 600; the first one signs
    /// [default: a random key for each start]
    #[arg(long = "token-key", value_name = "FILE", env = "JOBSTREAM_TOKEN_KEY", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_key_file: Option<PathBuf>,
    /// Audience of minted tokens: servers with the same key and audience
    /// accept each other's [default: jobstream]
    #[arg(
        long = "auth-audience",
        value_name = "NAME",
        env = "JOBSTREAM_AUTH_AUDIENCE",
        hide_env_values = true
    )]
    pub(crate) audience: String,
    /// Accept callers without a credential, also from other machines:
    /// true or false [default: false]
    #[arg(long, value_name = "BOOL", hide_possible_values = true, action = ArgAction::Set)]
    #[arg(env = "JOBSTREAM_ALLOW_ANONYMOUS", hide_env_values = true, num_args = 0..=1, default_missing_value = "true")]
    pub(crate) allow_anonymous: bool,
    /// Grant of callers without a credential, repeatable: 'submit
    /// queue=public' [default: all, if there are no credentials]
    #[arg(long = "anonymous-grant", value_name = "GRANT", value_delimiter = ',')]
    #[arg(env = "JOBSTREAM_ANONYMOUS_GRANTS", hide_env_values = true)]
    pub(crate) anonymous_grants: Vec<String>,
    #[command(flatten)]
    #[serde(skip_serializing_if = "JwtConfig::is_unset")]
    pub(crate) jwt: JwtConfig,
    /// The quota of each principal that has none of its own.
    #[arg(skip)]
    #[serde(skip_serializing_if = "QuotaConfig::is_unset")]
    pub(crate) quota: QuotaConfig,
    /// The principals of client certificates, by name.
    #[arg(skip)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) certificates: BTreeMap<String, CertificateConfig>,
}

table! {
    /// A principal that client certificates stand for.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct CertificateConfig {
        /// URI or DNS names of its client certificates
        pub(crate) subject_names: Vec<String>,
        /// What it may do
        pub(crate) grants: Vec<String>,
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            tokens_file: None,
            token_key_file: None,
            audience: AUDIENCE_DEFAULT.to_owned(),
            allow_anonymous: false,
            anonymous_grants: Vec::new(),
            jwt: JwtConfig::default(),
            quota: QuotaConfig::default(),
            certificates: BTreeMap::new(),
        }
    }
}

impl AuthConfig {
    /// Whether callers can present a credential.
    pub(crate) fn has_credentials(&self) -> bool {
        self.tokens_file.is_some() || !self.certificates.is_empty() || !self.jwt.is_unset()
    }

    /// Checks the values against each other.
    ///
    /// # Errors
    ///
    /// A usage error.
    pub(super) fn check(&self, has_client_ca: bool) -> Result<()> {
        self.jwt.check()?;
        if self.has_credentials() && self.allow_anonymous && self.anonymous_grants.is_empty() {
            return Err(Error::usage(
                "auth.allow_anonymous is set beside credentials: say what callers without one may do with \
                 auth.anonymous_grants (--anonymous-grant)",
            ));
        }
        if !self.anonymous_grants.is_empty() && !self.allow_anonymous {
            return Err(Error::usage(
                "auth.anonymous_grants is set without auth.allow_anonymous: add --allow-anonymous, or remove them",
            ));
        }
        if !self.quota.is_unset() && !self.has_credentials() {
            return Err(Error::usage(
                "auth.quota is set without credentials: callers without one have no quota; set auth.tokens_file or \
                 auth.certificates, or remove it",
            ));
        }
        if !self.certificates.is_empty() && !has_client_ca {
            return Err(Error::usage(
                "auth.certificates is set without tls.client_ca: name the CAs of client certificates with \
                 --tls-client-ca",
            ));
        }
        Ok(())
    }
}
