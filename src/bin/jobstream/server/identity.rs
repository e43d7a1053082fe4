//! The identity of a server's callers: reads the files of the `[auth]` table, also at a reload.

use std::fs;
use std::path::Path;

use jobstream::access::{Grants, TokenKeys};
use jobstream::secret_file;
use jobstream::server::{CertificatePrincipal, Identity, IdentityOptions, IdentityUpdate};

use crate::config::{AuthConfig, CertificateConfig, tokens};
use crate::error::{Error, Result};

/// Largest file of token keys, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

/// The callers that the config accepts; `None` if callers need no credential and may do everything.
///
/// # Errors
///
/// A usage error if a file cannot be used or a grant is wrong.
pub(super) fn identity(config: &AuthConfig) -> Result<Option<Identity>> {
    let is_open = !config.has_credentials() && config.anonymous_grants.is_empty();
    if is_open && config.token_key_file.is_none() {
        return Ok(None);
    }
    let identity = Identity::new(callers(config)?).map_err(|error| unusable(config, &error))?;
    if let Some(keys) = token_keys(config)? {
        identity.set_token_keys(keys);
    }
    Ok(Some(identity))
}

/// Callers and token keys for an identity.
pub(super) struct Prepared<'a> {
    identity: &'a Identity,
    callers: IdentityUpdate,
    keys: Option<TokenKeys>,
}

/// Reads the files again.
///
/// # Errors
///
/// As [`identity`].
pub(super) fn prepare<'a>(config: &AuthConfig, identity: &'a Identity) -> Result<Prepared<'a>> {
    let keys = token_keys(config)?;
    let callers = identity.prepare(callers(config)?).map_err(|error| unusable(config, &error))?;
    Ok(Prepared { identity, callers, keys })
}

impl Prepared<'_> {
    /// Accepts the callers and keys from now on. Returns what has changed.
    pub(super) fn apply(self) -> Vec<String> {
        let mut changes = self.callers.apply();
        if self.keys.is_some_and(|keys| self.identity.set_token_keys(keys)) {
            changes.push("changed the keys of minted tokens".to_owned());
        }
        changes
    }
}

/// Every problem of the files and grants.
pub(super) fn problems(config: &AuthConfig) -> Vec<Error> {
    let mut problems = config.tokens_file.as_deref().map(|path| tokens::check(path).1).unwrap_or_default();
    let certificates = config.certificates.iter();
    problems.extend(
        certificates.filter_map(|(name, certificate)| certificate_principals(name, certificate).err()),
    );
    problems.extend(config.quota.quota("auth.quota").err());
    problems.extend(anonymous_grants(config).err());
    problems.extend(token_keys(config).err());
    #[cfg(feature = "tls")]
    problems.extend(jwt_problem(config));
    if problems.is_empty() {
        // What only all of them show, such as a token of two principals.
        problems.extend(identity(config).err());
    }
    problems
}

fn callers(config: &AuthConfig) -> Result<IdentityOptions> {
    let mut options = IdentityOptions::default();
    options.quotas.default = config.quota.quota("auth.quota")?;
    if let Some(path) = &config.tokens_file {
        let tokens::Tokens { tokens, quotas } = tokens::load(path)?;
        options.tokens = tokens;
        options.quotas.by_name = quotas;
    }
    for (name, certificate) in &config.certificates {
        options.certificates.extend(certificate_principals(name, certificate)?);
    }
    options.anonymous = anonymous_grants(config)?;
    #[cfg(feature = "tls")]
    if !config.jwt.is_unset() {
        options.jwt = Some(jwt(&config.jwt)?);
    }
    Ok(options)
}

/// What is wrong with the tokens of an identity provider, if they are configured.
#[cfg(feature = "tls")]
fn jwt_problem(config: &AuthConfig) -> Option<Error> {
    let (Some(_), Some(_), Some(_)) = (&config.jwt.issuer, &config.jwt.audience, &config.jwt.jwks) else {
        return None;
    };
    let mut options = IdentityOptions::default();
    options.jwt = match jwt(&config.jwt) {
        Ok(jwt) => Some(jwt),
        Err(error) => return Some(error),
    };
    Identity::new(options).err().map(|error| unusable(config, &error))
}

