//! The file of static tokens: the names, digests, grants and expiry of each.

use std::collections::BTreeMap;
use std::path::Path;

use jobstream::access::{Grants, Quota};
use jobstream::job::Timestamp;
use jobstream::server::StaticToken;
use serde::Deserialize;
use toml::Spanned;

use super::file;
use super::quota::QuotaConfig;
use crate::error::{Error, Result};
use crate::units;

/// Most characters of the name of a token.
const NAME_CHARS_MAX: usize = 128;
const DIGEST_BYTES: usize = 32;

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TokensFile {
    token: Vec<Spanned<TokenEntry>>,
}

/// A `[[token]]` of the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenEntry {
    /// The principal.
    name: String,
    /// The SHA-256 of the token's text in hex digits.
    sha256: String,
    /// What it may do.
    grants: Vec<String>,
    /// When it expires; never if it is absent.
    expires: Option<toml::value::Datetime>,
    /// The quota of the principal, instead of `[auth.quota]`.
    quota: Option<QuotaConfig>,
}

/// What a tokens file says.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// The valid tokens.
    pub(crate) tokens: Vec<StaticToken>,
    /// The quotas of the principals that have one.
    pub(crate) quotas: BTreeMap<String, Quota>,
}

/// Reads a file of static tokens.
///
/// # Errors
///
/// A usage error if it cannot be read, is not such a file, or has no token.
pub(crate) fn load(path: &Path) -> Result<Tokens> {
    let (tokens, problems) = check(path);
    problems.into_iter().next().map_or(Ok(tokens), Err)
}

/// Reads a file of static tokens. Returns what is valid in it, and every problem with its line.
pub(crate) fn check(path: &Path) -> (Tokens, Vec<Error>) {
    let file::Checked { value, text, mut problems } = file::check::<TokensFile>(path);
    let mut found = Tokens::default();
    let entries = value.unwrap_or_default().token;
    // It may be half written: a reload would refuse every caller.
    if entries.is_empty() && problems.is_empty() {
        let path = path.display();
        problems.push(Error::usage(format!(
            "{path} has no token: add one with `jobstream token new NAME --grant GRANT --file {path}`, or remove \
             auth.tokens_file (--auth-tokens)"
        )));
    }
    for entry in entries {
        let place = format!("{}:{}", path.display(), file::line_of(&text, entry.span().start));
        let entry = entry.get_ref();
        match entry.token(&place) {
            Ok(token) => found.tokens.push(token),
            Err(problem) => problems.push(problem),
        }
        problems.extend(entry.add_quota(&place, &mut found.quotas).err());
    }
    (found, problems)
}

impl TokenEntry {
    /// The token. Errors name the place and the entry.
    ///
    /// # Errors
    ///
    /// A usage error if a value is wrong.
    fn token(&self, place: &str) -> Result<StaticToken> {
        let wrong = |problem: &str| Error::usage(format!("{place}: token {:?}: {problem}", self.name));
        check_name(&self.name).map_err(|problem| wrong(&problem))?;
        let digest = from_hex(&self.sha256).and_then(|bytes| <[u8; DIGEST_BYTES]>::try_from(bytes).ok());
        let digest =
            digest.ok_or_else(|| wrong("sha256 is not 64 hex digits: `jobstream token hash` prints them"))?;
        let grants = Grants::parse(self.grants.iter().map(String::as_str));
        let grants = grants.map_err(|error| wrong(error.message()))?;
        let expires = self.expires.as_ref().map(|time| units::timestamp(&time.to_string())).transpose();
        let expires = expires.map_err(|problem| wrong(&format!("expires: {problem}")))?;
        let expires = expires
            .map(|time| Timestamp::from_micros(time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000));
        StaticToken::with_digest(&self.name, digest, grants, expires).map_err(|error| wrong(error.message()))
    }

    /// Adds its quota, if it has one. The tokens of a principal share one.
    fn add_quota(&self, place: &str, quotas: &mut BTreeMap<String, Quota>) -> Result<()> {
        let Some(quota) = &self.quota else { return Ok(()) };
        let name = &self.name;
        let quota = quota.quota(&format!("{place}: token {name:?}: quota"))?;
        if quotas.insert(name.clone(), quota).is_some_and(|earlier| earlier != quota) {
            return Err(Error::usage(format!(
                "{place}: token {name:?} has several quotas: the tokens of a principal share one, write it once"
            )));
        }
        Ok(())
    }
}

/// Checks the name of a principal in a config.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._@/-".contains(c);
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_allowed) {
        return Err(format!(
            "name {name:?} is not 1 to {NAME_CHARS_MAX} characters of A-Z a-z 0-9 . _ @ / -"
        ));
    }
    Ok(())
}

/// The bytes of hex digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    is_hex.then(|| (0..text.len()).step_by(2).map(byte).collect::<Option<_>>()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Result<StaticToken> {
        let file: TokensFile = toml::from_str(text).expect("TOML");
        file.token[0].get_ref().token("t.toml:1")
    }

    #[test]
    fn an_entry_is_a_token() {
        let digest = "0f".repeat(32);
        let text = format!(
            "[[token]]\nname = 'a'\nsha256 = '{digest}'\ngrants = ['read own']\nexpires = 2030-01-01T00:00:00Z"
        );
        let principal = entry(&text).expect("a token").principal().clone();
        assert_eq!((&**principal.name(), principal.expire_time().is_some()), ("a", true));
    }

    #[test]
    fn a_wrong_entry_is_named() {
        let digest = "0f".repeat(32);
        for (text, problem) in [
            (format!("name = 'a b'\nsha256 = '{digest}'\ngrants = []"), "name \"a b\" is not"),
            ("name = 'a'\nsha256 = '0g'\ngrants = []".to_owned(), "64 hex digits"),
            (format!("name = 'a'\nsha256 = '{digest}'\ngrants = ['write']"), "no action \"write\""),
            (format!("name = 'a'\nsha256 = '{digest}'\ngrants = []\nexpires = 2030-01-01"), "expires: "),
        ] {
            let error = entry(&format!("[[token]]\n{text}")).expect_err(problem).message;
            assert!(error.starts_with("t.toml:1: token ") && error.contains(problem), "{error}");
        }
    }
}
