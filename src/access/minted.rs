//! Minted tokens: signed texts that let their holder read one job for a limited time.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::RwLock;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{JobId, Timestamp, quoted};

/// Prefix of minted tokens.
pub(crate) const MINTED_PREFIX: &str = "jsm_";
/// The default audience of minted tokens.
pub const AUDIENCE_DEFAULT: &str = "jobstream";
/// Fewest bytes of a key of [`TokenKeys`].
pub const TOKEN_KEY_BYTES_MIN: usize = 32;
/// Most keys of [`TokenKeys`].
pub const TOKEN_KEYS_MAX: usize = 16;
/// Most characters of an audience of [`TokenKeys`].
pub const AUDIENCE_CHARS_MAX: usize = 256;
/// Longest minted token that is verified, in bytes. One with the longest name and audience is shorter.
const TOKEN_BYTES_MAX: usize = 4096;
/// The first bytes of what is signed. Signatures for another purpose need another label.
const LABEL: &[u8] = b"jobstream minted token\0";

/// The keys that sign and verify minted tokens, and the audience of the tokens.
#[derive(Clone)]
pub struct TokenKeys {
    /// The first one signs; at least one.
    keys: Arc<[Hmac<Sha256>]>,
    /// Their digest, to compare them.
    digest: [u8; 32],
    audience: Arc<str>,
}

/// Keys that can be replaced. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct SharedTokenKeys(Arc<RwLock<TokenKeys>>);

impl SharedTokenKeys {
    pub(crate) fn new(keys: TokenKeys) -> Self {
        Self(Arc::new(RwLock::new(keys)))
    }

    pub(crate) fn current(&self) -> TokenKeys {
        self.0.read().clone()
    }

    /// Replaces the keys. Returns whether they are other keys than before.
    pub(crate) fn set(&self, keys: TokenKeys) -> bool {
        let former = std::mem::replace(&mut *self.0.write(), keys.clone());
        former != keys
    }
}

/// The signed content of a token.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    job: String,
    /// The principal that minted it.
    by: String,
    aud: String,
    /// When it expires, in microseconds since 1970.
    exp: i64,
}

impl TokenKeys {
    /// Keys for the tokens of this audience. The first one signs, all verify, so that keys can be rotated.
    ///
    /// # Errors
    ///
    /// `InvalidField` if there is no key, there are more than [`TOKEN_KEYS_MAX`], or one is shorter than
    /// [`TOKEN_KEY_BYTES_MIN`] bytes; or if the audience has more than [`AUDIENCE_CHARS_MAX`] characters or a control character.
    pub fn new(keys: &[Vec<u8>], audience: &str) -> Result<Self> {
        if keys.is_empty() || keys.len() > TOKEN_KEYS_MAX {
            let description = format!("has {} keys: it must have 1 to {TOKEN_KEYS_MAX}", keys.len());
            return Err(Error::invalid("token_keys", description));
        }
        if audience.chars().count() > AUDIENCE_CHARS_MAX || audience.contains(char::is_control) {
            let description = format!(
                "{} is not an audience: write at most {AUDIENCE_CHARS_MAX} characters without control characters",
                quoted(audience)
            );
            return Err(Error::invalid("audience", description));
        }
        let key = |bytes: &Vec<u8>| match bytes.len() {
            ..TOKEN_KEY_BYTES_MIN => {
                let description =
                    format!("has a key of {} bytes: a key has at least {TOKEN_KEY_BYTES_MIN}", bytes.len());
                Err(Error::invalid("token_keys", description))
            }
            _ => Ok(Hmac::new_from_slice(bytes).expect("an HMAC takes keys of any length")),
        };
        let mut digest = Sha256::new();
        for bytes in keys {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
        let keys = keys.iter().map(key).collect::<Result<_>>()?;
        Ok(Self { keys, digest: digest.finalize().into(), audience: Arc::from(audience) })
    }

    /// A random key, for the default audience. Its tokens are valid until the process ends.
    pub fn random() -> Self {
        let key: [u8; TOKEN_KEY_BYTES_MIN] = rand::rng().random();
        Self::new(&[key.to_vec()], AUDIENCE_DEFAULT).expect("one key of the right length")
    }

    /// Makes a token that lets its holder read the job until `expire_time`. The holder has the name of `minter`.
    pub(crate) fn mint(&self, job: JobId, minter: &str, expire_time: Timestamp) -> String {
        let claims = Claims {
            job: job.to_string(),
            by: minter.to_owned(),
            aud: (*self.audience).to_owned(),
            exp: expire_time.as_micros(),
        };
        let json = serde_json::to_vec(&claims).expect("four plain members");
        let payload = BASE64_URL_SAFE_NO_PAD.encode(json);
        let signature = mac_of(&self.keys[0], &payload).finalize().into_bytes();
        format!("{MINTED_PREFIX}{payload}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// Verifies a minted token. Returns the principal that it stands for.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if it was not minted with one of the keys for this audience, or has expired.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Principal> {
        let claims = self.claims(token).ok_or_else(|| {
            refused("CREDENTIAL_INVALID", "the token was not minted by this server, or its key was removed")
        })?;
        if *claims.aud != *self.audience {
            return Err(refused("CREDENTIAL_INVALID", "the token was minted for another audience"));
        }
        let expire_time = Timestamp::from_micros(claims.exp);
        if expire_time <= now {
            return Err(refused("CREDENTIAL_EXPIRED", "the token has expired: mint another one"));
        }
        Ok(Principal::reader_of(JobId::parse("job", &claims.job)?, &claims.by, expire_time))
    }

    /// The claims of a token with a valid signature.
    fn claims(&self, token: &str) -> Option<Claims> {
        let (payload, signature) = token.strip_prefix(MINTED_PREFIX)?.split_once('.')?;
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        // The comparison takes constant time.
        let is_signed = |key| mac_of(key, payload).verify_slice(&signature).is_ok();
        if !self.keys.iter().any(is_signed) {
            return None;
        }
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

impl PartialEq for TokenKeys {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, &self.audience) == (other.digest, &other.audience)
    }
}

impl Eq for TokenKeys {}

impl fmt::Debug for TokenKeys {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys").field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// The authentication code (HMAC) of the payload of a minted token.
fn mac_of(key: &Hmac<Sha256>, payload: &str) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(LABEL);
    mac.update(payload.as_bytes());
    mac
}

fn refused(reason: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated { reason }, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::PRINCIPAL_CHARS_MAX;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);
    const LATER: Timestamp = Timestamp::from_micros(2_000_000);

    fn keys(first: u8) -> TokenKeys {
        TokenKeys::new(&[vec![first; 32]], "jobs").expect("a key")
    }

    fn job() -> JobId {
        JobId::from_bytes([7; 16])
    }

    fn reason(refused: Result<Principal>) -> &'static str {
        match refused.expect_err("a refusal").kind() {
            ErrorKind::Unauthenticated { reason } => reason,
            kind => panic!("{kind:?}"),
        }
    }

