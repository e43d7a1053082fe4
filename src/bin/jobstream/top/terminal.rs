//! The alternate screen of a terminal, which is drawn in place.

use std::io;

use crate::error::Result;
use crate::output::Output;

const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Rows and columns of a terminal of unknown size.
const SIZE_DEFAULT: (u16, u16) = (24, 80);

/// The alternate screen, until it is dropped.
#[derive(Debug)]
pub(super) struct Terminal {
    output: Output,
}

impl Terminal {
    /// Switches to the alternate screen, and hides the cursor.
    pub(super) fn open(output: &Output) -> Result<Self> {
        output.raw(ENTER)?;
        Ok(Self { output: output.clone() })
    }

    /// Its rows and columns now.
    pub(super) fn size(&self) -> (u16, u16) {
        match rustix::termios::tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_row, size.ws_col),
            _ => SIZE_DEFAULT,
        }
    }

    /// Draws the lines over those that were drawn before.
    pub(super) fn show(&self, lines: &[String]) -> Result<()> {
        let text: Vec<_> = lines.iter().map(|line| format!("{line}{CLEAR_LINE}")).collect();
        self.output.raw(format!("{HOME}{}{CLEAR_BELOW}", text.join("\r\n")).as_bytes())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that cannot be written has ended.
        let _ = self.output.raw(LEAVE);
    }
}
