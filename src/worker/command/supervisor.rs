//! Decides which signals a running command gets and when it has ended. Reads and writes no pipe.

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

/// How long processes left behind may hold the pipes after the program has exited on its own.
const LEFTOVERS_LINGER: Duration = Duration::from_secs(1);
/// How long the pipes may stay open once everything in the group is dead: only a process that left the group
/// holds them then.
const ESCAPED_LINGER: Duration = Duration::from_millis(100);

/// Why we stopped the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The caller asked.
    Cancelled,
    /// Its time was up.
    TimeLimit,
    /// Its result was too large.
    Overflow,
}

/// How the process ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) status: io::Result<ExitStatus>,
    pub(super) stop: Option<Stop>,
    /// Whether KILL was needed after the caller asked to stop.
    pub(super) forced: bool,
}

/// Owns the process group from its start to its end.
pub(super) struct Supervisor<'a> {
    group: Group,
    control: &'a CommandControl,
    signals: &'a PumpSignals,
    kill_grace: Duration,
    /// When the time limit passes, or, after that, when KILL follows.
    wake_at: Option<Instant>,
    stop: Option<Stop>,
    /// When the group got TERM.
    termed_at: Option<Instant>,
    limit_passed: bool,
    killed: bool,
}

impl<'a> Supervisor<'a> {
    /// Watches this group; the time limit counts from now.
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

    /// Sees the program to its end: exited, its group killed, itself reaped, its pipes ended or cut.
    pub(super) async fn run(mut self) -> Ending {
        self.until_exit().await;
        self.until_drained().await;
        let Self { group, stop, killed, .. } = self;
        let status = group.finish().await;
        // Dead processes hold no pipe, so this waits only for one that escaped, or for a slow reader of the
        // events. The pumps still take what is in the pipes.
        let _ = timeout(ESCAPED_LINGER, self.signals.drained.cancelled()).await;
        self.signals.cut.cancel();
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

    /// What the program left behind may finish its output, for a bounded time. If it was asked to stop, it
    /// may have things to put in order, and has as long as a program has.
    async fn until_drained(&mut self) {
        if self.killed {
            return;
        }
        let until = match self.termed_at {
            Some(termed_at) => termed_at.checked_add(self.kill_grace),
            None => Some(Instant::now() + LEFTOVERS_LINGER),
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

/// When the time limit of a program that starts now passes.
pub(super) fn time_limit_at(spec: &CommandSpec) -> Option<Instant> {
    // Here and for the grace: a time beyond what the clock can express never comes.
    spec.time_limit.and_then(|limit| Instant::now().checked_add(limit))
}

/// Returns at this time; without one, never.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
