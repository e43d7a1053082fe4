//! The verification of JSON Web Tokens (JWT): signature, issuer, audience and times.
//!
//! The signatures are checked by AWS-LC. The type of the issuer's key determines the algorithm, and the claims are read
//! after the signature was found valid.

mod claims;
mod compact;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::cache::{Entry, TokenCache};
use super::jwks::{Found, KeySet, Keys, Loaded, Source};
use super::tokens::{self, TokenDigest};
use super::{Verification, invalid};
use crate::access::{Grants, Principal};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Timestamp;
use claims::Rules;
use compact::Token;

/// Largest token, in bytes.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Shortest interval between refreshes of the keys.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How a server verifies JSON Web Tokens. The algorithms are RS256, ES256 and EdDSA (Ed25519).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwtOptions {
    /// The issuer of tokens: their claim `iss`.
    pub issuer: String,
    /// The audience of tokens: one in their claim `aud`.
    pub audience: String,
    /// The keys of the issuer, a JSON Web Key Set: the path of a file or an `https` URL. An `http` URL is accepted with a
    /// loopback host. At most 1 MiB and 100 keys.
    pub jwks: String,
    /// A file with certificate authorities in PEM format, for the URL. It is read at each refresh. Default: those of the
    /// system.
    pub ca: Option<PathBuf>,
    /// How often the keys are loaded again, at least a second. A token with an unknown key loads them early, at most once a
    /// minute. Default 10 minutes.
    pub refresh_interval: Duration,
    /// The claim with the name of the principal, which is `jwt:` and this text. Default `sub`.
    pub name_claim: String,
    /// The grants of every valid token. Default: none.
    pub grants: Grants,
    /// A claim with a list of further grants. Default: none.
    pub grants_claim: Option<String>,
}

impl JwtOptions {
    /// The options with these three, and every other option at its default.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, jwks: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            jwks: jwks.into(),
            ca: None,
            refresh_interval: Duration::from_secs(600),
            name_claim: "sub".to_owned(),
            grants: Grants::default(),
            grants_claim: None,
        }
    }
}

/// Verifies tokens. A cheap clone shares its keys and its cache.
#[derive(Debug, Clone)]
pub(crate) struct JwtVerifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: JwtOptions,
    rules: Rules,
    keys: Arc<Keys>,
    cache: TokenCache,
    clock: Clock,
}

/// The verification of a token with the current keys.
enum Outcome {
    Ended(Result<Arc<Principal>>),
    /// No key has the id that the token names.
    UnknownKey,
}

impl JwtVerifier {
    /// A verifier. It reads the keys of a file, and blocks its thread. Those of a URL are loaded by [`Keys::keep_fresh`].
    ///
    /// # Errors
    ///
    /// `InvalidField` if an option is empty, the URL or its authorities cannot be used, or the file is no key set.
    pub(crate) fn new(options: JwtOptions, clock: Clock) -> Result<Self> {
        let keys = |source| Keys::new(source, interval(&options));
        let keys = keys(source(&options)?).map_err(unusable_keys)?;
        Ok(Self::with_keys(options, keys, clock))
    }

    /// A verifier with other options, which replaces the former one of a running server. Keys of another place are loaded
    /// here, also those of a URL, so that no token waits for them. It blocks its thread.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if the keys cannot be loaded.
    pub(super) fn renewed(former: Option<&Self>, options: JwtOptions, clock: &Clock) -> Result<Renewed> {
        let source = source(&options)?;
        let has_same_keys = |former: &&Self| {
            let former = &former.0.options;
            let keys = |options: &JwtOptions| (options.jwks.clone(), options.ca.clone(), interval(options));
            keys(former) == keys(&options)
        };
        let Some(former) = former.filter(has_same_keys) else {
            let keys = Keys::loaded_from(source, interval(&options));
            let verifier = Self::with_keys(options, keys.map_err(unusable_keys)?, clock.clone());
            return Ok(Renewed { verifier, read: None, has_former_keys: false });
        };
        let read = former.0.keys.read_again().map_err(unusable_keys)?;
        let verifier = match former.0.options == options {
            true => former.clone(),
            false => Self::with_keys(options, former.0.keys.clone(), clock.clone()),
        };
        Ok(Renewed { verifier, read, has_former_keys: true })
    }

    fn with_keys(options: JwtOptions, keys: Arc<Keys>, clock: Clock) -> Self {
        let rules = Rules::new(options.clone());
        Self(Arc::new(Inner { options, rules, keys, cache: TokenCache::default(), clock }))
    }

    /// The keys, which [`Keys::keep_fresh`] loads, at once if they are those of a URL. A load that fails is logged and tried
    /// again; tokens are refused while there are no keys.
    pub(super) fn keys(&self) -> &Arc<Keys> {
        &self.0.keys
    }

    /// Whether both verify the same tokens, if their keys are the same.
    pub(super) fn has_options_of(&self, other: &Self) -> bool {
        self.0.options == other.0.options
    }

