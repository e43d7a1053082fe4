//! `jobstream dev`: a server for development, in memory by default.

mod banner;
mod tls;

use clap::Args;

use crate::config::{self, HttpArgs, ServerArgs, ServerConfig};
use crate::contexts::Contexts;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{GlobalArgs, Output};
use crate::{serve, server};

const EXAMPLES: &str = "\
Everything is in memory and lost on exit, unless --data names a directory.
Flags win over the variables named beside them; there is no config file (see
`jobstream serve`).

Examples:
  jobstream dev
  jobstream dev --listen 127.0.0.1:0 --slots 2
  jobstream dev --data ./jobs
  jobstream dev --tls
  jobstream dev --exec 'upper=tr a-z A-Z'
  jobstream dev --http resize=http://127.0.0.1:9000/resize";

/// Run a server for trying things out
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Dev {
    /// Run a program for a kind: payload on stdin, result on
    /// stdout; repeatable
    #[arg(long, value_name = "KIND=PROGRAM ARGS", value_parser = config::exec)]
    exec: Vec<String>,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    tls: tls::TlsArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl Dev {
    /// Runs the command.
    pub(crate) fn run(self, global: GlobalArgs) -> Result<Exit> {
        let output = Output::new(global, None);
        let mut config = ServerConfig { demo: true, exec: self.exec, ..ServerConfig::default() };
        self.server.apply(&mut config);
        self.http.apply(&mut config.http)?;
        let certificate = self.tls.apply(&mut config)?;
        if self.server.print_config {
            return serve::print_config(&output, config);
        }
        if let Some(certificate) = &certificate {
            certificate.make()?;
        }
        let ca = certificate.map(|certificate| certificate.ca());
        // Commands without an address would call the server of the context.
        let has_context = Contexts::load().is_ok_and(|contexts| contexts.current.is_some());
        let totals = server::start(config, None, |ready| match output.quiet {
            true => output.line(&ready.first()),
            false => output.raw(banner::banner(ready, ca.as_deref(), has_context, output.style).as_bytes()),
        })?;
        output.notice(&banner::summary(&totals));
        Ok(Exit::Ok)
    }
}
