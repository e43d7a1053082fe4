//! The jobstream command line.

fn main() {}
