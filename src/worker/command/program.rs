//! Locates the program's file, at the start of a server or worker and before each run, and describes why a program could
//! not be started. Starts no process.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::env::environment;
use super::spec::CommandSpec;

/// Directories in which a bare name is looked up if the program's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Most folders of `PATH` in an error message.
const SHOWN_FOLDERS_MAX: usize = 3;

impl CommandSpec {
    /// Checks that the program can be found now and that its working directory exists, so that a wrong configuration is
    /// an error at the start.
    ///
    /// # Errors
    ///
    /// A message with the program, the reason and a remedy. A transient shortage of the machine is not an error.
    pub fn check_program(&self) -> Result<(), String> {
        let name = self.program.display();
        let environment =
            environment(self, &[]).map_err(|problem| format!("cannot start {name}: {problem}"))?;
        match resolve(&self.program, environment.get("PATH").map(String::as_str)) {
            Err(error) if !error.retryable => return Err(error.message),
            Ok(_) | Err(_) => {}
        }
        match missing_dir(self) {
            Some(dir) => Err(format!(
                "cannot start {name}: the working directory {} does not exist: create it",
                dir.display()
            )),
            None => Ok(()),
        }
    }
}

/// Why a program could not be started.
#[derive(Debug)]
pub(super) struct StartError {
    pub(super) message: String,
    /// Whether the reason is transient.
    pub(super) retryable: bool,
}

impl StartError {
    /// An error that is not transient.
    pub(super) fn permanent(message: String) -> Self {
        Self { message, retryable: false }
    }

    /// The operating system's error for the start of this program, with a hint.
    pub(super) fn from_spawn(spec: &CommandSpec, program: &Path, error: &io::Error) -> Self {
        let errno = Errno::from_io_error(error);
        let hint = match errno {
            _ if let Some(dir) = missing_dir(spec) => {
                format!("the working directory {} does not exist: create it", dir.display())
            }
            Some(Errno::NOENT) => {
                "its interpreter (the first line, #!) or its loader is missing: install it".to_owned()
            }
            Some(Errno::ACCESS) => {
                "the file is not executable or the working directory is not accessible: check both modes"
                    .to_owned()
            }
            Some(Errno::NOEXEC) => {
                "the file is not an executable of this machine: a script begins with #! and its interpreter"
                    .to_owned()
            }
            Some(Errno::TOOBIG) => {
                "its arguments and environment are too large: pass data on stdin".to_owned()
            }
            _ if is_exhaustion(error) => EXHAUSTED.to_owned(),
            Some(Errno::TXTBSY) => "the file is being written".to_owned(),
            _ => "the system call failed".to_owned(),
        };
        Self {
            message: format!("cannot start {}: {hint} ({error})", program.display()),
            retryable: is_exhaustion(error) || errno == Some(Errno::TXTBSY),
        }
    }
}

const EXHAUSTED: &str = "the machine is out of processes, memory or file descriptors";

/// Whether the machine, the container or the user has reached a limit for processes, memory or file descriptors.
fn is_exhaustion(error: &io::Error) -> bool {
    let transient = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
    Errno::from_io_error(error).is_some_and(|errno| transient.contains(&errno))
}

fn missing_dir(spec: &CommandSpec) -> Option<&Path> {
    spec.working_dir.as_deref().filter(|dir| !dir.is_dir())
}

/// The absolute path of this program, looked up in `path`, the `PATH` of its environment.
///
/// With an absolute path the standard library can use `posix_spawn`, which does not copy page tables, and errors can
/// name the reason.
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
            Err(error) if is_exhaustion(&error) => {
                let message = format!("cannot look for {}: {EXHAUSTED} ({error})", file.display());
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
            format!("cannot start {name}: not found in {}: install it or give its full path", folders(path))
        }
        (None, false) => {
            format!("cannot start {name}: no such file: install it or correct its path")
        }
    }))
}

/// The folders of a `PATH`, of which a long one is truncated: `/usr/bin, /bin and 4 more folders of PATH`.
fn folders(path: &str) -> String {
    let mut folders: Vec<_> = path.split(':').filter(|folder| !folder.is_empty()).collect();
    let hidden = folders.len().saturating_sub(SHOWN_FOLDERS_MAX);
    folders.truncate(SHOWN_FOLDERS_MAX);
    match (folders.is_empty(), hidden) {
        (true, _) => "PATH, which is empty".to_owned(),
        (false, 0) => format!("{} (PATH)", folders.join(", ")),
        (false, 1) => format!("{} and 1 more folder of PATH", folders.join(", ")),
        (false, hidden) => format!("{} and {hidden} more folders of PATH", folders.join(", ")),
    }
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
        assert!(error.message.contains("sh: not found in /nowhere (PATH)"), "{}", error.message);
    }

    #[test]
    fn long_path_is_truncated_in_the_error() {
        assert_eq!(folders("/a:/b:/c"), "/a, /b, /c (PATH)");
        assert_eq!(folders("/a::/b:/c:/d"), "/a, /b, /c and 1 more folder of PATH");
        assert_eq!(folders("/a:/b:/c:/d:/e"), "/a, /b, /c and 2 more folders of PATH");
        assert_eq!(folders(":"), "PATH, which is empty");
    }

    #[test]
    fn missing_program_and_missing_directory_are_found_before_a_run() {
        let mut spec = CommandSpec::new("sh");
        assert_eq!(spec.check_program(), Ok(()));
        spec.working_dir = Some("/nowhere".into());
        let error = spec.check_program().expect_err("no such directory");
        assert!(error.contains("the working directory /nowhere does not exist"), "{error}");
        spec.program = "no-such-program".into();
        let error = spec.check_program().expect_err("no such program");
        assert!(error.starts_with("cannot start no-such-program: not found in /usr/local/bin, "), "{error}");
    }

    #[test]
    fn exhausted_resources_are_transient_and_a_missing_program_is_not() {
        let spec = CommandSpec::new("p");
        let of = |errno: Errno| StartError::from_spawn(&spec, Path::new("/p"), &io::Error::from(errno));
        for errno in [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE] {
            let error = of(errno);
            assert!(error.retryable && error.message.contains(EXHAUSTED), "{}", error.message);
        }
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC, Errno::TOOBIG] {
            assert!(!of(errno).retryable, "{errno}");
        }
    }

    #[test]
    fn file_that_is_not_executable_and_missing_file_have_different_errors() {
        let error = resolve(Path::new("/etc/passwd"), None).expect_err("not executable");
        assert!(error.message.contains("chmod +x /etc/passwd"), "{}", error.message);
        let error = resolve(Path::new("/etc"), None).expect_err("a directory");
        assert!(error.message.contains("no such file"), "{}", error.message);
    }
}
