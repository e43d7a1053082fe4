//! Submits a job with typed data and prints its result: `cargo run --example submit_and_wait [http://host:port]`.
//!
//! Start a server first: `jobstream dev`.

use jobstream::client::{Client, ResultError};
use serde::{Deserialize, Serialize};

const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7070";

#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    name: String,
    times: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    let client = Client::connect(&address).await?;

    let greeting = Greeting { name: "Ada".to_owned(), times: u64::MAX };
    let request = client.job("demo.echo").json(&greeting)?.label("example", "submit_and_wait");
    println!("running {}", request.job_id());

    match request.run::<Greeting>().await {
        Ok(result) => println!("result {result:?}"),
        Err(ResultError::Failed { failure, .. }) => println!("the job failed: {}", failure.message),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
