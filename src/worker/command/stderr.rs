//! Parses the line protocol on stderr, bounds the log, and retains the last lines for the failure message.

use std::collections::VecDeque;

use super::CommandEvent;
use crate::job::{Log, LogLevel, LogStream, Progress};

/// Number of last lines in a failure message.
const TAIL_LINES_MAX: usize = 5;
/// Most bytes of each of these lines.
const TAIL_LINE_BYTES_MAX: usize = 400;

/// Converts lines to events until the log is full. Then it counts the dropped lines.
#[derive(Debug)]
pub(super) struct StderrLog {
    bytes_max: usize,
    bytes_logged: usize,
    bytes_dropped: u64,
    lines_dropped: u64,
    tail: VecDeque<String>,
}

impl StderrLog {
    /// A log of at most this many bytes of text.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes_logged: 0, bytes_dropped: 0, lines_dropped: 0, tail: VecDeque::new() }
    }

    /// The event for this line, unless the line is dropped. Progress is not counted towards the bound.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<CommandEvent> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(progress) = parse_progress(line) {
            return Some(CommandEvent::Progress(progress));
        }
        self.push_tail(line);
        if self.bytes_dropped > 0 || self.bytes_logged + line.len() > self.bytes_max {
            self.bytes_dropped += line.len() as u64;
            self.lines_dropped += 1;
            return None;
        }
        // An empty line also needs memory in later buffers.
        self.bytes_logged += line.len().max(1);
        let (level, text) = level_of(line);
        Some(CommandEvent::Log(Log {
            level,
            text: String::from_utf8_lossy(text).into(),
            stream: LogStream::Stderr,
        }))
    }

    /// A final log line with the number of dropped lines, if any were dropped.
    pub(super) fn dropped(&self) -> Option<CommandEvent> {
        let Self { bytes_max, bytes_dropped, lines_dropped, .. } = self;
        (*lines_dropped > 0).then(|| {
            let text = format!(
                "{bytes_dropped} more bytes of stderr in {lines_dropped} lines were dropped: the limit is \
                 {bytes_max} bytes an attempt"
            );
            CommandEvent::Log(Log { level: LogLevel::Warn, text: text.into(), stream: LogStream::Log })
        })
    }

    /// The last non-empty lines, joined.
    pub(super) fn into_tail(self) -> String {
        Vec::from(self.tail).join("\n")
    }

    fn push_tail(&mut self, line: &[u8]) {
        let (_, text) = level_of(line);
        let text = text.trim_ascii();
        if text.is_empty() {
            return;
        }
        let mut tail_line = match self.tail.len() {
            TAIL_LINES_MAX => self.tail.pop_front().unwrap_or_default(),
            _ => String::new(),
        };
        tail_line.clear();
        tail_line.push_str(&String::from_utf8_lossy(&text[..text.len().min(TAIL_LINE_BYTES_MAX)]));
        self.tail.push_back(tail_line);
    }
}

fn level_of(line: &[u8]) -> (LogLevel, &[u8]) {
    if let Some(text) = line.strip_prefix(b"::error ") {
        (LogLevel::Error, text)
    } else if let Some(text) = line.strip_prefix(b"::warning ") {
        (LogLevel::Warn, text)
    } else {
        (LogLevel::Info, line)
    }
}

fn parse_progress(line: &[u8]) -> Option<Progress> {
    let rest = line.strip_prefix(b"::progress ")?;
    let rest = str::from_utf8(rest).ok()?.trim();
    let (amount, rest) = first_word(rest);
    let Some((done, total)) = amount.split_once('/') else {
        let fraction = Some(parse_fraction(amount)?);
        return Some(Progress { fraction, message: rest.to_owned(), ..Progress::default() });
    };
    let (done, total): (u64, u64) = (done.parse().ok()?, total.parse().ok()?);
    let (unit, message) = first_word(rest);
    (done <= total).then(|| Progress {
        fraction: (total > 0).then(|| done as f64 / total as f64),
        done: Some(done as f64),
        total: Some(total as f64),
        unit: unit.to_owned(),
        message: message.to_owned(),
    })
}

