//! WatchResult: equal events at any time of opening, resumption, and no missed end.

mod ends;
mod replay;
mod rounds;
mod silence;
