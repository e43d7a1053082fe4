//! A child process and its process group: started, signalled, and always killed and reaped, also when
//! dropped. When to signal is decided elsewhere.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use super::env::environment;
use super::orphan_guard::OrphanGuard;
use super::program::{StartError, resolve};
use super::spec::CommandSpec;

/// Our ends of the child's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// The child, the leader of its group.
///
/// It is reaped last. Until then its id cannot be given to another process, so a signal to the group cannot
/// hit a stranger.
#[derive(Debug)]
pub(super) struct Group {
    /// `None` once reaped or handed to the reaper.
    child: Option<Child>,
    id: Pid,
    child_signals: tokio::signal::unix::Signal,
    guard: Option<OrphanGuard>,
}

impl Group {
    /// Starts the program in a group of its own, known to the guard.
    pub(super) fn spawn(
        spec: &CommandSpec,
        attempt_env: &[(String, String)],
        guard: Option<OrphanGuard>,
    ) -> Result<(Self, Pipes), StartError> {
        let name = spec.program.display();
        let environment = environment(spec, attempt_env)
            .map_err(|problem| StartError::permanent(format!("cannot start {name}: {problem}")))?;
        let program = resolve(&spec.program, environment.get("PATH").map(String::as_str))?;
        let mut command = Command::new(&program);
        command.arg0(&spec.program).args(&spec.args).env_clear().envs(environment).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        if let Some(dir) = &spec.working_dir {
            command.current_dir(dir);
        }
        let failed = |error: io::Error| StartError::from_spawn(spec, &program, &error);
        // Listen before there is a child: its end must not come unnoticed.
        let child_signals = signal(SignalKind::child()).map_err(failed)?;
        let mut child = command.spawn().map_err(failed)?;
        let pipes = Pipes {
            stdin: child.stdin.take().expect("stdin was asked to be a pipe"),
            stdout: child.stdout.take().expect("stdout was asked to be a pipe"),
            stderr: child.stderr.take().expect("stderr was asked to be a pipe"),
        };
        let id = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .expect("a child that is not reaped has an id");
        if let Some(guard) = &guard {
            guard.register(id);
        }
        Ok((Self { child: Some(child), id, child_signals, guard }, pipes))
    }

    /// Sends a signal to every process of the group.
    pub(super) fn signal(&self, signal: Signal) {
        // The group cannot be gone, because its leader is not reaped; what is left is a member that changed
        // its user, and there is nothing to be done about that one.
        let _ = kill_process_group(self.id, signal);
    }

    /// Returns once the leader has exited, without reaping it. May be dropped and called again.
    pub(super) async fn exited(&mut self) {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        // An error means that it is no child of ours any more, so it has surely exited.
        while let Ok(None) = waitid(WaitId::Pid(self.id), look) {
            self.child_signals.recv().await;
        }
    }

    /// Kills what is left of the group and reaps the leader.
    pub(super) async fn finish(mut self) -> io::Result<ExitStatus> {
        self.kill();
        let child = self.child.as_mut().expect("only this consumes the group");
        let status = child.wait().await;
        self.child = None;
        status
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
        // Before the leader is reaped: the guard must never hold an id that may be given away.
        if let Some(guard) = &self.guard {
            guard.unregister(self.id);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        self.kill();
        if let Ok(runtime) = Handle::try_current() {
            // Ends at once: the child has been killed.
            runtime.spawn(async move { child.wait().await });
        }
    }
}