fn parse_fraction(text: &str) -> Option<f64> {
    let fraction = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&fraction).then_some(fraction)
}

fn first_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> CommandEvent {
        StderrLog::new(1024).line(line.as_bytes()).expect("the log is not full")
    }

    fn log(level: LogLevel, text: &str) -> CommandEvent {
        CommandEvent::Log(Log { level, text: text.into(), stream: LogStream::Stderr })
    }

    #[test]
    fn progress_is_a_fraction_or_a_count() {
        let fraction = |fraction, message: &str| {
            let (fraction, message) = (Some(fraction), message.to_owned());
            CommandEvent::Progress(Progress { fraction, message, ..Progress::default() })
        };
        assert_eq!(event("::progress 0.4 decoding frame 7\n"), fraction(0.4, "decoding frame 7"));
        assert_eq!(event("::progress 40%\r\n"), fraction(0.4, ""));
        assert_eq!(event("::progress 1"), fraction(1.0, ""));
        let count = |unit: &str, message: &str| {
            CommandEvent::Progress(Progress {
                fraction: Some(0.3),
                done: Some(3.0),
                total: Some(10.0),
                unit: unit.to_owned(),
                message: message.to_owned(),
            })
        };
        assert_eq!(event("::progress 3/10"), count("", ""));
        assert_eq!(event("::progress  3/10 files  copying a b "), count("files", "copying a b"));
    }

    #[test]
    fn malformed_progress_is_a_log_line() {
        let lines = [
            "::progress",
            "::progress ",
            "::progress x",
            "::progress 1.1",
            "::progress -1",
            "::progress NaN",
        ];
        let more = [
            "::progress inf",
            "::progress 3/2",
            "::progress 3/",
            "::progress -3/10",
            "::progress 3/x",
            "::progressive 1",
        ];
        for line in lines.into_iter().chain(more) {
            assert_eq!(event(line), log(LogLevel::Info, line));
        }
        assert!(matches!(event("::progress 101%"), CommandEvent::Log(_)));
    }

    #[test]
    fn level_is_taken_from_the_prefix_only() {
        assert_eq!(event("::error disk full\n"), log(LogLevel::Error, "disk full"));
        assert_eq!(event("::warning low\r\n"), log(LogLevel::Warn, "low"));
        assert_eq!(event("error: ::error x"), log(LogLevel::Info, "error: ::error x"));
    }

    #[test]
    fn full_log_counts_further_lines_and_still_reports_progress() {
        let mut stderr = StderrLog::new(8);
        assert!(stderr.line(b"12345\n").is_some());
        assert!(stderr.dropped().is_none());
        assert!(stderr.line(b"6789\n").is_none());
        assert!(stderr.line(b"x\n").is_none(), "a gap must not be followed by more lines");
        assert!(matches!(stderr.line(b"::progress 0.5\n"), Some(CommandEvent::Progress(_))));
        let Some(CommandEvent::Log(Log { stream: LogStream::Log, text, .. })) = stderr.dropped() else {
            panic!("the dropped lines must be reported");
        };
        assert!(text.starts_with("5 more bytes of stderr in 2 lines"), "{text}");
    }

    #[test]
    fn tail_has_the_last_lines_and_is_bounded() {
        let mut stderr = StderrLog::new(0);
        for number in 0..100 {
            stderr.line(format!("line {number}\n").as_bytes());
            stderr.line(b"  \n");
        }
        stderr.line(&[b'x'; 10_000]);
        let tail = stderr.into_tail();
        assert!(tail.starts_with("line 96\nline 97\nline 98\nline 99\nxxx"), "{tail}");
        assert!(tail.len() < 500, "{}", tail.len());
    }
}
