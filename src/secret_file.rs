//! Files with secrets, such as private keys: whether other users of the machine can use them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The access of other users in a mode.
const OTHERS: u32 = 0o077;
const GROUP_READ: u32 = 0o040;

/// The mode of a file that other users can read or write; `None` if they cannot. A file of root may be readable by its group:
/// it is the least that a Secret of Kubernetes can have for a program that is not root.
///
/// # Errors
///
/// If it cannot be examined.
pub fn exposed_mode(path: &Path) -> io::Result<Option<u32>> {
    const ROOT: u32 = 0;
    let metadata = fs::metadata(path)?;
    let forbidden = if metadata.uid() == ROOT { OTHERS & !GROUP_READ } else { OTHERS };
    let mode = metadata.mode() & 0o777;
    Ok((mode & forbidden != 0).then_some(mode))
}

/// The warning about a file that other users can read or write, for a log: `the TLS key server.key has mode 644, other users can
/// use it: run chmod 600 server.key`. `None` also if the file cannot be examined: an error says so when it is read.
///
/// Such a file is used nevertheless: a mounted Secret of Kubernetes has mode 0644 by default.
pub fn warning(what: &str, path: &Path) -> Option<String> {
    let mode = exposed_mode(path).ok()??;
    let shown = path.display();
    Some(format!("the {what} {shown} has mode {mode:o}, other users can use it: run chmod 600 {shown}"))
}
