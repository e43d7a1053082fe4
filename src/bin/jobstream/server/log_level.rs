//! The level of the log of a running process.

use std::fmt;
use std::sync::Arc;

use jobstream::server::LogLevelControl;
use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::reload::Handle;

const SYNTAX: &str =
    "use off, error, warn, info, debug or trace, or TARGET=LEVEL, such as info,jobstream::jobs=debug";

/// Sets the filter of the log.
type SetFilter = dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync;

/// Changes the level of the log. Clones share it.
#[derive(Clone)]
pub(crate) struct LogLevel(Arc<State>);

struct State {
    set_filter: Box<SetFilter>,
    /// The level in force.
    level: Mutex<String>,
}

impl LogLevel {
    /// Changes the level, which is this one now, by the handle of a filter.
    pub(super) fn new<S: 'static>(level: &str, handle: Handle<EnvFilter, S>) -> Self {
        let set_filter = move |filter| handle.reload(filter).map_err(|error| error.to_string());
        Self(Arc::new(State { set_filter: Box::new(set_filter), level: Mutex::new(level.to_owned()) }))
    }
}

impl LogLevelControl for LogLevel {
    fn level(&self) -> String {
        self.0.level.lock().clone()
    }

    fn set_level(&self, level: &str) -> Result<(), String> {
        let filter = filter(level)?;
        let mut current = self.0.level.lock();
        (self.0.set_filter)(filter)?;
        level.clone_into(&mut current);
        Ok(())
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&self.level()).finish()
    }
}

/// The filter of `LEVEL` and `TARGET=LEVEL`, separated by commas.
///
/// # Errors
///
/// If a part is neither. A target alone is refused as well: a mistyped level would be one, and nothing would be logged.
pub(super) fn filter(level: &str) -> Result<EnvFilter, String> {
    let is_target = |part: &&str| !part.contains(['=', '[']) && part.trim().parse::<LevelFilter>().is_err();
    if let Some(part) = level.split(',').find(is_target) {
        return Err(format!("log level {level:?}: {part:?} is not a level: {SYNTAX}"));
    }
    EnvFilter::try_new(level).map_err(|error| format!("log level {level:?}: {error}: {SYNTAX}"))
}
