//! Non-blocking standard error: one thread writes lines from a bounded queue. If the reader is closed or too slow, lines
//! are dropped and counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::config::LogFormat;
use crate::output::screen;

/// Size of the queue. Lines that do not fit are dropped.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// Most bytes of one write, so that the lost lines can be counted when the reader closes.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// How long a command waits for its own line to be written. After a timeout no command waits until the reader reads
/// again.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// Timeout for writing the last lines of a process.
pub(crate) const END_FLUSH_MAX: Duration = Duration::from_millis(100);
/// Pause before the next try when stderr is non-blocking and full.
const FULL_PAUSE: Duration = Duration::from_millis(10);

static STDERR: OnceLock<Stderr> = OnceLock::new();

/// Queues a line of the log. Does not block.
pub(crate) fn log(line: &[u8]) {
    stderr().push(line);
}

/// Writes lines of a command. Waits until they are written, up to a timeout.
pub(crate) fn print(lines: &[u8]) {
    let stderr = stderr();
    stderr.push(lines);
    stderr.flush(WAIT_MAX);
}

/// Waits until the queue is written, up to a timeout.
pub(crate) fn flush(within: Duration) {
    if let Some(stderr) = STDERR.get() {
        stderr.flush(within);
    }
}

/// Sets the format of the dropped-lines report, and writes panics through the queue.
pub(crate) fn set_up_log(format: LogFormat) {
    stderr().lock().format = format;
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        let report = format!("thread '{name}': {panic}\n");
        print(screen::clean_lines(&report).as_bytes());
    }));
}

/// The writer for `tracing_subscriber`: whole lines, with control characters escaped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogWriter(pub(crate) LogFormat);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match (self.0, str::from_utf8(line)) {
            (LogFormat::Text, Ok(text)) => log(screen::clean_log_line(text).as_bytes()),
            (LogFormat::Json, Ok(text)) => log(screen::clean_json(text).as_bytes()),
            (_, Err(_)) => log(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stderr() -> &'static Stderr {
    let mut is_new = false;
    let stderr = STDERR.get_or_init(|| {
        is_new = true;
        Stderr::default()
    });
    if is_new {
        // Without the thread the queue fills and lines are dropped: no reason to fail.
        let _ = thread::Builder::new().name("stderr".to_owned()).spawn(|| stderr.write_all(sink()));
    }
    stderr
}

/// A separate handle: a blocked write must not hold the lock of the standard library's handle.
fn sink() -> Box<dyn Write> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(stderr) => Box::new(File::from(stderr)),
        Err(_) => Box::new(io::stderr()),
    }
}

/// The queue to stderr.
#[derive(Default)]
struct Stderr {
    queue: Mutex<Queue>,
    /// Notified when lines are queued.
    queued: Condvar,
    /// Notified when lines were written or dropped.
    written: Condvar,
}

struct Queue {
    bytes: VecDeque<u8>,
    /// Bytes ever queued.
    queued: u64,
    /// Bytes written or dropped.
    done: u64,
    /// Lines dropped since the last report.
    lines_lost: u64,
    /// The value of `done` at the last timeout of a wait.
    stalled_at: Option<u64>,
    format: LogFormat,
}

impl Default for Queue {
    fn default() -> Self {
        let format = LogFormat::Text;
        Self { bytes: VecDeque::new(), queued: 0, done: 0, lines_lost: 0, stalled_at: None, format }
    }
}

impl Stderr {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, lines: &[u8]) {
        let mut queue = self.lock();
        if queue.bytes.len() + lines.len() > QUEUE_BYTES_MAX {
            queue.lines_lost += count(lines);
            return;
        }
        queue.bytes.extend(lines);
        queue.queued += lines.len() as u64;
        self.queued.notify_one();
    }

    fn flush(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut queue = self.lock();
        let end = queue.queued;
        while queue.done < end {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || queue.stalled_at == Some(queue.done) {
                queue.stalled_at = Some(queue.done);
                return;
            }
            (queue, _) = self.written.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The loop of the writer thread. It does not end.
    fn write_all(&self, mut sink: Box<dyn Write>) {
        let (mut next, mut is_torn) = (Vec::new(), false);
        loop {
            let before = self.take(&mut next);
            let lost = self.write_loss(&mut *sink, is_torn, before);
            let (written, is_written) = match lost {
                Ok(()) => write(&mut *sink, &next),
                Err(()) => (0, false),
            };
            let mut queue = self.lock();
            queue.done += next.len() as u64;
            if is_written {
                is_torn = false;
            } else {
                is_torn = is_torn || (written > 0 && next[written - 1] != b'\n');
                queue.lines_lost += count(&next[written..]);
            }
            self.written.notify_all();
        }
    }

    /// Waits for lines and takes whole ones. Returns how many were dropped before, and the format of their report.
    fn take(&self, next: &mut Vec<u8>) -> (u64, LogFormat) {
        let mut queue = self.lock();
        while queue.bytes.is_empty() {
            queue = self.queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let most = queue.bytes.len().min(WRITE_BYTES_MAX);
        let whole = queue.bytes.range(..most).rposition(|byte| *byte == b'\n').map_or(most, |end| end + 1);
        next.clear();
        next.extend(queue.bytes.drain(..whole));
        (queue.lines_lost, queue.format)
    }

    /// Reports dropped lines, if any.
    fn write_loss(
        &self,
        sink: &mut dyn Write,
        is_torn: bool,
        (lines, format): (u64, LogFormat),
    ) -> Result<(), ()> {
        if lines == 0 {
            return Ok(());
        }
        let mut line = if is_torn { "\n".to_owned() } else { String::new() };
        line.push_str(&loss_line(lines, format));
        if !write(sink, line.as_bytes()).1 {
            return Err(());
        }
        self.lock().lines_lost -= lines;
        Ok(())
    }
}

/// Writes all bytes; returns how many were written, and whether all were.
fn write(sink: &mut dyn Write, bytes: &[u8]) -> (usize, bool) {
    let mut written = 0;
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => return (written, false),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process with the same stderr made it non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::park_timeout(FULL_PAUSE),
            Err(_) => return (written, false),
        }
    }
    (written, true)
}

