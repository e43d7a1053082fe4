//! Colours of a stream, and when they are used.

use std::env;

use clap::ColorChoice;

/// The colours. A word always has the same meaning as its colour, for readers who cannot distinguish colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Color {
    /// Failed.
    Red,
    /// Succeeded.
    Green,
    /// Cancelled, or a warning.
    Yellow,
    /// Running, and hints.
    Cyan,
    /// Secondary text.
    Dim,
}

/// Whether one of the two streams is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    colored: bool,
}

impl Style {
    /// No colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { colored: false };

    /// For a stream that is a terminal, or is not.
    pub(crate) fn new(choice: ColorChoice, is_terminal: bool) -> Self {
        let refused = || is_set("NO_COLOR") || env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colored = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !refused(),
        };
        Self { colored }
    }

    /// Whether there are colours at all.
    pub(crate) fn is_colored(self) -> bool {
        self.colored
    }

    /// The text, in this colour if the stream has any.
    pub(crate) fn paint(self, color: Color, text: &str) -> String {
        let code = match color {
            _ if !self.colored => return text.to_owned(),
            Color::Red => "1;31",
            Color::Green => "32",
            Color::Yellow => "33",
            Color::Cyan => "36",
            Color::Dim => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_has_no_colours_unless_asked_for() {
        assert!(!Style::new(ColorChoice::Auto, false).is_colored());
        assert!(!Style::new(ColorChoice::Never, true).is_colored());
        assert_eq!(Style::new(ColorChoice::Always, false).paint(Color::Red, "x"), "\x1b[1;31mx\x1b[0m");
    }
}
