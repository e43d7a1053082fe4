//! The tails of minted ids and of leases: each tells where its record is, to whoever has the secret and to nobody else.

use siphasher::sip::SipHasher13;

use super::keys::JobKey;
use crate::job::{JobId, LeaseId};

/// Bytes of an id before its tail.
const HEAD_BYTES: usize = 12;

/// The key behind the tails of ids. A log keeps it, so that it is the same after a restart; in memory it is drawn at each
/// start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdSecret([u8; 16]);

impl IdSecret {
    pub(crate) fn from_u128(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }

    pub(crate) fn as_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

/// Secrets are not shown.
impl std::fmt::Debug for IdSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdSecret(..)")
    }
}

/// Hides places in tails. A tail is the place under a pad, SipHash-1-3 of the rest of the id: the rest of every id is fresh
/// random bits (of a job's id 42 of them, beside its millisecond), so every pad is another, and no id tells anything of the
/// tail of the next.
#[derive(Clone, Copy)]
pub(super) struct Tails {
    secret: IdSecret,
    pad: SipHasher13,
}

impl Tails {
    pub(super) fn new(secret: IdSecret) -> Self {
        Self { secret, pad: SipHasher13::new_with_key(&secret.0) }
    }

    pub(super) fn secret(&self) -> IdSecret {
        self.secret
    }

    fn pad(&self, id: &[u8; 16]) -> u32 {
        self.pad.hash(&id[..HEAD_BYTES]) as u32
    }

    /// The id with the tail that tells the place of its record.
    pub(super) fn minted(&self, id: JobId, key: JobKey) -> JobId {
        id.with_tail(self.pad(id.as_bytes()) ^ key.0)
    }

    /// Where the record is if the id was minted.
    pub(super) fn place_of(&self, id: JobId) -> JobKey {
        JobKey(self.pad(id.as_bytes()) ^ id.tail())
    }

    /// A lease on the job there: 96 random bits and the tail that tells the place.
    pub(super) fn lease(&self, random: u128, key: JobKey) -> LeaseId {
        let head = random << u32::BITS;
        LeaseId::from_u128(head | u128::from(self.pad(&head.to_be_bytes()) ^ key.0))
    }

    /// Where the job of a lease is, if the lease stands.
    pub(super) fn place_of_lease(&self, lease: LeaseId) -> JobKey {
        let bits = lease.as_u128();
        JobKey(self.pad(&bits.to_be_bytes()) ^ bits as u32)
    }
}
