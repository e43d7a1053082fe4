//! What runs attempts: handlers, pools and commands.

pub mod command;
