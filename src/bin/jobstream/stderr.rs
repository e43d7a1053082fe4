//! Non-blocking standard error: one thread writes lines from a bounded queue. If the reader is closed or too slow, lines
//! are dropped and counted.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use serde_json::{Value, json};

use crate::config::LogFormat;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::screen;

/// Size of the queue. Lines that do not fit are dropped.
const QUEUE_BYTES_MAX: usize = 1 << 20;
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

/// The format of the log.
pub(crate) fn log_format() -> LogFormat {
    STDERR.get().and_then(|stderr| stderr.state.format.get()).copied().unwrap_or_default()
}

/// Writes a message of a command: `fields` as a line of the log if the log is JSON, so that every line is JSON, else `text`.
pub(crate) fn print_message(level: &str, fields: &Value, text: &str) {
    match log_format() {
        LogFormat::Json => print(json_line(level, fields).as_bytes()),
        LogFormat::Text => print(text.as_bytes()),
    }
}

/// Writes a question and reads an answer from stdin. Returns whether it is yes.
///
/// # Errors
///
/// If stdin cannot be read.
pub(crate) fn confirm(question: &str) -> Result<bool, Error> {
    print(screen::clean(question).as_bytes());
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Error::new(Exit::Other, format!("cannot read the answer: {error}")))?;
    if !answer.ends_with('\n') {
        // The terminal does not show the end of the input as a new line.
        print(b"\n");
    }
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Waits until the queue is written, up to a timeout.
pub(crate) fn flush(within: Duration) {
    if let Some(stderr) = STDERR.get() {
        stderr.flush(within);
    }
}

/// Sets the format of the lines of this process, unless it was set before.
pub(crate) fn set_format(format: LogFormat) {
    // An error means that it was set before.
    let _ = stderr().state.format.set(format);
}

/// Sets the format of the lines of this process, and writes panics through the queue.
pub(crate) fn set_up_log(format: LogFormat) {
    set_format(format);
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        let report = format!("thread '{name}': {panic}\n");
        let message = json!({ "message": report.trim_end() });
        print_message("ERROR", &message, &screen::clean_lines(&report));
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
    STDERR.get_or_init(|| Stderr::start(sink()))
}

/// A separate handle: a blocked write must not hold the lock of the standard library's handle.
fn sink() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(stderr) => Box::new(File::from(stderr)),
        Err(_) => Box::new(io::stderr()),
    }
}

/// The queue to stderr. [`QUEUE_BYTES_MAX`] bounds its lines.
struct Stderr {
    queue: Sender<Message>,
    state: Arc<State>,
}

enum Message {
    Lines(Vec<u8>),
    /// Notified once all earlier lines are written or dropped.
    Flush(Sender<()>),
}

#[derive(Default)]
struct State {
    /// Bytes that are queued, and neither written nor dropped.
    queued_bytes: AtomicUsize,
    /// Lines dropped since the last report.
    lines_lost: AtomicU64,
    /// Whether a wait timed out since the last write.
    is_stalled: AtomicBool,
    format: OnceLock<LogFormat>,
}

impl Stderr {
    /// Starts the writer thread.
    fn start(sink: Box<dyn Write + Send>) -> Self {
        let (queue, messages) = mpsc::channel();
        let state = Arc::<State>::default();
        let mut writer = LineWriter { sink, state: state.clone(), is_torn: false };
        let write_all = move || messages.into_iter().for_each(|message| writer.handle(message));
        // Without the thread the queue fills and lines are dropped: no reason to fail.
        let _ = thread::Builder::new().name("stderr".to_owned()).spawn(write_all);
        Self { queue, state }
    }

    fn push(&self, lines: &[u8]) {
        let State { queued_bytes, lines_lost, .. } = &*self.state;
        if queued_bytes.fetch_add(lines.len(), Relaxed) + lines.len() > QUEUE_BYTES_MAX {
            queued_bytes.fetch_sub(lines.len(), Relaxed);
            lines_lost.fetch_add(count(lines), Relaxed);
            return;
        }
        // An error means that there is no writer thread.
        let _ = self.queue.send(Message::Lines(lines.to_vec()));
    }

