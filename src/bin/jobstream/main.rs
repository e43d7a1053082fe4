//! The jobstream command line.

use jobstream::engine::{Engine, EngineOptions};
use jobstream::server::{Server, ServerOptions, Shutdown};
use jobstream::worker::{Pool, demo};

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().skip(1).eq(["__orphan-guard"]) {
        return orphan_guard();
    }
    ExitCode::from(u8::from(serve().is_err()))
}

#[tokio::main]
async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::start(EngineOptions::default());
    let pool = demo::add_to(Pool::new()).start(&engine)?;
    let listener = std::net::TcpListener::bind("127.0.0.1:7070")?;
    let shutdown = Shutdown::default();
    let graceful = shutdown.graceful.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        graceful.cancel();
    });
    let report =
        Server::new(engine, ServerOptions::default()).with_pool(pool).run(listener, shutdown).await?;
    println!("{report:?}");
    Ok(())
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
