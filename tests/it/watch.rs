//! WatchResult: the same events whenever it is opened and wherever it is resumed, and an end that is never missed.

mod ends;
mod replay;
mod rounds;
mod silence;
