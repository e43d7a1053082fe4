//! The rules for the claims of a token, and the principal that they name.

use std::time::Duration;

use serde_json::{Map, Value};

use super::compact::Token;
use super::{JwtOptions, expired, invalid, seconds};
use crate::access::{Grant, Grants, Method, Principal};
use crate::error::{Error, Result};
use crate::job::Timestamp;

/// How far the clocks of the issuer and of this server may differ.
const LEEWAY: Duration = Duration::from_secs(10);
/// Prefix of the names of principals. No name in a tokens file begins with it.
const NAME_PREFIX: &str = "jwt:";

/// What the claims of a token must be.
#[derive(Debug)]
pub(super) struct Rules {
    issuer: String,
    audience: String,
    name_claim: String,
    grants: Grants,
    grants_claim: Option<String>,
}

impl Rules {
    pub(super) fn new(options: JwtOptions) -> Self {
        let JwtOptions { issuer, audience, name_claim, grants, grants_claim, .. } = options;
        Self { issuer, audience, name_claim, grants, grants_claim }
    }

    /// Checks a token whose signature is valid. Returns its principal, whose credential expires after the leeway: a stream must
    /// not end while a call with the same token is accepted.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if a claim is missing or breaks a rule.
    pub(super) fn check(&self, token: &Token<'_>, now: Timestamp) -> Result<Principal> {
        let claims = token.claims()?;
        let issuer = text(&claims, "iss")?;
        if issuer != self.issuer {
            let message =
                format!("the issuer (iss) of the JWT is {issuer:?}, this server trusts {:?}", self.issuer);
            return Err(invalid(message));
        }
        let is_for_us = match claims.get("aud") {
            Some(Value::String(audience)) => *audience == self.audience,
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(&self.audience)),
            Some(_) => return Err(invalid("the claim aud of the JWT is neither a text nor a list")),
            None => return Err(missing("aud")),
        };
        if !is_for_us {
            let message =
                format!("the audience (aud) of the JWT is not {:?}, which is this server", self.audience);
            return Err(invalid(message));
        }
        text(&claims, "sub")?;
        let expire_time = time(&claims, "exp")?.ok_or_else(|| missing("exp"))?;
        let end = expire_time.plus(LEEWAY);
        if end <= now {
            return Err(expired(expire_time));
        }
        if let Some(start) = time(&claims, "nbf")?.filter(|start| now.plus(LEEWAY) < *start) {
            let (start, now) = (seconds(start), seconds(now));
            let message =
                format!("the JWT is valid from {start} on (nbf), it is {now} here: check both clocks");
            return Err(invalid(message));
        }
        let name = format!("{NAME_PREFIX}{}", text(&claims, &self.name_claim)?);
        Principal::new(&name, Method::Jwt, self.grants(&claims)?, Some(end)).map_err(|_| {
            let name = &self.name_claim;
            invalid(format!("the claim {name} of the JWT is no name: it has spaces or is too long"))
        })
    }

    /// The grants of the options and of the claim.
    fn grants(&self, claims: &Map<String, Value>) -> Result<Grants> {
        let Some(name) = &self.grants_claim else { return Ok(self.grants.clone()) };
        let Some(claim) = claims.get(name) else { return Ok(self.grants.clone()) };
        let own: Option<Vec<_>> = claim.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        let own = own.ok_or_else(|| invalid(format!("the claim {name} of the JWT is no list of texts")))?;
        let own = own.into_iter().map(Grant::parse).collect::<Result<Vec<_>>>();
        own.and_then(|own| Grants::new(self.grants.iter().cloned().chain(own).collect()))
            .map_err(|error| invalid(format!("the claim {name} of the JWT: {}", error.message())))
    }
}

/// A claim that is a text and not empty.
fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    match claims.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(_) => Err(invalid(format!("the claim {name} of the JWT is no text, or empty"))),
        None => Err(missing(name)),
    }
}

/// A claim that is a time: seconds since the Unix epoch, also with a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let micros = match value.as_i64() {
        Some(seconds) => Some(seconds.saturating_mul(1_000_000)),
        // The cast saturates.
        None => value.as_f64().map(|seconds| (seconds * 1e6) as i64),
    };
    let micros = micros.ok_or_else(|| invalid(format!("the claim {name} of the JWT is no number")))?;
    Ok(Some(Timestamp::from_micros(micros)))
}

fn missing(name: &str) -> Error {
    invalid(format!("the JWT has no claim {name}"))
}