    /// Verifies a token. It is ready at once unless the token names an unknown key and a refresh may bring it. A token that
    /// was valid before is found by its SHA-256, until it expires or the keys change.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, with a message that names the rule and does not repeat the token.
    pub(super) fn verify(&self, token: &str) -> Result<Verification> {
        if token.len() > TOKEN_BYTES_MAX {
            let size = token.len();
            let message = format!("the JWT is {size} bytes, the limit is {TOKEN_BYTES_MAX}");
            return Err(invalid(message));
        }
        let (digest, now) = (tokens::digest(token), self.0.clock.now());
        if let Some(principal) = self.0.cache.get(&digest, self.0.keys.generation(), now.wall) {
            return Ok(Verification::Ready(principal));
        }
        match self.verify_now(token, digest) {
            Outcome::Ended(result) => result.map(Verification::Ready),
            Outcome::UnknownKey => match self.0.keys.early_refresh(now.monotonic) {
                // A load may have ended since the keys were read.
                None => self.verify_again(token, digest).map(Verification::Ready),
                Some(refresh) => {
                    let (verifier, token) = (self.clone(), token.to_owned());
                    Ok(Verification::Waiting(Box::pin(async move {
                        refresh.await;
                        if let Outcome::Ended(result) = verifier.verify_now(&token, digest) {
                            return result;
                        }
                        // That load may have begun before the issuer published the key.
                        let now = verifier.0.clock.now().monotonic;
                        if let Some(another) = verifier.0.keys.early_refresh(now) {
                            another.await;
                        }
                        verifier.verify_again(&token, digest)
                    })))
                }
            },
        }
    }

    /// Verifies a token with the current keys. An unknown key is refused.
    fn verify_again(&self, token: &str, digest: TokenDigest) -> Result<Arc<Principal>> {
        match self.verify_now(token, digest) {
            Outcome::Ended(result) => result,
            Outcome::UnknownKey => Err(self.unknown_key()),
        }
    }

    fn verify_now(&self, token: &str, digest: TokenDigest) -> Outcome {
        // Before the keys: a token that no key verifies must not cause a refresh.
        let token = match Token::parse(token) {
            Ok(token) => token,
            Err(error) => return Outcome::Ended(Err(error)),
        };
        let Some(keys) = self.0.keys.current() else { return Outcome::UnknownKey };
        let Loaded { set, generation } = &*keys;
        let key = match set.find(token.key_id(), token.algorithm) {
            Found::Key(key) => key,
            Found::UnknownId => return Outcome::UnknownKey,
            Found::OtherType => {
                return Outcome::Ended(Err(invalid("the algorithm of the JWT is not that of its key")));
            }
            Found::NoId => {
                let message = "the JWT names no key (kid), and the issuer has not exactly one of its type";
                return Outcome::Ended(Err(invalid(message)));
            }
        };
        if !key.verifies(token.signed.as_bytes(), &token.signature) {
            return Outcome::Ended(Err(invalid("the signature of the JWT is invalid")));
        }
        let verified = self.0.rules.check(&token, self.0.clock.now().wall).map(|principal| {
            let principal = Arc::new(principal);
            let entry = Entry { principal: principal.clone(), generation: *generation };
            self.0.cache.insert(digest, entry);
            principal
        });
        Outcome::Ended(verified)
    }

    fn unknown_key(&self) -> Error {
        invalid(match self.0.keys.generation() {
            0 => "JWTs cannot be verified: the keys of the issuer are not loaded yet",
            _ => "the key of the JWT is none of the issuer's",
        })
    }
}

/// A verifier that replaces another one.
#[derive(Debug)]
pub(super) struct Renewed {
    pub(super) verifier: JwtVerifier,
    /// The key set of a file that was read again.
    read: Option<KeySet>,
    /// Whether the keys are those of the former verifier.
    has_former_keys: bool,
}

impl Renewed {
    /// Uses the keys that were read. Returns whether they are others than before.
    pub(super) fn replace_keys(self) -> bool {
        self.has_former_keys && self.verifier.0.keys.replace(self.read)
    }
}

/// Checks the options. Returns the source of the keys.
fn source(options: &JwtOptions) -> Result<Source> {
    for (field, value) in [
        ("jwt.issuer", Some(&options.issuer)),
        ("jwt.audience", Some(&options.audience)),
        ("jwt.jwks", Some(&options.jwks)),
        ("jwt.name_claim", Some(&options.name_claim)),
        ("jwt.grants_claim", options.grants_claim.as_ref()),
    ] {
        if value.is_some_and(String::is_empty) {
            return Err(Error::invalid(field, "is empty"));
        }
    }
    Source::new(&options.jwks, options.ca.as_deref()).map_err(unusable_keys)
}

fn interval(options: &JwtOptions) -> Duration {
    options.refresh_interval.max(REFRESH_INTERVAL_MIN)
}

fn unusable_keys(why: String) -> Error {
    Error::invalid("jwt.jwks", why)
}

/// A token that was valid.
fn expired(expire_time: Timestamp) -> Error {
    let message = format!("the JWT expired at {}: get a new one", seconds(expire_time));
    Error::new(ErrorKind::Unauthenticated { reason: "CREDENTIAL_EXPIRED" }, message)
}

/// A time as a text, without a fraction.
fn seconds(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_micros().div_euclid(1_000_000), nanos: 0 }
}

#[cfg(test)]
impl JwtVerifier {
    fn keep_keys_fresh(&self) -> tokio_util::task::AbortOnDropHandle<()> {
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(self.keys().clone().keep_fresh()))
    }

    /// Waits until keys of such a generation are loaded.
    async fn loaded(&self, is_awaited: impl Fn(u64) -> bool) {
        self.0.keys.loaded(is_awaited).await;
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }
}

#[cfg(test)]
mod tests;
