//! Heartbeats, deadlines and readers that do not read.
