//! `jobstream config`: checks the config of a server. It starts nothing.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{self, Checked, HttpArgs, Overrides, ServerConfig};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{GlobalArgs, Output};
use crate::server;

const EXAMPLES: &str = "\
`jobstream serve --print-config` prints the config in force.

Examples:
  jobstream config check --config jobstream.toml";

const CHECK_EXAMPLES: &str = "\
Reads the config file, flags and variables as `jobstream serve` does, and the
files that they name: TLS, tokens, keys, secrets. Reports every problem, with
file and line where they are known, and ends with 2 if there is one. It does
not listen, does not open the data directory, and calls no URL.

Examples:
  jobstream config check --config jobstream.toml
  jobstream config check --listen 0.0.0.0:7070 --auth-tokens tokens.toml";

/// Check the config of a server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(Box<Check>),
}

/// Check a config and the files that it names
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct Check {
    /// TOML file, as of `jobstream serve`
    #[arg(long, value_name = "FILE", env = "JOBSTREAM_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    overrides: Overrides,
}

impl Config {
    /// Runs the verb.
    pub(crate) fn run(self, global: GlobalArgs) -> Result<Exit> {
        let Verb::Check(check) = self.verb;
        check.run(global)
    }
}

impl Check {
    fn run(self, global: GlobalArgs) -> Result<Exit> {
        let style = global.stderr_style();
        let output = Output::new(global, None);
        let checked = self.config.as_deref().map(config::check::<ServerConfig>);
        let Checked { value, mut problems, .. } = checked.unwrap_or_else(|| Checked {
            value: Some(ServerConfig::default()),
            text: String::new(),
            problems: Vec::new(),
        });
        if let Some(mut config) = value {
            let is_complete = problems.is_empty();
            self.overrides.apply(&mut config);
            problems.extend(self.http.apply(&mut config.http).err());
            let found = server::check(&config, is_complete);
            problems.extend(found.problems);
            found.warnings.iter().for_each(|warning| output.report(&format!("warning: {warning}")));
        }
        if problems.is_empty() {
            output.line("the configuration is valid")?;
            return Ok(Exit::Ok);
        }
        problems.iter().for_each(|problem| problem.print(style));
        Ok(Exit::Usage)
    }
}
