//! Credentials and grants between real clients and the server.

mod fairness;
#[cfg(feature = "tls")]
mod jwt;
mod matrix;
mod minted;
mod reload;
pub(crate) mod tokens;

pub(crate) use tokens::Tokens;
