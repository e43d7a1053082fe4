//! Replaces the callers that a running server accepts: the new ones are checked first, and then accepted at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::callers::AcceptedCallers;
#[cfg(feature = "tls")]
use super::jwks::Keys;
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
    renewed: Option<Renewed>,
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
        let (callers, renewed) = {
            let former = self.accepted();
            let renewed = jwt.map(|jwt| JwtVerifier::renewed(former.jwt.as_ref(), jwt, &self.0.clock));
            let renewed = renewed.transpose()?;
            let verifier = renewed.as_ref().map(|renewed| renewed.verifier.clone());
            (AcceptedCallers { jwt: verifier, ..callers }, renewed)
        };
        Ok(IdentityUpdate {
            identity: self.clone(),
            callers,
            #[cfg(feature = "tls")]
            renewed,
        })
    }

    /// Refreshes these keys of JSON Web Tokens from now on. The task of the same keys continues: it may be loading them.
    #[cfg(feature = "tls")]
    fn refresh_keys(&self, keys: Option<Arc<Keys>>) {
        self.0.jwt_keys.send_if_modified(|current| {
            let is_same = match (&*current, &keys) {
                (Some(current), Some(keys)) => Arc::ptr_eq(current, keys),
                (current, keys) => current.is_none() && keys.is_none(),
            };
            *current = keys;
            !is_same
        });
    }
}

impl IdentityUpdate {
    /// Accepts the callers, as [`Identity::update`] does.
    pub fn apply(self) -> Vec<String> {
        // Of two updates at the same time, the keys of the one that is accepted must be the ones that are refreshed.
        let _one_at_a_time = self.identity.0.updating.lock();
        let callers = Arc::new(self.callers);
        #[cfg(feature = "tls")]
        let has_other_keys = self.renewed.is_some_and(Renewed::replace_keys);
        #[cfg(feature = "tls")]
        self.identity.refresh_keys(callers.jwt_keys());
        let former = std::mem::replace(&mut *self.identity.0.callers.write(), callers.clone());
        let changes = changes(&former.by_name(), &callers.by_name());
        #[cfg(feature = "tls")]
        let changes = changes.into_iter().chain(jwt_change(&former, &callers, has_other_keys)).collect();
        changes
    }
}

/// What has changed in the verification of JSON Web Tokens.
#[cfg(feature = "tls")]
fn jwt_change(former: &AcceptedCallers, current: &AcceptedCallers, has_other_keys: bool) -> Option<String> {
    let change = match (&former.jwt, &current.jwt) {
        (None, Some(_)) => "added JSON Web Tokens",
        (Some(_), None) => "removed JSON Web Tokens",
        (Some(former), Some(jwt)) if !jwt.has_options_of(former) => "changed JSON Web Tokens",
        _ if has_other_keys => "changed the keys of JSON Web Tokens",
        _ => return None,
    };
    Some(change.to_owned())
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

#[cfg(all(test, feature = "tls"))]
mod tests {
    use std::sync::Barrier;
    use std::{env, fs, process, thread};

    use super::super::JwtOptions;
    use super::*;

    const ROUNDS: usize = 300;

    #[test]
    fn the_keys_that_are_refreshed_are_those_of_the_last_of_many_updates() {
        let paths = ["a", "b"].map(|name| {
            let path = env::temp_dir().join(format!("jobstream-update-{}-{name}", process::id()));
            fs::write(&path, r#"{"keys": []}"#).expect("a file");
            path
        });
        let with_keys_of = |path: &std::path::Path| {
            let jwt = JwtOptions::new("https://id.example", "jobstream", path.display().to_string());
            IdentityOptions { jwt: Some(jwt), ..IdentityOptions::default() }
        };
        let identity = Identity::new(IdentityOptions::default()).expect("valid callers");
        let barrier = Barrier::new(paths.len());
        for _ in 0..ROUNDS {
            thread::scope(|scope| {
                for path in &paths {
                    scope.spawn(|| {
                        let update = identity.prepare(with_keys_of(path)).expect("valid callers");
                        barrier.wait();
                        update.apply();
                    });
                }
            });
            let (refreshed, accepted) =
                (identity.0.jwt_keys.borrow().clone(), identity.accepted().jwt_keys());
            let (refreshed, accepted) = (refreshed.expect("keys"), accepted.expect("keys"));
            assert!(Arc::ptr_eq(&refreshed, &accepted), "the accepted keys are not refreshed");
        }
        paths.iter().for_each(|path| fs::remove_file(path).expect("removed"));
    }
}