    #[test]
    fn a_token_names_its_job_its_minter_and_its_end() {
        let token = keys(1).mint(job(), "alice", LATER);
        assert_eq!(keys(1).verify(&token, NOW).unwrap(), Principal::reader_of(job(), "alice", LATER));
        assert_eq!(reason(keys(1).verify(&token, LATER)), "CREDENTIAL_EXPIRED");
    }

    #[test]
    fn a_changed_token_is_refused() {
        let token = keys(1).mint(job(), "alice", LATER);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            // The last character of a base64 text has bits that are not used; such a text is refused as well.
            assert_eq!(reason(keys(1).verify(&changed, NOW)), "CREDENTIAL_INVALID", "{at}");
        }
        for token in
            ["", "jsm_", "jsm_.", "jsm_e30.", &format!("{token}.x"), &"a".repeat(TOKEN_BYTES_MAX + 1)]
        {
            assert_eq!(reason(keys(1).verify(token, NOW)), "CREDENTIAL_INVALID", "{token}");
        }
    }

    #[test]
    fn keys_are_rotated_and_audiences_are_separate() {
        let token = keys(1).mint(job(), "alice", LATER);
        let both = TokenKeys::new(&[vec![2; 32], vec![1; 32]], "jobs").unwrap();
        assert!(
            both.verify(&token, NOW).is_ok() && keys(2).verify(&both.mint(job(), "a", LATER), NOW).is_ok()
        );
        assert_eq!(reason(keys(2).verify(&token, NOW)), "CREDENTIAL_INVALID");
        let other = TokenKeys::new(&[vec![1; 32]], "other").unwrap();
        assert_eq!(reason(other.verify(&token, NOW)), "CREDENTIAL_INVALID");
    }

    #[test]
    fn a_token_with_the_longest_name_and_audience_is_verified() {
        let (minter, audience) =
            ("\u{10ffff}".repeat(PRINCIPAL_CHARS_MAX), "\u{10ffff}".repeat(AUDIENCE_CHARS_MAX));
        let keys = TokenKeys::new(&[vec![1; 32]], &audience).expect("a key");
        let token = keys.mint(job(), &minter, Timestamp::MAX);
        assert!(keys.verify(&token, NOW).is_ok(), "{} bytes", token.len());
        for wrong in ["a".repeat(AUDIENCE_CHARS_MAX + 1), "a\n".to_owned()] {
            assert!(TokenKeys::new(&[vec![1; 32]], &wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn short_keys_and_no_keys_are_refused() {
        assert!(TokenKeys::new(&[], "jobs").is_err() && TokenKeys::new(&[vec![1; 31]], "jobs").is_err());
        assert!(!format!("{:?}", keys(1)).contains("[1"));
    }
}
