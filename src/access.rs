//! Who may do what: principals, their grants, and whether a grant covers a job, a queue or a kind.
//!
//! It decides about names only. Module `server` verifies credentials, and module `api` asks for the decisions.

mod grant;
#[cfg(feature = "server")]
mod minted;
mod pattern;
mod principal;
mod quota;

pub use grant::{Action, GRANTS_MAX, Grant, Grants};
#[cfg(feature = "server")]
pub use minted::{AUDIENCE_CHARS_MAX, AUDIENCE_DEFAULT, TOKEN_KEY_BYTES_MIN, TOKEN_KEYS_MAX, TokenKeys};
#[cfg(feature = "server")]
pub(crate) use minted::{MINTED_PREFIX, SharedTokenKeys};
pub use pattern::{PATTERN_CHARS_MAX, Pattern};
pub(crate) use principal::JobAccess;
pub use principal::{Method, PRINCIPAL_CHARS_MAX, Principal};
pub(crate) use quota::quota_exceeded;
pub use quota::{Quota, Quotas};
