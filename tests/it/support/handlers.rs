//! Handlers for tests in addition to the demo kinds.

use jobstream::job::Payload;
use jobstream::worker::{JobContext, JobError, Worker, demo};
use serde::{Deserialize, Serialize};

use super::Gate;

/// The events of `test.chatter` before its end.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Chatter {
    pub(crate) progress: u32,
    pub(crate) outputs: u32,
    pub(crate) output_bytes: usize,
    pub(crate) logs: u32,
    /// Waits at the gate after the events.
    pub(crate) waits: bool,
}

/// The demo kinds and:
///
/// - `test.gate` waits at the gate and returns its payload; stops on a cancel
/// - `test.stubborn` arrives at the gate, never ends and ignores cancels
/// - `test.chatter` writes the events of its [`Chatter`]
/// - `test.panic` panics with its payload as the message
/// - `test.headers` returns its headers
pub(crate) fn test_worker(gate: &Gate) -> Worker {
    let (waiting, stubborn, talking) = (gate.clone(), gate.clone(), gate.clone());
    demo::add_to(Worker::new())
        .raw_handler("test.gate", move |context| wait(context, waiting.clone()))
        .raw_handler("test.stubborn", move |_| never_end(stubborn.clone()))
        .handler("test.chatter", move |context, input| talk(context, input, talking.clone()))
        .raw_handler("test.panic", |context| async move {
            // A panic without a call of the hook, which would print to the output of the tests.
            std::panic::resume_unwind(Box::new(
                String::from_utf8_lossy(&context.payload().bytes).into_owned(),
            ))
        })
        .handler("test.headers", |context: JobContext, _: Option<()>| async move {
            let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            Ok(context.headers().map(own).collect::<std::collections::BTreeMap<_, _>>())
        })
}

async fn wait(context: JobContext, gate: Gate) -> Result<Payload, JobError> {
    context.unless_cancelled(gate.pass()).await?;
    Ok(context.payload().clone())
}

async fn never_end(gate: Gate) -> Result<Payload, JobError> {
    gate.pass().await;
    std::future::pending().await
}

async fn talk(context: JobContext, input: Chatter, gate: Gate) -> Result<u32, JobError> {
    for number in 0..input.progress {
        context.progress_of(f64::from(number + 1), f64::from(input.progress), "steps");
    }
    for number in 0..input.outputs {
        let mut chunk = format!("chunk {number} ");
        chunk.extend(std::iter::repeat_n('.', input.output_bytes.saturating_sub(chunk.len())));
        context.output(Payload::text(chunk)).await?;
    }
    for number in 0..input.logs {
        context.log(format!("line {number}"));
    }
    if input.waits {
        context.unless_cancelled(gate.pass()).await?;
    }
    Ok(input.outputs)
}
