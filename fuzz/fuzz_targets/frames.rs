//! Whole frames of a segment, of any kind and order.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jobstream::fuzzing::frames(bytes));
