//! Tests of the library and of the binary through their public interfaces, in one test binary.

mod auth;
mod binary;
mod cancel;
mod chaos;
#[path = "../checker/checker.rs"]
mod checker;
mod cli;
mod client;
mod command;
mod commands;
mod credentials;
mod durable;
mod errors;
mod examples;
mod faults;
mod feed;
mod grpc_web;
mod grpcurl;
mod health;
mod health_reflection;
mod hosts;
mod http;
mod http_handler;
mod interceptors;
mod job_log;
mod limits;
mod list;
mod listener;
mod memory;
mod message_sizes;
mod metrics;
#[cfg(feature = "otel")]
mod metrics_export;
#[cfg(feature = "otel")]
mod otlp;
mod pages;
mod payload;
mod queues;
mod remote;
mod result;
mod retry;
mod server_log;
mod shutdown;
mod stats;
mod submit;
mod submit_stream;
mod supervisor;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod traces;
mod watch;
mod workers;
