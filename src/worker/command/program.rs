//! Finds the program's file and explains why it could not be started. Starts nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::spec::CommandSpec;

/// Where a bare name is looked up if the program's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why there is no process, and whether that may pass.
#[derive(Debug)]
pub(super) struct StartError {
    pub(super) message: String,
    pub(super) retryable: bool,
}

impl StartError {
    /// An error that another attempt would meet again.
    pub(super) fn permanent(message: String) -> Self {
        Self { message, retryable: false }
    }

    /// What the operating system said when asked to start this program, with a hint.
    pub(super) fn from_spawn(spec: &CommandSpec, program: &Path, error: &io::Error) -> Self {
        let errno = Errno::from_io_error(error);
        let hint = match errno {
            _ if let Some(dir) = missing_dir(spec) => {
                format!("the working directory {} is not there: create it", dir.display())
            }
            Some(Errno::NOENT) => {
                "its interpreter (the first line, #!) or its loader is missing: install it".to_owned()
            }
            Some(Errno::ACCESS) => {
                "it may not be executed, or its working directory not be entered: check both \
                                    modes"
                    .to_owned()
            }
            Some(Errno::NOEXEC) => "it is no program of this machine: a script begins with #! and its \
                                    interpreter"
                .to_owned(),
            Some(Errno::TOOBIG) => {
                "its arguments and environment are too large: pass data on stdin".to_owned()
            }
            _ if is_shortage(error) => SHORTAGE.to_owned(),
            Some(Errno::TXTBSY) => "it is being written".to_owned(),
            _ => "the system refused".to_owned(),
        };
        Self {
            message: format!("cannot start {}: {hint} ({error})", program.display()),
            retryable: is_shortage(error) || errno == Some(Errno::TXTBSY),
        }
    }
}

const SHORTAGE: &str = "the machine is out of processes, memory or file descriptors";

/// Whether the machine, the container or the user is out of something that others may give back.
fn is_shortage(error: &io::Error) -> bool {
    let passing = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
    Errno::from_io_error(error).is_some_and(|errno| passing.contains(&errno))
}

fn missing_dir(spec: &CommandSpec) -> Option<&Path> {
    spec.working_dir.as_deref().filter(|dir| !dir.is_dir())
}

/// The absolute path of this program, looked up in `path`, the `PATH` that it will get.
///
/// Looking it up here lets the system start it without copying our page tables, and lets the error say what
/// is wrong.
///
/// # Errors
///
/// If no executable file has this name.
pub(super) fn resolve(program: &Path, path: Option<&str>) -> Result<PathBuf, StartError> {
    let path = path.unwrap_or(DEFAULT_PATH);
    let is_bare =
        program.components().count() == 1 && !program.as_os_str().as_encoded_bytes().contains(&b'/');
    let candidates: Vec<PathBuf> = match is_bare {
        true => {
            path.split(':').filter(|dir| !dir.is_empty()).map(|dir| Path::new(dir).join(program)).collect()
        }
        false => vec![program.to_owned()],
    };
    let mut files = Vec::new();
    for file in &candidates {
        match fs::metadata(file) {
            Ok(meta) if meta.is_file() => files.push(file),
            Err(error) if is_shortage(&error) => {
                let message = format!("cannot look for {}: {SHORTAGE} ({error})", file.display());
                return Err(StartError { message, retryable: true });
            }
            Ok(_) | Err(_) => {}
        }
    }
    if let Some(file) = files.iter().find(|file| is_executable(file)) {
        return std::path::absolute(file)
            .map_err(|error| StartError::permanent(format!("cannot find {}: {error}", file.display())));
    }
    let name = program.display();
    Err(StartError::permanent(match (files.first(), is_bare) {
        (Some(file), _) => {
            let file = file.display();
            format!(
                "cannot start {name}: {file} is not executable: run chmod +x {file}, or name its interpreter"
            )
        }
        (None, true) => {
            format!("cannot start {name}: not found in PATH ({path}): install it or give its full path")
        }
        (None, false) => {
            format!("cannot start {name}: there is no such file: install it or correct its path")
        }
    }))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_are_looked_up_and_paths_are_not() {
        assert_eq!(
            resolve(Path::new("sh"), Some("/nowhere::/bin")).expect("sh").as_path(),
            Path::new("/bin/sh")
        );
        assert_eq!(resolve(Path::new("/bin/sh"), Some("")).expect("sh").as_path(), Path::new("/bin/sh"));
        let error = resolve(Path::new("sh"), Some("/nowhere")).expect_err("not in this PATH");
        assert!(error.message.contains("sh: not found in PATH (/nowhere)"), "{}", error.message);
    }

    #[test]
    fn a_shortage_passes_and_a_program_that_is_missing_does_not() {
        let spec = CommandSpec::new("p");
        let of = |errno: Errno| StartError::from_spawn(&spec, Path::new("/p"), &io::Error::from(errno));
        for errno in [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE] {
            let error = of(errno);
            assert!(error.retryable && error.message.contains(SHORTAGE), "{}", error.message);
        }
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC, Errno::TOOBIG] {
            assert!(!of(errno).retryable, "{errno}");
        }
    }

    #[test]
    fn what_is_not_executable_is_told_apart() {
        let error = resolve(Path::new("/etc/passwd"), None).expect_err("not executable");
        assert!(error.message.contains("chmod +x /etc/passwd"), "{}", error.message);
        let error = resolve(Path::new("/etc"), None).expect_err("a directory");
        assert!(error.message.contains("no such file"), "{}", error.message);
    }
}
