//! Compares the responses that clients got with the final state of the server. Crash tests of server processes
//! and of the simulated server use it.

pub(crate) mod journal;
pub(crate) mod rules;
