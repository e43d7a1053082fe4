//! The level of the server's log, which the program around the server has set up.

use std::fmt;

/// The log level of a program with a server in it, for GetServerInfo and SetLogLevel.
///
/// The library installs no subscriber, so only the program knows the level and can change it.
pub trait LogLevelControl: fmt::Debug + Send + Sync {
    /// The level in force, such as `info,jobstream::jobs=debug`.
    fn level(&self) -> String;

    /// Changes the level. It has the syntax of `SetLogLevelRequest.level`: `LEVEL` and `TARGET=LEVEL`, separated by commas.
    ///
    /// # Errors
    ///
    /// Why the level stays as it is.
    fn set_level(&self, level: &str) -> Result<(), String>;
}
