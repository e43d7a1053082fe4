//! The identity of callers: it verifies the credential of each request and finds the principal.
//!
//! Module `service` is the layer that asks it. What a principal may do is decided in module `api`.

#[cfg(feature = "tls")]
mod cache;
mod callers;
#[cfg(feature = "tls")]
mod jwks;
#[cfg(feature = "tls")]
mod jwt;
mod query;
mod service;
mod tokens;
mod update;

use std::pin::Pin;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};
use parking_lot::{Mutex, RwLock};
#[cfg(feature = "tls")]
use {jwks::Keys, tokio::sync::watch, tokio_util::task::AbortOnDropHandle};

use crate::access::{Grants, MINTED_PREFIX, Method, Principal, Quotas, SharedTokenKeys, TokenKeys};
use crate::api::grpc::ConnectionInfo;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

use super::throttle::Throttle;
use callers::{AcceptedCallers, with_quota};
#[cfg(feature = "tls")]
pub use jwt::JwtOptions;
#[cfg(feature = "tls")]
use jwt::JwtVerifier;
pub(super) use service::IdentityService;
pub use tokens::{StaticToken, TOKENS_MAX};
pub use update::IdentityUpdate;

/// Most entries of [`IdentityOptions::certificates`].
pub const CERTIFICATES_MAX: usize = 10_000;
/// Longest credential, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 16 << 10;

/// The callers that a server accepts. Start from [`Default`] and set fields.
///
/// ```
/// use jobstream::access::Grants;
/// use jobstream::server::{Identity, IdentityOptions, ServerOptions, StaticToken};
///
/// # fn main() -> jobstream::error::Result<()> {
/// let mut callers = IdentityOptions::default();
/// let grants = Grants::parse(["submit queue=billing/*", "read own"])?;
/// callers.tokens.push(StaticToken::new("billing", "jst_a-secret-of-at-least-32-characters", grants)?);
/// let mut options = ServerOptions::default();
/// options.serve.identity = Some(Identity::new(callers)?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct IdentityOptions {
    /// The static tokens, at most [`TOKENS_MAX`]. Default: none.
    pub tokens: Vec<StaticToken>,
    /// The principals of client certificates, at most [`CERTIFICATES_MAX`]. No name stands for two principals. Default: none.
    pub certificates: Vec<CertificatePrincipal>,
    /// What callers without a credential may do. Default: they are refused.
    pub anonymous: Option<Grants>,
    /// The JSON Web Tokens of an identity provider. Default: they are refused.
    #[cfg(feature = "tls")]
    pub jwt: Option<JwtOptions>,
    /// How much each principal may use. Default: no limit.
    pub quotas: Quotas,
}

/// The principal of client certificates that have a name. If a certificate has the names of several principals, the first name
/// counts, and URIs are before DNS names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePrincipal {
    /// A URI or DNS name of the certificate, without wildcards.
    pub subject_name: String,
    /// The principal.
    pub principal: Arc<Principal>,
}

impl CertificatePrincipal {
    /// The principal `name` with these grants, for certificates with this URI or DNS name.
    ///
    /// # Errors
    ///
    /// `InvalidField` if the name is not that of a principal.
    pub fn new(name: &str, subject_name: &str, grants: Grants) -> Result<Self> {
        let principal = Arc::new(Principal::new(name, Method::Certificate, grants, None)?);
        Ok(Self { subject_name: subject_name.to_owned(), principal })
    }
}

/// Verifies the callers of a server. Cheap to clone; clones share the callers.
#[derive(Debug, Clone)]
pub struct Identity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    callers: RwLock<Arc<AcceptedCallers>>,
    /// Held while an update is applied.
    updating: Mutex<()>,
    keys: SharedTokenKeys,
    /// The keys of JSON Web Tokens, which a task refreshes.
    #[cfg(feature = "tls")]
    jwt_keys: watch::Sender<Option<Arc<Keys>>>,
    clock: Clock,
    /// The caller of requests that need no credential. It has no grants.
    nobody: Arc<Principal>,
    /// Limits the warnings of refusals.
    warning: Throttle,
}

/// The verification of a credential that is not refused at once.
enum Verification {
    /// The principal that it stands for.
    Ready(Arc<Principal>),
    /// It waits for the keys of JSON Web Tokens: for at most two loads of 5 seconds.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only JSON Web Tokens need to wait"))]
    Waiting(PrincipalFuture),
}

type PrincipalFuture = Pin<Box<dyn Future<Output = Result<Arc<Principal>>> + Send>>;

impl Identity {
    /// Accepts these callers. Minted tokens are signed with a random key until [`Identity::set_token_keys`]. If the keys of
    /// JSON Web Tokens are in a file, it is read.
    ///
    /// # Errors
    ///
    /// `InvalidField` if there are too many tokens or certificates, two tokens have the same digest, a name of certificates
    /// stands for two principals, or an option of `jwt` cannot be used.
    pub fn new(options: IdentityOptions) -> Result<Self> {
        let clock = Clock::system();
        #[cfg(feature = "tls")]
        let jwt = options.jwt.clone().map(|jwt| JwtVerifier::new(jwt, clock.clone())).transpose()?;
        let callers = AcceptedCallers {
            #[cfg(feature = "tls")]
            jwt,
            ..AcceptedCallers::new(options)?
        };
        Ok(Self(Arc::new(Inner {
            #[cfg(feature = "tls")]
            jwt_keys: watch::Sender::new(callers.jwt_keys()),
            callers: RwLock::new(Arc::new(callers)),
            updating: Mutex::default(),
            keys: SharedTokenKeys::new(TokenKeys::random()),
            clock,
            nobody: Arc::new(Principal::anonymous(Grants::default())),
            warning: Throttle::default(),
        })))
    }

