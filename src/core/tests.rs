//! Tests of the state machine: every rule on a manual clock, and random commands against a reference model.

mod callers;
mod cancel;
mod commands;
mod contents;
mod dispatch;
mod events;
mod fixture;
mod id_guessing;
mod invariants;
mod key_ids;
mod lease_calls;
mod lifecycle;
mod machine;
mod memory;
mod model;
mod offers;
mod oversize;
mod queries;
mod queues;
mod retention;
mod submit;
mod table;
mod tombstones;
mod workers;
