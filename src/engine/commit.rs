//! Making what commands recorded durable. For now the bytes of an entry of the log, and nothing that writes them.

mod codec;

pub(super) use codec::{Entry, Unreadable, decode, encode};
