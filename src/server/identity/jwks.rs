//! A JSON Web Key Set (JWKS): the public keys of an issuer of tokens, by their ids.
//!
//! Module `source` loads it, and `refresh` keeps it up to date.

mod refresh;
mod source;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

pub(super) use refresh::{Keys, Loaded};
pub(super) use source::Source;

/// Largest document of a key set, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Most keys of a set.
const KEYS_MAX: usize = 100;
/// Sizes of the modulus of an RSA key, in bytes: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Size of a coordinate of a P-256 key, in bytes.
const COORDINATE_BYTES: usize = 32;
/// Before the coordinates of an uncompressed point of an elliptic curve.
const UNCOMPRESSED: u8 = 4;

/// The algorithm of a signature. There is neither `none` nor an algorithm with a shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    /// The algorithm of this name in the header of a token or the `alg` of a key.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            // RFC 9864 has the second name for the only curve that is accepted.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// A public key. Its type determines the algorithm.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: ParsedPublicKey,
}

impl Key {
    /// Whether the signature of the message is valid.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }

    /// The key of an entry of the document; `None` if it is of another type or for another use.
    fn parse(entry: &Value) -> Option<Self> {
        let entry = Entry::deserialize(entry).ok()?;
        if entry.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        if entry.key_ops.is_some_and(|operations| !operations.contains(&"verify")) {
            return None;
        }
        let (algorithm, public) = match (entry.kty, entry.crv) {
            ("RSA", _) => (Algorithm::Rs256, rsa(entry.n?, entry.e?)?),
            ("EC", Some("P-256")) => (Algorithm::Es256, p256(entry.x?, entry.y?)?),
            ("OKP", Some("Ed25519")) => {
                (Algorithm::EdDsa, ParsedPublicKey::new(&ED25519, decode(entry.x?)?).ok()?)
            }
            _ => return None,
        };
        if entry.alg.is_some_and(|name| Algorithm::parse(name) != Some(algorithm)) {
            return None;
        }
        Some(Self { id: entry.kid.map(str::to_owned), algorithm, public })
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let parts = |key: &Self| (key.id.clone(), key.algorithm, Box::<[u8]>::from(key.public.as_ref()));
        parts(self) == parts(other)
    }
}

/// The fields of a key that are used.
#[derive(Deserialize)]
struct Entry<'a> {
    kty: &'a str,
    kid: Option<&'a str>,
    #[serde(rename = "use")]
    usage: Option<&'a str>,
    key_ops: Option<Vec<&'a str>>,
    alg: Option<&'a str>,
    crv: Option<&'a str>,
    n: Option<&'a str>,
    e: Option<&'a str>,
    x: Option<&'a str>,
    y: Option<&'a str>,
}

fn rsa(modulus: &str, exponent: &str) -> Option<ParsedPublicKey> {
    // Some issuers write a zero byte in front, as ASN.1 does.
    let number = |text: &str| {
        let bytes = decode(text)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes[zeros..].to_vec())
    };
    let components = RsaPublicKeyComponents { n: number(modulus)?, e: number(exponent)? };
    if !MODULUS_BYTES.contains(&components.n.len()) {
        return None;
    }
    components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
}

fn p256(x: &str, y: &str) -> Option<ParsedPublicKey> {
    let (x, y) = (decode(x)?, decode(y)?);
    if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
        return None;
    }
    // It refuses a point that is not on the curve.
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[UNCOMPRESSED], &x[..], &y[..]].concat()).ok()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The usable keys of an issuer.
#[derive(Debug, PartialEq)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// How many keys of the document cannot be used.
    skipped: usize,
}

/// The result of the search for the key of a token.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The key.
    Key(&'a Key),
    /// No key has this id.
    UnknownId,
    /// The key of this id has another type.
    OtherType,
    /// The token names no key, and not exactly one key has the type.
    NoId,
}

impl KeySet {
    /// The usable keys of a document. Keys of another type or for another use are skipped.
    ///
    /// # Errors
    ///
    /// A message if the document is too large, is no key set or has too many keys.
    pub(super) fn parse(document: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(format!("the key set is larger than {DOCUMENT_BYTES_MAX} bytes"));
        }
        let Document { keys: entries } = serde_json::from_slice(document)
            .map_err(|error| format!("this is not a JSON Web Key Set ({{\"keys\": [...]}}): {error}"))?;
        if entries.len() > KEYS_MAX {
            return Err(format!("the key set has {} keys, the limit is {KEYS_MAX}", entries.len()));
        }
        let keys: Vec<_> = entries.iter().filter_map(Key::parse).collect();
        let skipped = entries.len() - keys.len();
        Ok(Self { keys, skipped })
    }

    /// The key with this id and this algorithm. A token without an id has the only key of its type.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        let Some(id) = id else {
            let mut keys = self.keys.iter().filter(|key| key.algorithm == algorithm);
            return match (keys.next(), keys.next()) {
                (Some(key), None) => Found::Key(key),
                _ => Found::NoId,
            };
        };
        let mut unfit = Found::UnknownId;
        for key in self.keys.iter().filter(|key| key.id.as_deref() == Some(id)) {
            if key.algorithm == algorithm {
                return Found::Key(key);
            }
            unfit = Found::OtherType;
        }
        unfit
    }
}

#[cfg(test)]
mod tests;
