//! Behaviour of jobstream as its users see it. One binary, so that it links once.

mod cli;
