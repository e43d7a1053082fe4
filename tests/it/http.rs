//! The HTTP/JSON interface: requests, streams and errors as a client without gRPC sees them.

mod drain;
mod errors;
mod events;
mod hostile;
mod jobs;
mod json;
mod nginx;
mod openapi;
mod page;
mod streams;