    fn flush(&self, within: Duration) {
        if self.state.is_stalled.load(Relaxed) {
            return;
        }
        let (done, flushed) = mpsc::channel();
        // An error means that there is no writer thread; then nothing is received either.
        let _ = self.queue.send(Message::Flush(done));
        if flushed.recv_timeout(within).is_err() {
            self.state.is_stalled.store(true, Relaxed);
        }
    }
}

/// Writes the lines of the queue.
struct LineWriter {
    sink: Box<dyn Write + Send>,
    state: Arc<State>,
    /// Whether a line was written in part.
    is_torn: bool,
}

impl LineWriter {
    fn handle(&mut self, message: Message) {
        match message {
            Message::Lines(lines) => self.write_lines(&lines),
            // An error means that the wait timed out.
            Message::Flush(done) => drop(done.send(())),
        }
    }

    fn write_lines(&mut self, lines: &[u8]) {
        let written = if self.write_loss() { write(&mut *self.sink, lines) } else { 0 };
        if written == lines.len() {
            self.is_torn = false;
        } else {
            self.is_torn = self.is_torn || (written > 0 && lines[written - 1] != b'\n');
            self.state.lines_lost.fetch_add(count(&lines[written..]), Relaxed);
        }
        self.state.queued_bytes.fetch_sub(lines.len(), Relaxed);
        self.state.is_stalled.store(false, Relaxed);
    }

    /// Reports dropped lines, if any. Returns false if the report cannot be written.
    fn write_loss(&mut self) -> bool {
        let lines = self.state.lines_lost.load(Relaxed);
        if lines == 0 {
            return true;
        }
        let mut line = if self.is_torn { "\n".to_owned() } else { String::new() };
        line.push_str(&loss_line(lines, self.state.format.get().copied().unwrap_or_default()));
        let is_written = write(&mut *self.sink, line.as_bytes()) == line.len();
        if is_written {
            self.state.lines_lost.fetch_sub(lines, Relaxed);
        }
        is_written
    }
}

/// Writes all bytes. Returns how many were written before an error.
fn write(sink: &mut dyn Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process with the same stderr made it non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::park_timeout(FULL_PAUSE),
            Err(_) => break,
        }
    }
    written
}

/// Lines in these bytes, an unfinished one too.
fn count(bytes: &[u8]) -> u64 {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    ends + u64::from(bytes.last().is_some_and(|last| *last != b'\n'))
}

fn loss_line(lines: u64, format: LogFormat) -> String {
    const MESSAGE: &str = "log lines were lost: stderr could not be written, or its reader was too slow";
    match format {
        LogFormat::Text => format!("{}  WARN jobstream: {MESSAGE} lines={lines}\n", formatted_time()),
        LogFormat::Json => json_line("WARN", &json!({ "message": MESSAGE, "lines": lines })),
    }
}

/// A line as `tracing_subscriber` writes it.
fn json_line(level: &str, fields: &Value) -> String {
    let line = json!({
        "timestamp": formatted_time(), "level": level, "fields": fields, "target": "jobstream",
    });
    screen::clean_json(&format!("{line}\n")).into_owned()
}

/// The current time, as in the log. A time that cannot be formatted is empty.
fn formatted_time() -> String {
    let mut time = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// A pipe whose reader can be away, and whose writes complete on demand.
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

    fn start() -> (Stderr, Sender<io::Result<()>>, Receiver<String>) {
        let ((answer, answers), (texts, read)) = (channel(), channel());
        let stderr = Stderr::start(Box::new(Pipe { answers, texts }));
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
        // A wait would not end: nothing is written before the answer is dropped.
        let (has_ended, ended) = channel();
        let stderr = Arc::new(stderr);
        let flushing = stderr.clone();
        thread::spawn(move || {
            flushing.flush(Duration::MAX);
            has_ended.send(()).expect("the test waits");
        });
        ended.recv_timeout(LONG).expect("a stalled reader is not waited for again");
        let lost = stderr.state.lines_lost.load(Relaxed);
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
