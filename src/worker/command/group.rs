//! A child process and its process group. Starts, signals, kills and reaps it, also on drop. The supervisor decides
//! when to signal.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use super::CommandControl;
use super::env::environment;
use super::orphan_guard::OrphanGuard;
use super::orphan_reaper::OrphanReaper;
use super::program::{StartError, resolve};
use super::spec::CommandSpec;

/// The parent's ends of the child's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// The process group of a child, which is its leader.
///
/// The leader is reaped last. Until then its id is not reused, so a signal to the group cannot reach another process.
#[derive(Debug)]
pub(super) struct Group {
    /// `None` once reaped, or moved to the task that reaps it.
    child: Option<Child>,
    id: Pid,
    child_signals: tokio::signal::unix::Signal,
    guard: Option<OrphanGuard>,
    reaper: OrphanReaper,
}

impl Group {
    /// Starts the program in its own process group and registers the group with the guard.
    pub(super) fn spawn(
        spec: &CommandSpec,
        attempt_env: &[(String, String)],
        control: &CommandControl,
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
        // Subscribe before the child starts, so that its exit is not missed.
        let child_signals = signal(SignalKind::child()).map_err(failed)?;
        let CommandControl { guard, reaper, .. } = control;
        let (mut child, id) = reaper.start(&mut command).map_err(failed)?;
        let pipes = Pipes {
            stdin: child.stdin.take().expect("stdin is piped"),
            stdout: child.stdout.take().expect("stdout is piped"),
            stderr: child.stderr.take().expect("stderr is piped"),
        };
        if let Some(guard) = guard {
            guard.register(id);
        }
        let (guard, reaper) = (guard.clone(), reaper.clone());
        Ok((Self { child: Some(child), id, child_signals, guard, reaper }, pipes))
    }

    /// Sends a signal to every process of the group.
    pub(super) fn signal(&self, signal: Signal) {
        // The group exists because its leader is not reaped. The only possible error is a process of another user,
        // which cannot be signalled.
        let _ = kill_process_group(self.id, signal);
    }

    /// Returns once the leader has exited, without reaping it. Cancel-safe.
    pub(super) async fn exited(&mut self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        // An error means that the process is no longer a child, so it has exited.
        while let Ok(None) = waitid(WaitId::Pid(self.id), options) {
            self.child_signals.recv().await;
        }
    }

    /// Kills the remaining processes of the group and reaps the leader.
    pub(super) async fn finish(mut self) -> io::Result<ExitStatus> {
        self.kill();
        let child = self.child.as_mut().expect("only this consumes the group");
        let status = child.wait().await;
        self.child = None;
        self.reaper.remove(self.id);
        status
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
        // Unregister before the leader is reaped: the guard must not hold an id that the system may reuse.
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
            // The task ends at once: the child has been killed.
            let (reaper, id) = (self.reaper.clone(), self.id);
            runtime.spawn(async move {
                // An error means that it is reaped already.
                let _ = child.wait().await;
                reaper.remove(id);
            });
        }
    }
}
