//! The `[commands.KIND]` tables of a config: programs that run the jobs of a kind.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use jobstream::job;
use jobstream::worker::command::OutputMode;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::values;

table! {
    /// A program that runs the jobs of one kind.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct CommandConfig {
        /// The program: a path, or a name that is looked up in PATH. It must exist at the start
        pub(crate) program: PathBuf,
        /// Its arguments, passed without a shell [default: none]
        #[serde(default)]
        pub(crate) args: Vec<String>,
        /// Additional environment variables [default: none]
        #[serde(default)]
        pub(crate) env: BTreeMap<String, String>,
        /// Variables that the program inherits [default: PATH, HOME, LANG, LC_ALL, TZ, TMPDIR]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) env_allowlist: Option<Vec<String>>,
        /// Working directory. It must exist at the start [default: that of the server or worker]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) working_dir: Option<PathBuf>,
        /// What stdout becomes: "result" is the result as a whole, "lines" a chunk of output for each line [default: "result"]
        #[serde(default)]
        pub(crate) output: OutputMode,
        /// MIME type of the result [default: detected, text or octets]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) content_type: Option<String>,
        /// Timeout of one run [default: the job's attempt timeout]
        #[serde(default, with = "values::optional_span", skip_serializing_if = "Option::is_none")]
        pub(crate) time_limit: Option<Duration>,
        /// Time between SIGTERM and SIGKILL [default: 5s]
        #[serde(default = "default_kill_grace", with = "values::span")]
        pub(crate) kill_grace: Duration,
        /// Largest result; a larger one fails the job [default: payload_bytes_max]
        #[serde(default, with = "values::optional_size", skip_serializing_if = "Option::is_none")]
        pub(crate) result_bytes_max: Option<u64>,
        /// Concurrent runs of this kind [default: 8]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) slots: Option<NonZeroU32>,
        /// Exit codes of failures that are retried; other codes end the job [default: 75]
        #[serde(default = "default_retry_exit_codes")]
        pub(crate) retry_exit_codes: Vec<u8>,
    }
}

/// A kind: 1 to 128 characters of `[A-Za-z0-9._:/-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Kind(String);

impl TryFrom<String> for Kind {
    type Error = jobstream::error::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        job::Kind::parse("kind", &text)?;
        Ok(Self(text))
    }
}

impl Kind {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.0
    }
}

fn default_kill_grace() -> Duration {
    Duration::from_secs(5)
}

/// 75 is what sysexits.h calls a temporary failure.
fn default_retry_exit_codes() -> Vec<u8> {
    vec![75]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_defaults() {
        let command: CommandConfig = toml::from_str("program = 'x'").expect("a command");
        assert_eq!(command.kill_grace, Duration::from_secs(5));
        assert_eq!(command.retry_exit_codes, [75]);
        assert_eq!((command.output, command.time_limit, command.slots), (OutputMode::Result, None, None));
    }

    #[test]
    fn a_kind_is_checked() {
        assert!(Kind::try_from("a.B-9:/_".to_owned()).is_ok());
        assert!(Kind::try_from("a b".to_owned()).is_err());
        assert!(Kind::try_from(String::new()).is_err());
        assert!(Kind::try_from("x".repeat(129)).is_err());
    }
}
