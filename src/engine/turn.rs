//! Inline attempts that wait for the disk run where they were dispatched, if a server's thread did that: its answers wait
//! for the same sync, and one wake-up serves both. Elsewhere the worker's own task runs them.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::session::Outbox;
use super::{Engine, Position};

thread_local! {
    static HERE: RefCell<Option<Weak<dyn TurnTaker>>> = const { RefCell::new(None) };
}

/// What runs the attempts that this thread dispatches.
pub(crate) trait TurnTaker: Send + Sync {
    /// Whose attempts it runs.
    fn engine(&self) -> &Engine;

    /// Runs the turn once the position is on disk. One that is dropped instead goes to the worker's own task.
    fn take(self: Arc<Self>, position: Position, turn: Turn);
}

/// The right and the duty to run what one session was told.
pub(crate) struct Turn {
    outbox: Arc<Outbox>,
    is_over: bool,
}

/// Lets it run what the present thread dispatches from now on.
pub(crate) fn take_turns_here(taker: Weak<dyn TurnTaker>) {
    HERE.set(Some(taker));
}

/// What runs the attempts of this engine that the present thread dispatches, if anything does.
pub(super) fn taker_here(engine: &Engine) -> Option<Arc<dyn TurnTaker>> {
    let taker = HERE.with_borrow(|here| here.as_ref().and_then(Weak::upgrade))?;
    taker.engine().is(engine).then_some(taker)
}

impl Turn {
    pub(super) fn of(outbox: Arc<Outbox>) -> Self {
        Self { outbox, is_over: false }
    }

    /// Runs what is on disk. Answers what the rest waits for.
    pub(crate) fn run(mut self, engine: &Engine) -> Option<(Position, Self)> {
        let rest = self.outbox.run_kept(engine);
        self.is_over = rest.is_none();
        // Once the log failed, the rest never is.
        rest.filter(|_| engine.check_log().is_ok()).map(|position| (position, self))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.outbox.wake();
        }
    }
}
