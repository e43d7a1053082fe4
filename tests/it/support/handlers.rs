//! Handlers that behave as a test needs them to, beside the demo kinds.

use jobstream::job::Payload;
use jobstream::worker::{JobContext, JobError, Worker, demo};
use serde::{Deserialize, Serialize};

use super::Gate;

/// What `test.chatter` says before it ends.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Chatter {
    pub(crate) progress: u32,
    pub(crate) outputs: u32,
    pub(crate) output_bytes: usize,
    pub(crate) logs: u32,
    /// Waits at the gate after all of it.
    pub(crate) waits: bool,
}

/// The demo kinds and:
///
/// - `test.gate` waits at the gate and answers its payload; stops when cancelled
/// - `test.stubborn` arrives at the gate, then never ends and never looks at its cancel token
/// - `test.chatter` says what its [`Chatter`] asks for
/// - `test.panic` panics with its payload as the message
/// - `test.headers` answers the headers it was given
pub(crate) fn test_worker(gate: &Gate) -> Worker {
    let (waiting, stubborn, talking) = (gate.clone(), gate.clone(), gate.clone());
    demo::add_to(Worker::new())
        .raw_handler("test.gate", move |context| wait(context, waiting.clone()))
        .raw_handler("test.stubborn", move |_| never_end(stubborn.clone()))
        .handler("test.chatter", move |context, input| talk(context, input, talking.clone()))
        .raw_handler("test.panic", |context| async move {
            // A panic like any other, but that the hook does not print it into the tests' output.
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