/// The tokens of an identity provider. The config is checked.
#[cfg(feature = "tls")]
fn jwt(config: &crate::config::JwtConfig) -> Result<jobstream::server::JwtOptions> {
    let [issuer, audience, jwks] =
        [&config.issuer, &config.audience, &config.jwks].map(|value| value.clone().unwrap_or_default());
    let mut options = jobstream::server::JwtOptions::new(issuer, audience, jwks);
    options.ca.clone_from(&config.ca);
    super::set(&mut options.refresh_interval, config.refresh_interval);
    super::set(&mut options.name_claim, config.name_claim.clone());
    let grants = Grants::parse(config.grants.iter().map(String::as_str));
    options.grants = grants.map_err(|error| Error::usage(format!("auth.jwt.grants: {}", error.message())))?;
    options.grants_claim.clone_from(&config.grants_claim);
    Ok(options)
}

/// What callers without a credential may do; `None` if they are refused.
fn anonymous_grants(config: &AuthConfig) -> Result<Option<Grants>> {
    match (config.has_credentials(), config.anonymous_grants.as_slice()) {
        (true, []) => Ok(None),
        (false, []) => Ok(Some(Grants::all())),
        (_, texts) => Grants::parse(texts.iter().map(String::as_str))
            .map(Some)
            .map_err(|error| Error::usage(format!("auth.anonymous_grants: {error}"))),
    }
}

fn certificate_principals(name: &str, config: &CertificateConfig) -> Result<Vec<CertificatePrincipal>> {
    let wrong = |error: jobstream::error::Error| {
        Error::usage(format!("auth.certificates.{name}: {}", error.message()))
    };
    tokens::check_name(name).map_err(|problem| Error::usage(format!("auth.certificates: {problem}")))?;
    let grants = Grants::parse(config.grants.iter().map(String::as_str)).map_err(wrong)?;
    let principal =
        |subject: &String| CertificatePrincipal::new(name, subject, grants.clone()).map_err(wrong);
    config.subject_names.iter().map(principal).collect()
}

fn unusable(config: &AuthConfig, error: &jobstream::error::Error) -> Error {
    if ["jwt.", "certificates: "].iter().any(|field| error.message().starts_with(field)) {
        return Error::usage(format!("auth.{}", error.message()));
    }
    let file = config.tokens_file.as_deref().unwrap_or(Path::new("auth"));
    Error::usage(format!("{}: {}", file.display(), error.message()))
}

/// The keys of the key file, if there is one.
fn token_keys(config: &AuthConfig) -> Result<Option<TokenKeys>> {
    let Some(path) = &config.token_key_file else { return Ok(None) };
    let wrong = |problem: String| Error::usage(format!("{}: {problem}", path.display()));
    check_is_private(path)?;
    let text = fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys = lines
        .map(|line| {
            tokens::from_hex(line).ok_or_else(|| {
                wrong(
                    "a line is not a key: write at least 64 hex digits, as `openssl rand -hex 32` prints"
                        .to_owned(),
                )
            })
        })
        .collect::<Result<Vec<_>>>()?;
    TokenKeys::new(&keys, &config.audience).map(Some).map_err(|error| match error.message() {
        message if message.starts_with("audience: ") => Error::usage(format!("auth.{message}")),
        message => wrong(message.to_owned()),
    })
}

/// Refuses a large file, and one that other users can read.
fn check_is_private(path: &Path) -> Result<()> {
    let wrong = |problem: String| Error::usage(format!("{}: {problem}", path.display()));
    let unreadable = |error| wrong(format!("cannot be read: {error}"));
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > KEY_FILE_BYTES_MAX {
        return Err(wrong(format!("has {} bytes, the limit is {KEY_FILE_BYTES_MAX}", metadata.len())));
    }
    let mode = secret_file::exposed_mode(path).map_err(unreadable)?;
    mode.map_or(Ok(()), |mode| {
        let shown = path.display();
        Err(wrong(format!("has mode {mode:o}, other users can use the keys: run chmod 600 {shown}")))
    })
}
