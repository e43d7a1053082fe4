//! `jobstream serve`: a server with a config file.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::config::{self, HttpArgs, ServerArgs, ServerConfig};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::{GlobalArgs, Output};
use crate::server::{self, ReadConfig};

const EXAMPLES: &str = "\
A flag wins over the variable named beside it, that over the config file, that
over the default. Unknown keys in the file are refused.

Examples:
  jobstream serve --config jobstream.toml
  jobstream serve --print-config > jobstream.toml
  JOBSTREAM_SLOTS=64 jobstream serve --listen 127.0.0.1:7071
  jobstream serve --listen 0.0.0.0:7070 --auth-tokens tokens.toml
  jobstream serve --data /var/lib/jobstream
  jobstream serve --http resize=http://127.0.0.1:9000/resize

jobstream.toml:
  listen = \"0.0.0.0:7070\"
  data = \"/var/lib/jobstream\"
  [auth]
  tokens_file = \"/etc/jobstream/tokens.toml\"
  [limits]
  retention = \"2h\"
  [worker]
  lease = \"1m\"
  [commands.thumbnail]
  program = \"convert\"
  args = [\"-\", \"-resize\", \"64x64\", \"png:-\"]
  content_type = \"image/png\"
  [http.resize]
  url = \"http://127.0.0.1:9000/resize\"
  secret_file = \"/etc/jobstream/webhook-secret\"";

/// Run a server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// TOML file; `--print-config` explains every key
    #[arg(long, value_name = "FILE", env = "JOBSTREAM_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl Serve {
    /// Runs the command.
    pub(crate) fn run(self, global: GlobalArgs) -> Result<Exit> {
        let output = Output::new(global, None);
        let config = self.read_config()?;
        if self.server.print_config {
            return print_config(&output, config);
        }
        let has_file = self.config.is_some();
        let read_config = Arc::new(move || self.read_config()) as ReadConfig;
        server::start(config, has_file.then_some(read_config), |ready| {
            output.notice(&format!("listening on {}, gRPC and HTTP/JSON", ready.listed()));
            Ok(())
        })?;
        Ok(Exit::Ok)
    }
}

impl Serve {
    /// The config file with the flags and variables.
    fn read_config(&self) -> Result<ServerConfig> {
        let mut config: ServerConfig =
            self.config.as_deref().map(config::load).transpose()?.unwrap_or_default();
        self.server.apply(&mut config);
        self.http.apply(&mut config.http)?;
        Ok(config)
    }
}

/// Writes the effective config to stdout, as a config file with comments.
pub(crate) fn print_config(output: &Output, mut config: ServerConfig) -> Result<Exit> {
    config.limits.derive();
    let text = toml::to_string(&config)
        .map_err(|error| Error::new(Exit::Other, format!("cannot show the config: {error}")))?;
    output.raw(config::with_comments(&text).as_bytes())?;
    Ok(Exit::Ok)
}
