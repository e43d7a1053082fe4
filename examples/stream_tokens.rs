//! Streams a text word by word to a watcher that stops in the middle and resumes: every word is printed once. `cargo
//! run --example stream_tokens [http://host:port]`, with `jobstream dev` running.

use std::io::Write;
use std::time::Duration;

use jobstream::client::{Client, Job, Watch, WatchItem, WatchOptions};
use jobstream::job::{EventBody, Payload};
use jobstream::worker::{JobContext, JobError, RemoteOptions, Worker};

const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7070";
const PROMPT: &str = "a job is a small numbered stream of events that ends in one outcome";

/// Emits its prompt word by word, as a language model would, and returns the number of words.
async fn recite(context: JobContext, prompt: String) -> Result<usize, JobError> {
    for word in prompt.split_inclusive(' ') {
        context.output(Payload::text(word)).await?;
        context.unless_cancelled(tokio::time::sleep(Duration::from_millis(100))).await?;
    }
    Ok(prompt.split(' ').count())
}

/// Prints words as they arrive, at most this many; returns the sequence to resume after.
async fn print_words(watch: &mut Watch, words: usize) -> Result<u32, Box<dyn std::error::Error>> {
    let mut remaining = words;
    while remaining > 0 {
        let Some(item) = watch.next().await else { break };
        let WatchItem::Event(event) = item? else { continue };
        if let EventBody::Output(output) = event.body {
            std::io::stdout().write_all(&output.payload.bytes)?;
            std::io::stdout().flush()?;
            remaining -= 1;
        }
    }
    Ok(watch.last_sequence())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    let client = Client::connect(&address).await?;
    let worker = Worker::new().handler("recite", recite).connect(&client, RemoteOptions::default())?;

    let job: Job<usize> = client.job("recite").json(PROMPT)?.submit().await?;
    let last = print_words(&mut job.watch(), 5).await?;
    println!("\n(stopped after event {last}; the job continues)");
    tokio::time::sleep(Duration::from_millis(300)).await;

    // Resuming like this is for another process, or a reloaded page. After a lost connection a watch resumes by itself.
    let mut options = WatchOptions::default();
    options.after_sequence = last;
    print_words(&mut job.watch_with(options), usize::MAX).await?;
    println!("\n{} words", job.await?);

    worker.drain(Duration::from_secs(1)).await;
    Ok(())
}
