//! Replaces the callers that a running server accepts: the new ones are checked first, and then accepted at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::callers::AcceptedCallers;
#[cfg(feature = "tls")]
use super::jwt::{JwtVerifier, Renewed};
use super::{Identity, IdentityOptions};
use crate::error::Result;

/// Checked callers, which replace those of an [`Identity`].
#[derive(Debug)]
#[must_use = "the former callers are accepted until `apply`"]
pub struct IdentityUpdate {
    identity: Identity,
    callers: AcceptedCallers,
    #[cfg(feature = "tls")]
    jwt: Option<Renewed>,
}

impl Identity {
    /// Accepts these callers from now on, and no others. Calls that have begun are not affected. Returns what has changed, for
    /// a log: `added billing`, `removed cron`, `changed ops`. It blocks its thread, see [`Identity::prepare`].
    ///
    /// # Errors
    ///
    /// As [`Identity::prepare`]; the former callers are accepted then.
    pub fn update(&self, options: IdentityOptions) -> Result<Vec<String>> {
        self.prepare(options).map(IdentityUpdate::apply)
    }

    /// Checks these callers; [`IdentityUpdate::apply`] accepts them. It blocks its thread while it reads the keys of JSON Web
    /// Tokens from a file, and for up to 5 seconds while it loads them from a URL that is another one than before.
    ///
    /// # Errors
    ///
    /// As [`Identity::new`], and if these keys cannot be loaded.
    pub fn prepare(&self, options: IdentityOptions) -> Result<IdentityUpdate> {
        #[cfg(feature = "tls")]
        let jwt = options.jwt.clone();
        let callers = AcceptedCallers::new(options)?;
        #[cfg(feature = "tls")]
        let former = self.0.callers.read().jwt.clone();
        Ok(IdentityUpdate {
            identity: self.clone(),
            callers,
            #[cfg(feature = "tls")]
            jwt: jwt.map(|jwt| JwtVerifier::renewed(former.as_ref(), jwt, &self.0.clock)).transpose()?,
        })
    }
}

impl IdentityUpdate {
    /// Accepts the callers, as [`Identity::update`] does.
    #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "only JSON Web Tokens change it"))]
    pub fn apply(mut self) -> Vec<String> {
        #[cfg(feature = "tls")]
        let jwt_change = self.apply_jwt();
        #[cfg(not(feature = "tls"))]
        let jwt_change = None;
        let callers = Arc::new(self.callers);
        let former = std::mem::replace(&mut *self.identity.0.callers.write(), callers.clone());
        let mut changes = changes(&former.by_name(), &callers.by_name());
        changes.extend(jwt_change);
        changes
    }

    /// Adds the verifier of JSON Web Tokens to the callers. Its keys are refreshed from now on. Returns what has changed.
    #[cfg(feature = "tls")]
    fn apply_jwt(&mut self) -> Option<String> {
        let mut renewed = self.jwt.take();
        let has_other_keys = renewed.as_mut().is_some_and(Renewed::replace_keys);
        self.callers.jwt = renewed.map(|renewed| renewed.verifier);
        let keys = self.callers.jwt_keys();
        // The task of the same keys continues: it may be loading them.
        self.identity.0.jwt_keys.send_if_modified(|current| {
            let is_same = match (&*current, &keys) {
                (Some(current), Some(keys)) => Arc::ptr_eq(current, keys),
                (current, keys) => current.is_none() && keys.is_none(),
            };
            *current = keys;
            !is_same
        });
        let change = match (&self.identity.0.callers.read().jwt, &self.callers.jwt) {
            (None, Some(_)) => "added JSON Web Tokens",
            (Some(_), None) => "removed JSON Web Tokens",
            (Some(former), Some(jwt)) if !jwt.has_options_of(former) => "changed JSON Web Tokens",
            _ if has_other_keys => "changed the keys of JSON Web Tokens",
            _ => return None,
        };
        Some(change.to_owned())
    }
}

/// What a principal is verified by, and what it may do, as text without secrets.
type Descriptions = BTreeMap<String, BTreeSet<String>>;

fn changes(former: &Descriptions, current: &Descriptions) -> Vec<String> {
    let names: BTreeSet<_> = former.keys().chain(current.keys()).collect();
    let change = |name: &&String| match (former.get(*name), current.get(*name)) {
        (None, _) => Some("added"),
        (_, None) => Some("removed"),
        (before, after) => (before != after).then_some("changed"),
    };
    let shown = |name: &String| if name.is_empty() { "anonymous callers".to_owned() } else { name.clone() };
    names.into_iter().filter_map(|name| Some(format!("{} {}", change(&name)?, shown(name)))).collect()
}

impl AcceptedCallers {
    /// The principals by name. The name of anonymous callers is empty.
    fn by_name(&self) -> Descriptions {
        let tokens = self.tokens.iter().map(|token| (token.principal(), token.fingerprint()));
        let certificates = self.certificates.iter().map(|(name, principal)| (principal, name.clone()));
        let anonymous = self.anonymous.iter().map(|principal| (principal, String::new()));
        let mut names = Descriptions::new();
        for (principal, credential) in tokens.chain(certificates).chain(anonymous) {
            let description = format!("{credential} {principal:?}");
            names.entry((**principal.name()).to_owned()).or_default().insert(description);
        }
        names
    }
}
