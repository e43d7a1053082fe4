//! What clients were told, held against what a server says later: for servers in processes of their own, which are killed,
//! and for the one in the library's own tests, whose disk forgets.

mod journal;
mod rules;

pub(crate) use journal::{Journal, end_of};
pub(crate) use rules::{Found, check};
