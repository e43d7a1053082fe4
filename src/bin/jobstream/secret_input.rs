//! Reads a secret from stdin: a line of a pipe, or typed on a terminal that does not show it.

use std::io::{self, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::stderr;

/// Most bytes that are read.
const BYTES_MAX: u64 = 64 * 1024;

/// Keys of a terminal whose input is read byte by byte.
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: [u8; 2] = [0x08, 0x7f];
const ERASE_LINE: u8 = 0x15;

/// The secret, without white space around it. On a terminal it asks for `what`.
///
/// # Errors
///
/// If there is none, or stdin cannot be read; `Interrupted` after Ctrl-C.
pub(crate) fn read(what: &str) -> Result<String> {
    let stdin = io::stdin();
    let bytes = match stdin.is_terminal() {
        true => typed(what)?,
        false => {
            let mut bytes = Vec::new();
            stdin.lock().take(BYTES_MAX).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
            bytes
        }
    };
    let text =
        String::from_utf8(bytes).map_err(|_| Error::usage(format!("the {what} on stdin is not UTF-8")))?;
    match text.trim() {
        "" => Err(Error::usage(format!("there is no {what} on stdin"))),
        text => Ok(text.to_owned()),
    }
}

fn typed(what: &str) -> Result<Vec<u8>> {
    let silent = Silent::new().map_err(|error| failed(&error))?;
    stderr::print(format!("{what}: ").as_bytes());
    let typed = line();
    drop(silent);
    stderr::print(b"\n");
    typed
}

/// The bytes up to Enter.
fn line() -> Result<Vec<u8>> {
    let mut line = Vec::new();
    for byte in io::stdin().lock().take(BYTES_MAX).bytes() {
        match byte.map_err(|error| failed(&error))? {
            b'\n' | b'\r' | END => break,
            INTERRUPT => return Err(Error::new(Exit::Interrupted, "interrupted")),
            byte if BACKSPACE.contains(&byte) => _ = line.pop(),
            ERASE_LINE => line.clear(),
            byte => line.push(byte),
        }
    }
    Ok(line)
}

/// A terminal that shows nothing and passes each key on, until it is dropped.
struct Silent(Termios);

impl Silent {
    fn new() -> io::Result<Self> {
        let former = tcgetattr(io::stdin())?;
        let mut silent = former.clone();
        // Without ISIG Ctrl-C is a byte: a signal would end the process before the terminal is restored.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(former))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Nothing can be done if the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

fn failed(error: &io::Error) -> Error {
    Error::new(Exit::Other, format!("cannot read stdin: {error}"))
}
