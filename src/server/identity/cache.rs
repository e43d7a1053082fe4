//! A cache of verified JSON Web Tokens: a digest of a token in place of its signature check.
//!
//! Refused tokens are not in it, so only holders of valid tokens fill it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::tokens::TokenDigest;
use crate::access::Principal;
use crate::job::Timestamp;

/// Most tokens that a cache holds. One takes about 100 bytes, and its principal.
pub(super) const CACHED_TOKENS_MAX: usize = 10_000;
/// Parts with a lock of their own, so that connection threads rarely wait for each other.
const SHARDS: usize = 16;
/// A shard has two maps of at most this many tokens.
const MAP_TOKENS_MAX: usize = CACHED_TOKENS_MAX / SHARDS / 2;

/// Principals by the digests of their tokens, at most [`CACHED_TOKENS_MAX`].
#[derive(Debug, Default)]
pub(super) struct TokenCache([Mutex<Shard>; SHARDS]);

/// When `recent` is full, it becomes `former`, and the tokens of `former` that were not used since are removed.
#[derive(Debug, Default)]
struct Shard {
    recent: HashMap<TokenDigest, Entry>,
    former: HashMap<TokenDigest, Entry>,
}

/// A verified token.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) principal: Arc<Principal>,
    /// The generation of the key set that verified it.
    pub(super) generation: u64,
}

impl TokenCache {
    /// The principal of a token, if keys of this generation verified it and it has not expired.
    pub(super) fn get(
        &self,
        digest: &TokenDigest,
        generation: u64,
        now: Timestamp,
    ) -> Option<Arc<Principal>> {
        let mut shard = self.shard(digest).lock();
        if let Some(entry) = shard.recent.get(digest) {
            return entry.principal_at(generation, now);
        }
        let entry = shard.former.remove(digest)?;
        let principal = entry.principal_at(generation, now)?;
        shard.insert(*digest, entry);
        Some(principal)
    }

    /// Adds a verified token.
    pub(super) fn insert(&self, digest: TokenDigest, entry: Entry) {
        self.shard(&digest).lock().insert(digest, entry);
    }

    fn shard(&self, digest: &TokenDigest) -> &Mutex<Shard> {
        &self.0[usize::from(digest[0]) % SHARDS]
    }
}

impl Shard {
    fn insert(&mut self, digest: TokenDigest, entry: Entry) {
        if self.recent.len() >= MAP_TOKENS_MAX && !self.recent.contains_key(&digest) {
            self.former = std::mem::take(&mut self.recent);
        }
        self.recent.insert(digest, entry);
    }
}

impl Entry {
    fn principal_at(&self, generation: u64, now: Timestamp) -> Option<Arc<Principal>> {
        let has_expired = self.principal.expire_time().is_some_and(|end| end <= now);
        (self.generation == generation && !has_expired).then(|| self.principal.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Grants, Method};
    use crate::server::identity::tokens::digest;

    const NOW: Timestamp = Timestamp::from_micros(1_000);

    fn entry(end: i64, generation: u64) -> Entry {
        let end = Some(Timestamp::from_micros(end));
        let principal = Principal::new("jwt:ann", Method::Jwt, Grants::default(), end).unwrap();
        Entry { principal: Arc::new(principal), generation }
    }

    impl TokenCache {
        fn len(&self) -> usize {
            self.0.iter().map(|shard| shard.lock()).map(|shard| shard.recent.len() + shard.former.len()).sum()
        }
    }

    #[test]
    fn a_token_is_found_until_it_expires_or_the_keys_change() {
        let (cache, token) = (TokenCache::default(), digest("a.b.c"));
        assert!(cache.get(&token, 1, NOW).is_none());
        cache.insert(token, entry(1_001, 1));
        assert!(cache.get(&token, 1, NOW).is_some_and(|principal| &**principal.name() == "jwt:ann"));
        assert!(cache.get(&digest("a.b.d"), 1, NOW).is_none(), "another token");
        assert!(cache.get(&token, 2, NOW).is_none(), "other keys");
        assert!(cache.get(&token, 1, Timestamp::from_micros(1_001)).is_none(), "expired");
    }

    #[test]
    fn the_number_of_tokens_is_bounded_and_used_ones_stay() {
        let cache = TokenCache::default();
        let used = digest("used");
        cache.insert(used, entry(1_001, 1));
        for number in 0..3 * CACHED_TOKENS_MAX {
            cache.insert(digest(&number.to_string()), entry(1_001, 1));
            assert!(cache.get(&used, 1, NOW).is_some(), "after {number} others");
        }
        assert!(cache.len() <= CACHED_TOKENS_MAX, "{}", cache.len());
        assert!(cache.get(&digest("0"), 1, NOW).is_none());
    }
}
