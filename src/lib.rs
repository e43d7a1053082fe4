//! jobstream: submit a job, get its result, watch it live, over gRPC.
//!
//! # Features
//!
//! All are on by default. A program that needs a part names it, with `default-features = false`. Each of the first four
//! includes the one before.
//!
//! | feature | what it adds |
//! |---|---|
//! | `client` | module `client`: the typed client |
//! | `worker` | modules `worker` and `signals`: handlers and programs that run jobs of a server elsewhere |
//! | `server` | modules `engine`, `memory`, `server` and `testing`, and workers inside the server's process |
//! | `cli` | the binary `jobstream` |
//! | `mimalloc` | the allocator of the binary |
//!
//! Modules `clock`, `error`, `job` and `proto` need no feature.

// A build with a part of the features leaves some shared code unused.
#![cfg_attr(not(feature = "server"), allow(dead_code, unused_imports))]

#[cfg(feature = "server")]
pub(crate) mod api;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "server")]
pub(crate) mod core;
#[cfg(feature = "server")]
pub mod engine;
pub mod error;
#[cfg(all(any(test, fuzzing), feature = "server"))]
pub mod fuzzing;
pub mod job;
#[cfg(feature = "server")]
pub mod memory;
pub mod proto;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "worker")]
pub mod signals;
#[cfg(feature = "server")]
pub mod testing;
#[cfg(feature = "server")]
pub mod wal;
#[cfg(feature = "worker")]
pub mod worker;

/// Tests share files with those that see the library from outside.
#[cfg(test)]
extern crate self as jobstream;

/// The Rust of the clients' page compiles.
#[cfg(doctest)]
#[doc = include_str!("../clients/README.md")]
struct ClientsPage;
