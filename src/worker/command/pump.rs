//! Copies bytes between the caller and the child's pipes, in bounded memory, until the pipes end or are closed. Handles
//! no signals and no exit codes.

use std::future::ready;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use super::CommandEvent;
use super::group::Pipes;
use super::lines::LineSplitter;
use super::spec::{CommandSpec, OutputMode};
use super::stderr::StderrLog;

/// Size of the read buffer of a pipe.
const READ_BYTES: usize = 16 * 1024;
/// Most bytes read from a pipe after `close`: the largest pipe capacity of an unprivileged user on Linux. All output
/// that was written before the program exited is read, and a process that continues to write does not delay the end.
const AFTER_CLOSE_BYTES_MAX: usize = 1024 * 1024;

/// Signals between the pumps and the supervisor.
#[derive(Debug, Default)]
pub(super) struct PumpSignals {
    /// From the pumps: the result exceeds its limit.
    pub(super) overflow: CancellationToken,
    /// From the pumps: stdout and stderr have ended.
    pub(super) drained: CancellationToken,
    /// To the pumps: read the buffered bytes and end.
    pub(super) close: CancellationToken,
}

/// The captured output of a program.
#[derive(Debug)]
pub(super) struct Captured {
    /// Stdout, in [`OutputMode::Result`].
    pub(super) result: Vec<u8>,
    /// The last lines of stderr.
    pub(super) stderr_tail: String,
}

/// Runs all three pipes concurrently, so that none blocks another.
pub(super) async fn pump(
    pipes: Pipes,
    payload: Bytes,
    spec: &CommandSpec,
    events: mpsc::Sender<CommandEvent>,
    signals: &PumpSignals,
) -> Captured {
    let drain = async {
        let stdout = drain_stdout(PipeReader::new(pipes.stdout, signals), spec, &events, signals);
        let stderr = drain_stderr(PipeReader::new(pipes.stderr, signals), spec, &events);
        let both = tokio::join!(stdout, stderr);
        signals.drained.cancel();
        both
    };
    let ((), (result, stderr_tail)) = tokio::join!(feed(pipes.stdin, payload, signals), drain);
    Captured { result, stderr_tail }
}

async fn feed(mut stdin: ChildStdin, payload: Bytes, signals: &PumpSignals) {
    tokio::select! {
        // A write error is ignored: a program may close stdin or exit without reading it.
        _ = stdin.write_all(&payload) => {}
        () = signals.close.cancelled() => {}
    }
}

async fn drain_stdout(
    mut pipe: PipeReader<ChildStdout>,
    spec: &CommandSpec,
    events: &mpsc::Sender<CommandEvent>,
    signals: &PumpSignals,
) -> Vec<u8> {
    match spec.output {
        OutputMode::Result => collect(&mut pipe, spec.result_bytes_max, signals).await,
        OutputMode::Lines => {
            let mut lines = LineSplitter::new(spec.line_bytes_max);
            while let Some(mut chunk) = pipe.read().await {
                while let Some(line) = lines.next(&mut chunk) {
                    send(events, CommandEvent::Output(Bytes::copy_from_slice(&line))).await;
                }
            }
            if let Some(rest) = lines.finish() {
                send(events, CommandEvent::Output(rest.into())).await;
            }
            Vec::new()
        }
    }
}

async fn collect(pipe: &mut PipeReader<ChildStdout>, bytes_max: usize, signals: &PumpSignals) -> Vec<u8> {
    let mut result = Vec::new();
    while let Some(chunk) = pipe.read().await {
        if signals.overflow.is_cancelled() {
            continue;
        }
        if result.len() + chunk.len() > bytes_max {
            result = Vec::new();
            signals.overflow.cancel();
        } else {
            result.extend_from_slice(chunk);
        }
    }
    result.shrink_to_fit();
    result
}

async fn drain_stderr<R: AsyncRead + Unpin>(
    mut pipe: PipeReader<R>,
    spec: &CommandSpec,
    events: &mpsc::Sender<CommandEvent>,
) -> String {
    let mut lines = LineSplitter::new(spec.line_bytes_max);
    let mut log = StderrLog::new(spec.log_bytes_max);
    while let Some(mut chunk) = pipe.read().await {
        while let Some(line) = lines.next(&mut chunk) {
            if let Some(event) = log.line(&line) {
                send(events, event).await;
            }
        }
    }
    let rest = lines.finish().and_then(|rest| log.line(&rest));
    for event in rest.into_iter().chain(log.dropped()) {
        send(events, event).await;
    }
    log.into_tail()
}

async fn send(events: &mpsc::Sender<CommandEvent>, event: CommandEvent) {
    // A closed receiver is ignored; the pipes are still drained.
    let _ = events.send(event).await;
}

struct PipeReader<R> {
    pipe: R,
    buffer: Vec<u8>,
    close: CancellationToken,
    after_close_bytes: usize,
}

impl<R: AsyncRead + Unpin> PipeReader<R> {
    fn new(pipe: R, signals: &PumpSignals) -> Self {
        Self {
            pipe,
            buffer: vec![0; READ_BYTES],
            close: signals.close.clone(),
            after_close_bytes: AFTER_CLOSE_BYTES_MAX,
        }
    }

    /// The next bytes; `None` at the end, after an error, or once `close` is cancelled and the pipe is empty.
    async fn read(&mut self) -> Option<&[u8]> {
        let len = match self.close.is_cancelled() {
            false => tokio::select! {
                biased;
                read = self.pipe.read(&mut self.buffer) => read.unwrap_or(0),
                () = self.close.cancelled() => self.read_after_close().await,
            },
            true => self.read_after_close().await,
        };
        (len > 0).then(|| &self.buffer[..len])
    }

    async fn read_after_close(&mut self) -> usize {
        if self.after_close_bytes == 0 {
            return 0;
        }
        // Reset the task's cooperative budget. Without budget, tokio reports every pipe as not ready.
        yield_now().await;
        let len = tokio::select! {
            biased;
            read = self.pipe.read(&mut self.buffer) => read.unwrap_or(0),
            () = ready(()) => 0,
        };
        self.after_close_bytes = self.after_close_bytes.saturating_sub(len);
        len
    }
}
