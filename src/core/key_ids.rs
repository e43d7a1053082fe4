//! Job ids of idempotency keys: a caller that names a request by a text gets the same job id for the same text.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::state::Core;
use super::tails::IdSecret;
use crate::job::JobId;

/// The first bytes of the message. Ids that are derived for another purpose need another label.
const LABEL: &[u8] = b"jobstream idempotency key";

impl Core {
    /// The secret of minted ids, leases and ids of idempotency keys.
    pub(crate) fn id_secret(&self) -> IdSecret {
        self.table.tails().secret()
    }
}

impl IdSecret {
    /// The job id of an idempotency key of this principal: a UUID v8 with the first 16 bytes of an HMAC-SHA-256 over the
    /// label, the bytes of the principal's length (u64, big-endian), the principal and the key. The secret is the key of
    /// the HMAC.
    ///
    /// Other inputs and other secrets give other ids. Without the secret, an id cannot be derived, and reveals nothing
    /// about the key. Callers repeat requests, so the id of a key is the same in every version.
    pub(crate) fn job_id_of_key(self, principal: &str, key: &str) -> JobId {
        let secret = self.as_u128().to_be_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("an HMAC takes keys of any length");
        mac.update(LABEL);
        // Without the length, another principal and key with the same bytes together would have the same id.
        mac.update(&(principal.len() as u64).to_be_bytes());
        mac.update(principal.as_bytes());
        mac.update(key.as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        JobId::from_bytes(uuid::Builder::from_custom_bytes(bytes).into_uuid().into_bytes())
    }
}
