//! Submits a job that streams and prints its chunks as they come: `cargo run --example watch_stream [http://host:port]`.
//!
//! Start a server first: `jobstream dev`. Cut the connection in the middle, if you can: every chunk comes once.

use std::io::Write;

use jobstream::client::{Client, WatchItem};
use jobstream::job::{EventBody, JobState};
use serde_json::{Value, json};

const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7070";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    let client = Client::connect(&address).await?;

    let input = json!({"chunks": 20, "interval_seconds": 0.5});
    let job = client.job("demo.stream").json(&input)?.submit::<Value>().await?;
    println!("watching {}", job.id());

    let mut watch = job.watch();
    while let Some(item) = watch.next().await {
        match item? {
            WatchItem::Event(event) => match event.body {
                EventBody::Output(output) => std::io::stdout().write_all(&output.payload.bytes)?,
                EventBody::State(change) if change.state == JobState::Running && event.attempt > 1 => {
                    println!("attempt {} begins: what came before is void", event.attempt);
                }
                EventBody::State(change) => println!("{}", change.state.name()),
                EventBody::Progress(_) | EventBody::Log(_) => {}
            },
            WatchItem::Gap { from, to } => println!("events {from} to {to} are not kept any more"),
        }
    }
    println!("result {}", job.await?);
    Ok(())
}