    /// Signs and verifies minted tokens with these keys from now on. Returns whether they are other keys than before.
    pub fn set_token_keys(&self, keys: TokenKeys) -> bool {
        self.0.keys.set(keys)
    }

    /// The keys of minted tokens.
    pub(super) fn token_keys(&self) -> SharedTokenKeys {
        self.0.keys.clone()
    }

    /// The callers that are accepted now.
    fn accepted(&self) -> Arc<AcceptedCallers> {
        self.0.callers.read().clone()
    }

    /// Verifies the credential of a request with these headers.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`.
    fn verify(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Verification> {
        let callers = self.accepted();
        let mut values = headers.get_all(AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => {
                let connection = extensions.get::<ConnectionInfo>();
                let certificate = connection.and_then(|connection| connection.client_certificate.as_deref());
                callers.without_token(certificate).map(Verification::Ready)
            }
            (Some(value), None) => self.bearer(&callers, bearer_token(value)?),
            (Some(_), Some(_)) => Err(invalid("the request has several authorization headers: send one")),
        }
    }

    /// Verifies the token of an authorization header.
    fn bearer(&self, callers: &Arc<AcceptedCallers>, token: &str) -> Result<Verification> {
        // First: a static token may have the form of the others.
        if let Some(principal) = callers.tokens.find(token) {
            check_not_expired(&principal, &self.0.clock)?;
            return Ok(Verification::Ready(principal));
        }
        if token.starts_with(MINTED_PREFIX) {
            return self.minted(callers, token).map(Verification::Ready);
        }
        #[cfg(feature = "tls")]
        if let Some(jwt) =
            callers.jwt.as_ref().filter(|_| token.bytes().filter(|byte| *byte == b'.').count() == 2)
        {
            return Ok(match jwt.verify(token)? {
                Verification::Ready(principal) => Verification::Ready(with_quota(principal, &callers.quotas)),
                Verification::Waiting(principal) => {
                    let callers = callers.clone();
                    Verification::Waiting(Box::pin(async move {
                        principal.await.map(|principal| with_quota(principal, &callers.quotas))
                    }))
                }
            });
        }
        Err(invalid(
            "the token is not one of this server: it was mistyped, removed, or is for another server",
        ))
    }

    /// Starts a task that keeps the keys of JSON Web Tokens fresh until the handle is dropped.
    #[cfg(feature = "tls")]
    pub(super) fn keep_keys_fresh(&self) -> AbortOnDropHandle<()> {
        let mut keys = self.0.jwt_keys.subscribe();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let current = keys.borrow_and_update().clone();
                let keep_fresh = async {
                    match current {
                        Some(keys) => keys.keep_fresh().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = keep_fresh => {}
                    changed = keys.changed() => if changed.is_err() { return },
                }
            }
        }))
    }

    /// Verifies the parameter `access_token` of an address, a minted token.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, also for tokens that are not minted: addresses are logged and shared.
    fn verify_access_token(&self, token: &str) -> Result<Arc<Principal>> {
        if !token.starts_with(MINTED_PREFIX) {
            return Err(invalid(
                "access_token is no minted token: mint one for this job, or send the header \"authorization: Bearer TOKEN\"",
            ));
        }
        self.minted(&self.accepted(), token)
    }

    /// Verifies a minted token. Its holder shares the quota of the principal that minted it.
    fn minted(&self, callers: &AcceptedCallers, token: &str) -> Result<Arc<Principal>> {
        let principal = self.0.keys.current().verify(token, self.0.clock.now().wall)?;
        Ok(with_quota(Arc::new(principal), &callers.quotas))
    }
}

fn check_not_expired(principal: &Principal, clock: &Clock) -> Result<()> {
    match principal.expire_time() {
        Some(expire_time) if expire_time <= clock.now().wall => {
            let message = format!("the token of {} has expired: use a new one", principal.name());
            Err(Error::new(ErrorKind::Unauthenticated { reason: "CREDENTIAL_EXPIRED" }, message))
        }
        _ => Ok(()),
    }
}

/// The token of an authorization header.
fn bearer_token(value: &HeaderValue) -> Result<&str> {
    const SCHEME: &str = "bearer ";
    let text = value.to_str().map_err(|_| invalid("the authorization header is not ASCII text"))?;
    if text.len() > CREDENTIAL_BYTES_MAX {
        let length = text.len();
        return Err(invalid(format!(
            "the authorization header has {length} bytes, the limit is {CREDENTIAL_BYTES_MAX}"
        )));
    }
    match text.get(..SCHEME.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(text[SCHEME.len()..].trim()),
        _ => Err(invalid("the authorization header is not of the form \"Bearer TOKEN\"")),
    }
}

/// The error for a credential that is malformed or unknown.
fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unauthenticated { reason: "CREDENTIAL_INVALID" }, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_token_is_accepted_whatever_it_looks_like() {
        let texts = ["jsm_0123456789abcdef0123456789abcdef", "0123456789.0123456789.0123456789ab"];
        let mut options = IdentityOptions::default();
        for text in texts {
            options.tokens.push(StaticToken::new("ops", text, Grants::all()).expect("a token"));
        }
        #[cfg(feature = "tls")]
        {
            options.jwt = Some(JwtOptions::new("https://id.example", "jobstream", "http://localhost/keys"));
        }
        let identity = Identity::new(options).expect("valid callers");
        for text in texts {
            let value = HeaderValue::try_from(format!("Bearer {text}")).expect("a header");
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
            let verified = identity.verify(&headers, &Extensions::new());
            assert!(matches!(verified, Ok(Verification::Ready(_))), "{text}");
        }
    }
}
