//! The listener with real sockets: limits against hostile peers, deadlines, web clients and shutdown.

mod deadline;
mod hostile;
mod identity;
mod lifetime;
mod peer;
mod probe;
mod server;
mod web;
