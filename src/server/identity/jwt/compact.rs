//! The compact form of a signed token: header, payload and signature in base64url, with dots between them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::super::jwks::Algorithm;
use super::invalid;
use crate::error::Result;

/// A token whose signature is not verified yet.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    key_id: Option<String>,
    /// The text that the signature is for.
    pub(super) signed: &'a str,
    payload: &'a str,
    pub(super) signature: Vec<u8>,
}

/// The fields of the header that are used.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Names of extensions that a verifier must know.
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    /// Parses the text of a token.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if the text is no signed token, or its algorithm is none of [`Algorithm`].
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        let malformed = || invalid("the JWT is malformed: write HEADER.PAYLOAD.SIGNATURE, each in base64url");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed())?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| {
            invalid("the header of the JWT is malformed: it is JSON with the texts alg and kid")
        })?;
        if header.crit.is_some() {
            return Err(invalid("the JWT has an extension (crit) that this server does not know"));
        }
        let algorithm = Algorithm::parse(&header.alg)
            .ok_or_else(|| invalid("the algorithm of the JWT is not RS256, ES256 or EdDSA"))?;
        Ok(Self { algorithm, key_id: header.kid, signed, payload, signature })
    }

    /// The id of its key.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The claims. The caller has verified the signature.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if they are malformed.
    pub(super) fn claims(&self) -> Result<Map<String, Value>> {
        let malformed = || invalid("the payload of the JWT is malformed: it is a JSON object in base64url");
        let payload = URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| malformed())?;
        let Claims { claims, is_repeated } = serde_json::from_slice(&payload).map_err(|_| malformed())?;
        match is_repeated {
            true => Err(invalid("the JWT has the same claim twice")),
            false => Ok(claims),
        }
    }
}

/// The claims of a token. A repeated one is refused: another verifier may have read the other value.
struct Claims {
    claims: Map<String, Value>,
    is_repeated: bool,
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ClaimsVisitor;

        impl<'de> Visitor<'de> for ClaimsVisitor {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Claims, A::Error> {
                let mut found = Claims { claims: Map::new(), is_repeated: false };
                while let Some((name, value)) = map.next_entry()? {
                    found.is_repeated |= found.claims.insert(name, value).is_some();
                }
                Ok(found)
            }
        }

        deserializer.deserialize_map(ClaimsVisitor)
    }
}
