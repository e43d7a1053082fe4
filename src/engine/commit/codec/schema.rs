//! The messages of an entry, generated from `proto/jobstream/store/v1/record.proto`.

include!(concat!(env!("OUT_DIR"), "/jobstream.store.v1.rs"));
