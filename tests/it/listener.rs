//! The listener over real sockets: its limits against hostile peers, deadlines, web clients and its end.

mod deadline;
mod hostile;
mod lifetime;
mod peer;
mod probe;
mod server;
mod web;
