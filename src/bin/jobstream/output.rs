//! The output of a command: data on stdout in the requested format, everything else on stderr. The modules below format
//! it. Text from the server passes [`screen`] before it reaches a terminal, and in the fields of tables.

pub(crate) mod json;
pub(crate) mod raw;
pub(crate) mod screen;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod text;

use std::io::{self, IsTerminal, Write};

use clap::{ColorChoice, ValueEnum};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::stderr;
use style::{Color, Style};
use table::{Columns, Field};

/// Columns of a terminal of unknown size.
const WIDTH_DEFAULT: u16 = 80;

/// The format of data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// JSON, indented; streams print one object a line.
    Json,
    /// JSON, one object a line.
    Jsonl,
    /// Aligned columns with a header; results as they are.
    Table,
    /// Tab-separated lines without a header, the default for a pipe.
    #[value(skip)]
    Tabs,
}

impl Format {
    /// The requested format, else the default of the stream.
    fn choose(requested: Option<Self>, is_terminal: bool) -> Self {
        requested.unwrap_or(if is_terminal { Self::Table } else { Self::Tabs })
    }

    /// Whether data is JSON.
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// Output flags of every command.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct GlobalArgs {
    /// Colours: auto, always or never; auto heeds NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub(crate) color: ColorChoice,
    /// Only data and errors, no messages on stderr
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Do not escape control characters on a terminal
    #[arg(long, global = true)]
    pub(crate) raw: bool,
}

impl GlobalArgs {
    /// The style of stderr.
    pub(crate) fn stderr_style(&self) -> Style {
        Style::new(self.color, io::stderr().is_terminal())
    }
}

/// The columns of the terminal on stdout.
fn terminal_width() -> u16 {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col,
        _ => WIDTH_DEFAULT,
    }
}

/// The output streams of a command.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The format of data.
    pub(crate) format: Format,
    /// Only data and errors.
    pub(crate) quiet: bool,
    /// The colours of stdout.
    pub(crate) style: Style,
    /// The colours of stderr.
    pub(crate) stderr_style: Style,
    /// Whether stdout is a terminal.
    pub(crate) stdout_is_terminal: bool,
    /// The columns of the terminal that tables fit; `None` if stdout is none.
    pub(crate) width: Option<u16>,
    /// Whether control characters in data are escaped.
    is_cleaned: bool,
    /// Whether progress can be drawn in place.
    pub(crate) stderr_is_terminal: bool,
}

impl Output {
    /// For these flags and the streams of this process.
    pub(crate) fn new(global: GlobalArgs, format: Option<Format>) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        Self {
            format: Format::choose(format, stdout_is_terminal),
            quiet: global.quiet,
            style: Style::new(global.color, stdout_is_terminal),
            stderr_style: global.stderr_style(),
            stdout_is_terminal,
            width: stdout_is_terminal.then(terminal_width),
            is_cleaned: stdout_is_terminal && !global.raw,
            stderr_is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Writes data to stdout and flushes it. On a terminal control characters are escaped, unless `--raw` is set.
    ///
    /// # Errors
    ///
    /// As [`Output::raw`].
    pub(crate) fn data(&self, bytes: &[u8]) -> Result<()> {
        match self.is_cleaned {
            true => self.raw(&screen::clean_bytes(bytes)),
            false => self.raw(bytes),
        }
    }

    /// Writes formatted output to stdout and flushes it.
    ///
    /// # Errors
    ///
    /// If stdout cannot be written; without a message if its reader has ended.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Error::stdout(&error))
    }

    /// Writes a line to stdout.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        self.data(format!("{text}\n").as_bytes())
    }

    /// Writes JSON to stdout: indented, or on one line with `-o jsonl`.
    pub(crate) fn json(&self, value: &Value) -> Result<()> {
        match self.format {
            Format::Jsonl => self.json_line(value),
            _ => self.json_text(&format!("{value:#}\n")),
        }
    }

    /// Writes JSON to stdout on one line, as streams always do.
    pub(crate) fn json_line(&self, value: &Value) -> Result<()> {
        self.json_text(&format!("{value}\n"))
    }

    fn json_text(&self, text: &str) -> Result<()> {
        match self.is_cleaned {
            true => self.raw(screen::clean_json(text).as_bytes()),
            false => self.raw(text.as_bytes()),
        }
    }

    /// Writes a list to stdout; `values` are its elements as JSON.
    pub(crate) fn list(&self, columns: &Columns, values: impl Iterator<Item = Result<Value>>) -> Result<()> {
        match self.format {
            Format::Table if columns.is_empty() => Ok(()),
            Format::Table => self.raw(columns.aligned(self.style, self.width).as_bytes()),
            Format::Tabs => self.raw(columns.tab_separated().as_bytes()),
            Format::Json => self.json(&Value::Array(values.collect::<Result<_>>()?)),
            Format::Jsonl => {
                for value in values {
                    self.json_line(&value?)?;
                }
                Ok(())
            }
        }
    }

    /// Writes an object to stdout; `value` is the same as JSON.
    pub(crate) fn object(
        &self,
        pairs: &[(&'static str, Field)],
        value: impl FnOnce() -> Result<Value>,
    ) -> Result<()> {
        match self.format {
            Format::Table => self.raw(table::pairs(pairs, self.style, self.width).as_bytes()),
            Format::Tabs => self.raw(table::pairs_tab_separated(pairs).as_bytes()),
            Format::Json | Format::Jsonl => self.json(&value()?),
        }
    }

    /// Writes a message to stderr, unless quiet.
    pub(crate) fn notice(&self, text: &str) {
        self.notice_in(None, text);
    }

    /// Writes a suggestion to stderr, if it is a terminal and not quiet.
    pub(crate) fn tip(&self, text: &str) {
        if !self.quiet && self.stderr_is_terminal {
            self.help(text);
        }
    }

    /// Writes a message to stderr, even if quiet.
    pub(crate) fn report(&self, text: &str) {
        print_line(text, &screen::clean(text));
    }

    /// [`Output::notice`] in a colour.
    pub(crate) fn notice_in(&self, color: Option<Color>, text: &str) {
        let line = screen::clean(text);
        match color {
            _ if self.quiet => {}
            Some(color) => print_line(text, &self.stderr_style.paint(color, &line)),
            None => print_line(text, &line),
        }
    }

    /// Writes a warning to stderr, unless quiet.
    pub(crate) fn warning(&self, text: &str) {
        if !self.quiet {
            let (warning, message) =
                (self.stderr_style.paint(Color::Yellow, "warning:"), screen::clean(text));
            let line = format!("{warning} {message}\n");
            stderr::print_message("WARN", &json!({ "message": text }), &line);
        }
    }

    /// Writes a hint to stderr.
    pub(crate) fn help(&self, text: &str) {
        let help = self.stderr_style.paint(Color::Cyan, "help:");
        print_line(text, &format!("  {help} {}", screen::clean(text)));
    }
}

/// Writes a message to stderr: as `line`, or as a line of a JSON log.
fn print_line(message: &str, line: &str) {
    stderr::print_message("INFO", &json!({ "message": message }), &format!("{line}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_tabs_unless_a_format_is_asked_for() {
        assert_eq!(Format::choose(None, true), Format::Table);
        assert_eq!(Format::choose(None, false), Format::Tabs);
        assert_eq!(Format::choose(Some(Format::Table), false), Format::Table);
        assert_eq!(Format::choose(Some(Format::Jsonl), true), Format::Jsonl);
    }
}
