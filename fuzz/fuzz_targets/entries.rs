//! Entries of a log, as bytes of any kind.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jobstream::fuzzing::entries(bytes));
