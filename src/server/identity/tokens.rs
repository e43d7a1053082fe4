//! Static tokens: the digests of their texts, with the principals that they stand for.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::access::{Grants, Method, Principal};
use crate::error::{Error, Result};
use crate::job::Timestamp;

/// Most static tokens.
pub const TOKENS_MAX: usize = 10_000;
/// Fewest characters of a token.
const TOKEN_CHARS_MIN: usize = 32;

/// The SHA-256 of the text of a token.
pub(super) type TokenDigest = [u8; 32];

/// The digest of a token, from its text.
pub(super) fn digest(text: &str) -> TokenDigest {
    Sha256::digest(text).into()
}

/// A static token: the digest of its text and the principal that it stands for. The text itself is not stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticToken {
    digest: TokenDigest,
    principal: Arc<Principal>,
}

impl StaticToken {
    /// The token with this text. It stands for the principal `name` with these grants.
    ///
    /// # Errors
    ///
    /// `InvalidField` if the text has fewer than 32 characters, or the name is not that of a principal.
    pub fn new(name: &str, text: &str, grants: Grants) -> Result<Self> {
        let length = text.chars().count();
        if length < TOKEN_CHARS_MIN {
            let description =
                format!("has {length} characters: it must have at least {TOKEN_CHARS_MIN}, chosen at random");
            return Err(Error::invalid("token", description));
        }
        Self::with_digest(name, digest(text), grants, None)
    }

    /// The token whose text has this SHA-256. It is valid until `expire_time`, or without a limit.
    ///
    /// # Errors
    ///
    /// `InvalidField` if the name is not that of a principal.
    pub fn with_digest(
        name: &str,
        sha256: [u8; 32],
        grants: Grants,
        expire_time: Option<Timestamp>,
    ) -> Result<Self> {
        let principal = Arc::new(Principal::new(name, Method::Token, grants, expire_time)?);
        Ok(Self { digest: sha256, principal })
    }

    /// The principal that it stands for.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    pub(super) fn principal_mut(&mut self) -> &mut Arc<Principal> {
        &mut self.principal
    }

    /// The digest as text, to compare tokens.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:?}", self.digest)
    }
}

impl fmt::Debug for StaticToken {
    /// Without the digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StaticToken").field(&self.principal).finish()
    }
}

/// The static tokens by the first bytes of their digests.
#[derive(Debug, Default)]
pub(super) struct TokenTable(HashMap<u64, Vec<StaticToken>>);

impl TokenTable {
    /// A table of these tokens.
    ///
    /// # Errors
    ///
    /// `InvalidField` if there are too many, or two have the same digest.
    pub(super) fn new(tokens: Vec<StaticToken>) -> Result<Self> {
        if tokens.len() > TOKENS_MAX {
            let description = format!("has {} tokens, the limit is {TOKENS_MAX}", tokens.len());
            return Err(Error::invalid("tokens", description));
        }
        let mut table: HashMap<u64, Vec<StaticToken>> = HashMap::new();
        for token in tokens {
            let bucket = table.entry(bucket(&token.digest)).or_default();
            if let Some(earlier) = bucket.iter().find(|earlier| earlier.digest == token.digest) {
                let description = format!(
                    "{} and {} have the same token: each principal needs its own",
                    earlier.principal.name(),
                    token.principal.name()
                );
                return Err(Error::invalid("tokens", description));
            }
            bucket.push(token);
        }
        Ok(Self(table))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &StaticToken> {
        self.0.values().flatten()
    }

    /// The principal of the token with this text. The time does not depend on how much of a digest is equal.
    pub(super) fn find(&self, text: &str) -> Option<Arc<Principal>> {
        let digest = digest(text);
        let candidates = self.0.get(&bucket(&digest))?;
        let found = candidates.iter().find(|token| token.digest.ct_eq(&digest).into())?;
        Some(found.principal.clone())
    }
}

/// The first bytes of a digest, as a number.
fn bucket(digest: &TokenDigest) -> u64 {
    digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, text: &str) -> StaticToken {
        StaticToken::new(name, text, Grants::all()).expect("a token")
    }

    #[test]
    fn a_token_is_found_by_its_whole_text_only() {
        let text = "0123456789abcdef0123456789abcdef";
        let table = TokenTable::new(vec![token("a", text), token("b", &text.replace('0', "x"))]).unwrap();
        assert_eq!(&**table.find(text).expect("found").name(), "a");
        for other in ["", &text[..31], &format!("{text} "), &text.to_uppercase()] {
            assert!(table.find(other).is_none(), "{other}");
        }
    }

    #[test]
    fn two_principals_with_one_token_are_refused() {
        let text = "0123456789abcdef0123456789abcdef";
        let error = TokenTable::new(vec![token("a", text), token("b", text)]).expect_err("the same token");
        assert!(error.message().contains("a and b have the same token"), "{error}");
    }

    #[test]
    fn short_tokens_are_refused_and_digests_are_not_shown() {
        assert!(StaticToken::new("a", "password", Grants::all()).is_err());
        assert!(!format!("{:?}", token("a", &"x".repeat(32))).contains("digest"));
    }
}
