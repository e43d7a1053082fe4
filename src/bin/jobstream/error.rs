//! The error of a command: an exit code, a message, details and hints. `main` prints it.

mod server;

use std::io;

use serde_json::json;

use crate::exit::Exit;
use crate::output::screen;
use crate::output::style::{Color, Style};
use crate::stderr;

pub(crate) use server::{from_client, from_connect, from_options};

/// The result of everything that can fail in the command line.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// An error for a person, with the exit code for a script.
#[derive(Debug)]
pub(crate) struct Error {
    /// What the process exits with.
    pub(crate) exit: Exit,
    /// What is wrong: lower case, no full stop. Empty if stdout has no reader any more.
    pub(crate) message: String,
    /// Lines below the message, such as one for each invalid field.
    pub(crate) details: Vec<String>,
    /// What to do about it, one line each.
    pub(crate) hints: Vec<String>,
}

impl Error {
    /// An error without details and hints.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hints: Vec::new() }
    }

    /// A wrong flag, argument or file.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Stdout cannot be written. A reader that has ended (`| head`) is not reported.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Other, ""),
            _ => Self::new(Exit::Other, format!("cannot write to stdout: {error}")),
        }
    }

    /// The same error with one more hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error with one more detail.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// The message, the details and the hints, each on a line of its own.
    pub(crate) fn render(&self, style: Style) -> String {
        if self.message.is_empty() {
            return String::new();
        }
        let mut lines = format!("{} {}\n", style.paint(Color::Red, "error:"), screen::clean(&self.message));
        for detail in &self.details {
            lines += &format!("  {}\n", screen::clean(detail));
        }
        for hint in &self.hints {
            lines += &format!("  {} {}\n", style.paint(Color::Cyan, "help:"), screen::clean(hint));
        }
        lines
    }

    /// Writes the error to stderr.
    pub(crate) fn print(&self, style: Style) {
        if self.message.is_empty() {
            return;
        }
        let Self { message, details, hints, .. } = self;
        let fields = json!({ "message": message, "details": details, "hints": hints });
        stderr::print_message("ERROR", &fields, &self.render(style));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_followed_by_its_details_and_hints() {
        let error = Error::usage("kind is empty").detail("kind: needs a character").hint("try `demo.echo`");
        let expected = "error: kind is empty\n  kind: needs a character\n  help: try `demo.echo`\n";
        assert_eq!(error.render(Style::PLAIN), expected);
    }

    #[test]
    fn text_from_a_server_cannot_steer_the_terminal() {
        let error = Error::new(Exit::Other, "bad \u{1b}[2Jnews");
        assert_eq!(error.render(Style::PLAIN), "error: bad \\u{1b}[2Jnews\n");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let error = Error::stdout(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(error.render(Style::PLAIN), "");
    }
}
