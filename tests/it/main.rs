//! Tests of the library and of the binary through their public interfaces, in one test binary.

mod binary;
mod cancel;
mod chaos;
#[path = "../checker/checker.rs"]
mod checker;
mod cli;
mod client;
mod command;
mod commands;
mod durable;
mod errors;
mod examples;
mod faults;
mod grpc_web;
mod grpcurl;
mod health_reflection;
mod hosts;
mod http;
mod http_handler;
mod limits;
mod list;
mod listener;
mod memory;
mod message_sizes;
mod pages;
mod payload;
mod queues;
mod remote;
mod result;
mod retry;
mod server_log;
mod shutdown;
mod submit;
mod submit_stream;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod watch;
mod workers;
