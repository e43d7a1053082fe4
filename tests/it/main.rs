//! Behaviour of the library and the binary, seen from outside.

mod command;
