//! jobstream: submit a job, get its result, watch it live, over gRPC.

pub mod worker;
