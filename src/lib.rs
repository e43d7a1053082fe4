//! jobstream: submit a job, get its result, watch it live, over gRPC.

pub mod client;
pub mod clock;
pub mod core;
pub mod engine;
pub mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod job;
pub mod log;
pub mod memory;
pub mod proto;
pub mod rpc;
pub mod server;
pub mod signals;
pub mod testing;
pub mod worker;

/// Tests share files with those that see the library from outside.
#[cfg(test)]
extern crate self as jobstream;

/// The Rust of the clients' page compiles.
#[cfg(doctest)]
#[doc = include_str!("../clients/README.md")]
struct ClientsPage;
