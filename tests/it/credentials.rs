//! Credentials of the Rust client, the worker and the command line, and the commands that make and store them.

mod client;
mod command_line;
mod contexts;
mod server;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::support::{new_id, wait_for};

const TOKEN: &str = "jst_good";

/// A home directory, removed when dropped.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("home-{}", new_id()));
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    fn write(&self, file: &str, text: &str) -> String {
        std::fs::write(self.path(file), text).expect("a file");
        self.path(file).display().to_string()
    }

    /// The contexts file.
    fn contexts(&self) -> PathBuf {
        self.path(".config/jobstream/contexts.toml")
    }

    /// Runs `jobstream` here with these variables and nothing else in its environment.
    async fn run(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
        self.run_with_input(variables, arguments, "").await
    }

    /// Runs `jobstream` with this text on stdin.
    async fn run_with_input(&self, variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Finished {
        let stdin = std::fs::File::open(self.write(".stdin", input)).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
        command.args(arguments).env_clear().env("HOME", &self.0).envs(variables.iter().copied());
        command.current_dir(&self.0).stdin(Stdio::from(stdin)).kill_on_drop(true);
        Finished::new(wait_for("it ends", command.output()).await.expect("it runs"))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A remaining directory in the target directory is harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A finished process.
struct Finished {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Finished {
    fn new(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Checks the exit code and parts of stderr, and that no token is in it. Returns stdout.
    #[track_caller]
    fn ends(self, code: i32, parts: &[&str]) -> String {
        let Self { code: ended, stdout, stderr } = self;
        assert_eq!(ended, Some(code), "stdout: {stdout}\nstderr: {stderr}");
        for part in parts {
            assert!(stderr.contains(part), "no {part:?} in stderr: {stderr}");
        }
        assert!(!stderr.contains("jst_"), "a token is shown: {stderr}");
        stdout
    }
}
