//! The jobstream command line.

use jobstream::engine::{Engine, EngineOptions};
use jobstream::server::{Server, ServerOptions, Shutdown};
use jobstream::worker::{Pool, demo};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().skip(1).eq(["__orphan-guard"]) {
        jobstream::worker::command::run_orphan_guard(std::io::stdin().lock())?;
        return Ok(());
    }
    serve()
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
