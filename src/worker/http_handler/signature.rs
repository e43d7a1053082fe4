//! Signatures by which an endpoint verifies that a request is from jobstream, in the format of Standard Webhooks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Shortest secret: 192 bits.
const SECRET_BYTES_MIN: usize = 24;
/// Most secrets of a handler. A rotation needs two.
const SECRETS_MAX: usize = 8;
/// Prefix of a secret in base64.
const BASE64_PREFIX: &str = "whsec_";

/// The key of an HMAC.
#[derive(Clone)]
pub(super) struct Secret(Hmac<Sha256>);

impl Secret {
    /// # Errors
    ///
    /// A message without the secret.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let key = match text.strip_prefix(BASE64_PREFIX) {
            Some(encoded) => STANDARD
                .decode(encoded)
                .map_err(|error| format!("the text after {BASE64_PREFIX} is not base64: {error}"))?,
            None => text.as_bytes().to_vec(),
        };
        if key.len() < SECRET_BYTES_MIN {
            return Err(format!(
                "has {} bytes, at least {SECRET_BYTES_MIN} are needed: make one with openssl rand -base64 32, and write \
                 {BASE64_PREFIX} before it",
                key.len()
            ));
        }
        let hmac = Hmac::new_from_slice(&key).map_err(|error| error.to_string())?;
        Ok(Self(hmac))
    }

    /// `v1,` and the HMAC-SHA-256 of id, timestamp and body in base64.
    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut hmac = self.0.clone();
        hmac.update(format!("{id}.{timestamp}.").as_bytes());
        hmac.update(body);
        format!("v1,{}", STANDARD.encode(hmac.finalize().into_bytes()))
    }
}

/// # Errors
///
/// A message if there are too many secrets.
pub(super) fn check_count(secrets: Vec<Secret>) -> Result<Vec<Secret>, String> {
    match secrets.len() {
        ..=SECRETS_MAX => Ok(secrets),
        count => Err(format!("there are {count} secrets, limit is {SECRETS_MAX}: remove old ones")),
    }
}

/// The value of the header `webhook-signature`: one signature for each secret, separated by spaces.
pub(super) fn signatures(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification of Standard Webhooks.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn a_published_signature_is_computed() {
        let secret = Secret::parse(SECRET).expect("a secret");
        assert_eq!(signatures(std::slice::from_ref(&secret), ID, 1_614_265_330, BODY), SIGNATURE);
        let other = Secret::parse("another secret of 24 byte").expect("a secret");
        let both = signatures(&[other, secret], ID, 1_614_265_330, BODY);
        assert!(both.starts_with("v1,") && both.ends_with(&format!(" {SIGNATURE}")), "{both}");
    }

    #[test]
    fn bad_secrets_are_refused_and_not_repeated() {
        for (text, expected) in [
            ("hunter2", "has 7 bytes, at least 24"),
            ("", "has 0 bytes"),
            ("whsec_aHVudGVyMg==", "has 7 bytes"),
            ("whsec_hunter2!", "is not base64"),
        ] {
            let message = Secret::parse(text).err().expect(text);
            assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn secrets_are_bounded() {
        let secret = Secret::parse(SECRET).expect("a secret");
        assert!(check_count(vec![secret.clone(); SECRETS_MAX]).is_ok());
        assert!(check_count(vec![secret; SECRETS_MAX + 1]).is_err());
    }
}
