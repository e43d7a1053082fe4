//! Behaviour of the library and the binary, seen from outside; one binary for all.

mod command;
mod listener;
