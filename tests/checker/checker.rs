//! What clients were told, held against what a server says later: for servers in processes of their own, which are killed,
//! and for the one in the library's own tests, whose disk forgets.

pub(crate) mod journal;
pub(crate) mod rules;
