//! `jobstream context add`: stores a server under a name.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::connect::{self, TlsArgs};
use crate::contexts::{self, Context, Secret};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::Output;
use crate::secret_input;

const EXAMPLES: &str = "\
--token-stdin stores the token itself, with access for this user only. It is
typed on a terminal without being shown, or comes from a pipe. --token-file
stores the name of the file, which is read for each call.

Examples:
  jobstream context add local --address http://127.0.0.1:7070
  jobstream context add prod --address https://jobs.example:7070 \\
    --ca ca.crt --token-file ~/.jobstream.token
  pass show jobstream | jobstream context add prod \\
    --address https://jobs.example:7070 --token-stdin";

/// Add a context
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Add {
    /// Name of the context
    #[arg(value_parser = contexts::name)]
    name: String,
    /// Server, host:port or https://host:port
    #[arg(long, value_name = "ADDRESS")]
    address: String,
    #[command(flatten)]
    tls: TlsArgs,
    /// File with a bearer token; it is read again when it changes
    #[arg(long, value_name = "FILE", conflicts_with = "token_stdin")]
    token_file: Option<PathBuf>,
    /// Read a bearer token from stdin and store it
    #[arg(long)]
    token_stdin: bool,
    /// Send the token in plain text, also to another machine
    #[arg(long)]
    insecure_token: bool,
}

impl Add {
    /// Runs the command.
    pub(super) fn run(self, output: &Output) -> Result<Exit> {
        let Self { name, address, mut tls, token_file, token_stdin, insecure_token } = self;
        if address.starts_with("https://") {
            tls = tls.or_variables();
        }
        let token = token_stdin.then(|| secret_input::read("token")).transpose()?.map(Secret);
        let mut context = Context {
            address,
            token_file: absolute(&token_file)?,
            token,
            insecure_token,
            ..Context::default()
        };
        (context.ca, context.client_cert) = (absolute(&tls.ca)?, absolute(&tls.client_cert)?);
        context.client_key = absolute(&tls.client_key)?;
        connect::check(&context, &tls, output)?;
        contexts::change(|contexts| {
            if contexts.contexts.contains_key(&name) {
                let error = Error::usage(format!("there is a context {name} already"));
                return Err(error.hint(format!("remove it first: `jobstream context rm {name}`")));
            }
            contexts.contexts.insert(name.clone(), context);
            Ok(())
        })?;
        output.notice(&format!("added the context {name}"));
        output.tip(&format!("make it the current one with `jobstream context use {name}`"));
        Ok(Exit::Ok)
    }
}

/// The path for a command in any directory.
fn absolute(path: &Option<PathBuf>) -> Result<Option<PathBuf>> {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| Error::usage(format!("cannot use {}: {error}", path.display())))
    };
    path.as_deref().map(absolute).transpose()
}
