//! The jobstream command line.

mod bench;

use clap::{Parser, Subcommand};
use jobstream::engine::{Engine, EngineOptions};
use jobstream::server::{Server, ServerOptions, Shutdown};
use jobstream::worker::{Pool, demo};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::BenchArgs),
    #[command(name = bench::HIDDEN_COMMAND, hide = true)]
    BenchServer {
        kind: bench::ServerKind,
    },
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("__orphan-guard") => {
            jobstream::worker::command::run_orphan_guard(std::io::stdin().lock())?;
            Ok(())
        }
        Some(_) => match Cli::parse().command {
            Command::Bench(args) => bench::run(&args).map_err(|error| error as _),
            Command::BenchServer { kind } => bench::serve(kind).map_err(|error| error as _),
        },
        None => tokio::runtime::Runtime::new()?.block_on(dev()),
    }
}

async fn dev() -> Result<(), Box<dyn std::error::Error>> {
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
