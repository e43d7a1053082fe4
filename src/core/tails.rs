//! The tails of minted ids and of leases: the last bytes, which encode the key of the job under a secret.

use siphasher::sip::SipHasher13;

use super::keys::JobKey;
use crate::job::{JobId, LeaseId};

/// Bytes of an id before its tail.
const HEAD_BYTES: usize = 12;

/// The secret of tails, and of the ids of idempotency keys. With a log it is recorded, so that it is the same after a
/// restart. In memory it is new at each start.
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

/// Hides the secret in logs.
impl std::fmt::Debug for IdSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdSecret(..)")
    }
}

/// Encodes keys in tails. A tail is the key XOR a pad, the SipHash-1-3 of the rest of the id. The rest of every id has
/// random bits (42 in a job id, after its millisecond), so every pad is different, and no id reveals the tail of
/// another.
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

    /// The id with a tail that encodes the key.
    pub(super) fn minted(&self, id: JobId, key: JobKey) -> JobId {
        id.with_tail(self.pad(id.as_bytes()) ^ key.0)
    }

    /// The key that is encoded in the id, if it was minted.
    pub(super) fn key_of(&self, id: JobId) -> JobKey {
        JobKey(self.pad(id.as_bytes()) ^ id.tail())
    }

    /// A lease: 96 random bits, and a tail that encodes the key.
    pub(super) fn lease(&self, random: u128, key: JobKey) -> LeaseId {
        let head = random << u32::BITS;
        LeaseId::from_u128(head | u128::from(self.pad(&head.to_be_bytes()) ^ key.0))
    }

    /// The key that is encoded in the lease, if it is valid.
    pub(super) fn key_of_lease(&self, lease: LeaseId) -> JobKey {
        let bits = lease.as_u128();
        JobKey(self.pad(&bits.to_be_bytes()) ^ bits as u32)
    }
}
