//! The jobstream command line.

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().skip(1).eq(["__orphan-guard"]) {
        return orphan_guard();
    }
    ExitCode::SUCCESS
}

/// Started by the server, never by hand: see [`jobstream::worker::command::OrphanGuard`].
fn orphan_guard() -> ExitCode {
    let told = match jobstream::worker::command::run_orphan_guard(io::stdin().lock()) {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(groups) => {
            writeln!(io::stderr(), "jobstream: the server was killed; stopped {groups} commands it left")
        }
        Err(error) => writeln!(io::stderr(), "jobstream: cannot guard against orphans: {error}"),
    };
    // Nobody may be left to read it.
    ExitCode::from(u8::from(told.is_err()))
}
