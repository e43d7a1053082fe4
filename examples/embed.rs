//! Embeds the server in a program: `cargo run --example embed [host:port]`, then `jobstream run double 21` in another
//! terminal.

use std::net::TcpListener;

use jobstream::engine::{Engine, EngineOptions};
use jobstream::server::{Server, ServerOptions, Shutdown};
use jobstream::worker::Worker;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7070".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);

    let engine = Engine::start(EngineOptions::default());
    let worker = Worker::new().handler("double", async |_, number: i64| Ok(number * 2)).start(&engine)?;
    let server = Server::new(engine, ServerOptions::default()).with_worker(worker);
    server.run(listener, Shutdown::on_signals()?).await?;
    Ok(())
}
