//! A worker that connects to a server: `cargo run --example remote_worker [http://host:port]`, then `jobstream run
//! resize '{"width": 64}'` in another terminal.
//!
//! The worker reconnects to a server that starts later or restarts. Ctrl-C or SIGTERM drains it.

use std::time::Duration;

use jobstream::client::{Client, ClientOptions};
use jobstream::worker::{JobContext, JobError, RemoteOptions, Worker};
use serde::{Deserialize, Serialize};

const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7070";

#[derive(Deserialize)]
struct Resize {
    width: u32,
}

#[derive(Serialize)]
struct Thumbnail {
    width: u32,
    height: u32,
}

async fn resize(context: JobContext, input: Resize) -> Result<Thumbnail, JobError> {
    if input.width == 0 {
        return Err(JobError::permanent("width must be 1 or more"));
    }
    context.progress(0.5, "decoding");
    context.unless_cancelled(tokio::time::sleep(Duration::from_millis(200))).await?;
    Ok(Thumbnail { width: input.width, height: input.width * 3 / 4 })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    let client = Client::lazy(&address, ClientOptions::default())?;
    let worker = Worker::new().name("thumbnails").slots(8).handler("resize", resize);
    let running = worker.connect(&client, RemoteOptions::default())?;
    if running.connected().await {
        println!("connected to {address}");
    }
    let end = running.until_signal(Duration::from_secs(30)).await?;
    println!("ended: {end:?}");
    Ok(())
}
