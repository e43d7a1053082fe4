//! Behaviour of the library and the binary, seen from outside; one binary for all.

mod cli;
mod command;
mod listener;
mod submit;
mod submit_stream;
mod support;
mod watch;