/// Lines in these bytes, an unfinished one too.
fn count(bytes: &[u8]) -> u64 {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    ends + u64::from(bytes.last().is_some_and(|last| *last != b'\n'))
}

fn loss_line(lines: u64, format: LogFormat) -> String {
    const MESSAGE: &str = "log lines were lost: stderr could not be written, or its reader was too slow";
    let mut time = String::new();
    // A time that cannot be formatted is left out.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match format {
        LogFormat::Text => format!("{time}  WARN jobstream: {MESSAGE} lines={lines}\n"),
        LogFormat::Json => {
            let fields = serde_json::json!({ "message": MESSAGE, "lines": lines });
            let line = serde_json::json!({
                "timestamp": time, "level": "WARN", "fields": fields, "target": "jobstream",
            });
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A pipe whose reader can be away, and that takes a write only when it is told to.
    struct Pipe {
        answers: Receiver<io::Result<()>>,
        texts: Sender<String>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.answers.recv().unwrap_or(Ok(()))?;
            let _ = self.texts.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start() -> (Arc<Stderr>, Sender<io::Result<()>>, Receiver<String>) {
        let ((answer, answers), (texts, read)) = (channel(), channel());
        let stderr = Arc::new(Stderr::default());
        let writer = stderr.clone();
        thread::spawn(move || writer.write_all(Box::new(Pipe { answers, texts })));
        (stderr, answer, read)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn lines_that_nobody_read_are_counted_before_the_next_that_somebody_reads() {
        let (stderr, answer, read) = start();
        for _ in 0..3 {
            answer.send(Err(io::ErrorKind::BrokenPipe.into())).expect("it writes");
            stderr.push(b"lost\n");
            stderr.flush(LONG);
        }
        answer.send(Ok(())).expect("it writes");
        answer.send(Ok(())).expect("it writes");
        stderr.push(b"read\n");
        let loss = read.recv_timeout(LONG).expect("a line");
        assert!(
            loss.contains("WARN jobstream: log lines were lost") && loss.ends_with("lines=3\n"),
            "{loss}"
        );
        assert_eq!(read.recv_timeout(LONG).as_deref(), Ok("read\n"));
    }

    #[test]
    fn a_reader_that_stopped_costs_the_lines_beyond_the_queue_and_no_time() {
        let (stderr, answer, read) = start();
        stderr.push(b"first\n");
        stderr.flush(Duration::from_millis(1));
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        for _ in 0..3 * QUEUE_BYTES_MAX / line.len() {
            stderr.push(&line);
        }
        let begun = Instant::now();
        stderr.flush(LONG);
        assert!(begun.elapsed() < LONG, "a stalled reader is not waited for again");
        let lost = stderr.lock().lines_lost;
        assert!(lost >= 2 * QUEUE_BYTES_MAX as u64 / line.len() as u64, "{lost}");
        drop(answer);
        assert_eq!(read.recv_timeout(LONG).as_deref(), Ok("first\n"));
        let loss = read.recv_timeout(LONG).expect("a line");
        assert!(loss.ends_with(&format!("lines={lost}\n")), "{loss}");
    }

    #[test]
    fn lost_lines_are_counted_in_the_format_of_the_log() {
        let line = loss_line(2, LogFormat::Json);
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&value["level"], &value["fields"]["lines"]), (&"WARN".into(), &2.into()));
        assert_eq!((count(b""), count(b"a\nb\n"), count(b"a\nb")), (0, 2, 2));
    }
}
