//! `jobstream log-level`: shows or changes the level of a running server's log.

use clap::Args;
use serde_json::json;

use crate::connect::ClientArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::GlobalArgs;

const EXAMPLES: &str = "\
The level is in force until the next change, SIGHUP with a config file, or
restart. Prints the level before the change. A level without a target is that
of the libraries too: debug has many lines for each call.

Examples:
  jobstream log-level
  jobstream log-level info,jobstream=debug
  jobstream log-level info,jobstream::jobs=debug";

/// Show or change the level of the server's log
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogLevel {
    /// off, error, warn, info, debug or trace; then TARGET=LEVEL
    #[arg(value_name = "LEVEL")]
    level: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

impl LogLevel {
    /// Runs the command.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let shown = match self.level {
            Some(level) => {
                let previous = client.call(client.api.set_log_level(level.clone())).await?;
                client.output.notice(&format!("the level is {level} now; it was:"));
                previous
            }
            None => {
                let level = client.call(client.api.server_info()).await?.log_level;
                if level.is_empty() {
                    let message = "the server does not report its log level";
                    return Err(Error::new(Exit::Auth, message).hint("it needs the grant admin"));
                }
                level
            }
        };
        match client.output.format.is_json() {
            true => client.output.json(&json!({ "level": shown }))?,
            false => client.output.line(&shown)?,
        }
        Ok(Exit::Ok)
    }
}
