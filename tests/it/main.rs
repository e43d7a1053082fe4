//! Behaviour of the library and the binary, seen from outside; one binary for all.

mod binary;
mod cancel;
mod cli;
mod command;
mod commands;
mod errors;
mod limits;
mod list;
mod listener;
mod payload;
mod queues;
mod result;
mod retry;
mod submit;
mod submit_stream;
mod support;
mod watch;
