//! The integration tests, one binary for all.

mod listener;
