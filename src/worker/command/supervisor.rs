//! Decides when a running command is signalled and when it has ended. Does not access the pipes.

use std::future::pending;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep_until, timeout};

use super::CommandControl;
use super::group::Group;
use super::pump::PumpSignals;
use super::spec::CommandSpec;

/// How long remaining processes of the group may hold the pipes open after the program has exited by itself.
const REMAINING_LINGER: Duration = Duration::from_secs(1);
/// How long the pipes may stay open after all processes of the group have ended. Only a process that left the group can
/// hold them open then.
const ESCAPED_LINGER: Duration = Duration::from_millis(100);

/// Why the program was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The caller cancelled it.
    Cancelled,
    /// Its time limit passed.
    TimeLimit,
    /// Its result exceeded the limit.
    Overflow,
}

/// How the process ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) status: io::Result<ExitStatus>,
    pub(super) stop: Option<Stop>,
    /// Whether the supervisor sent KILL.
    pub(super) forced: bool,
}

/// Owns the process group from its start to its end.
pub(super) struct Supervisor<'a> {
    group: Group,
    control: &'a CommandControl,
    signals: &'a PumpSignals,
    kill_grace: Duration,
    /// When the time limit passes; after that, when KILL is sent.
    wake_at: Option<Instant>,
    stop: Option<Stop>,
    /// When TERM was sent.
    termed_at: Option<Instant>,
    limit_passed: bool,
    killed: bool,
}

impl<'a> Supervisor<'a> {
    /// Supervises this group. The time limit starts now.
    pub(super) fn new(
        group: Group,
        spec: &CommandSpec,
        control: &'a CommandControl,
        signals: &'a PumpSignals,
    ) -> Self {
        Self {
            group,
            control,
            signals,
            kill_grace: spec.kill_grace,
            wake_at: time_limit_at(spec),
            stop: None,
            termed_at: None,
            limit_passed: false,
            killed: false,
        }
    }

    /// Waits for the exit of the program, then kills the remaining processes of its group, reaps it and closes its
    /// pipes.
    pub(super) async fn run(mut self) -> Ending {
        self.until_exit().await;
        self.until_drained().await;
        let Self { group, stop, killed, .. } = self;
        let status = group.finish().await;
        // Ended processes hold no pipe, so this only waits for a process that left the group or for a slow receiver of
        // the events. The pumps still read the bytes buffered in the pipes.
        let _ = timeout(ESCAPED_LINGER, self.signals.drained.cancelled()).await;
        self.signals.close.cancel();
        Ending { status, stop, forced: killed }
    }

    async fn until_exit(&mut self) {
        let Self { control, signals, .. } = *self;
        loop {
            tokio::select! {
                biased;
                () = self.group.exited() => return,
                () = control.force.cancelled(), if !self.killed => self.on_force(),
                () = signals.overflow.cancelled(), if !self.killed => self.on_overflow(),
                () = control.cancel.cancelled(), if self.stop.is_none() => self.on_cancel(),
                () = at(self.wake_at) => self.on_wake(),
            }
        }
    }

    /// Waits for the output of processes that the program left behind, for a bounded time. If TERM was sent, these
    /// processes have the kill grace to clean up.
    async fn until_drained(&mut self) {
        if self.killed {
            return;
        }
        let until = match self.termed_at {
            Some(termed_at) => termed_at.checked_add(self.kill_grace),
            None => Some(Instant::now() + REMAINING_LINGER),
        };
        let Self { control, signals, .. } = *self;
        tokio::select! {
            biased;
            () = signals.drained.cancelled() => {}
            () = control.force.cancelled() => self.on_force(),
            () = at(until) => {}
        }
    }

    fn on_cancel(&mut self) {
        self.stop = Some(Stop::Cancelled);
        self.term();
    }

    fn on_force(&mut self) {
        self.stop = self.stop.or(Some(Stop::Cancelled));
        self.kill();
    }

    fn on_overflow(&mut self) {
        self.stop = self.stop.or(Some(Stop::Overflow));
        self.kill();
    }

    fn on_wake(&mut self) {
        if self.limit_passed {
            self.wake_at = None;
            self.kill();
            return;
        }
        self.limit_passed = true;
        self.wake_at = Instant::now().checked_add(self.kill_grace);
        if self.stop.is_none() {
            self.stop = Some(Stop::TimeLimit);
            self.term();
        }
    }

    fn term(&mut self) {
        self.termed_at = Some(Instant::now());
        self.group.signal(Signal::TERM);
    }

    fn kill(&mut self) {
        self.killed = true;
        self.group.signal(Signal::KILL);
    }
}

/// When the time limit passes for a program that starts now.
pub(super) fn time_limit_at(spec: &CommandSpec) -> Option<Instant> {
    // A time beyond the range of the clock means no limit, here and for the kill grace.
    spec.time_limit.and_then(|limit| Instant::now().checked_add(limit))
}

/// Returns at this time. Never returns if there is none.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
