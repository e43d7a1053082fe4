//! `jobstream context`: servers by name. The longer verbs have files of their own.

mod add;
mod ls;
mod show;

use clap::{Args, Subcommand};

use crate::contexts;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{GlobalArgs, Output};

const EXAMPLES: &str = "\
A context is the address of a server with its CA, client certificate and token.
Commands call the server of the current context, unless --address, --context or
a variable names another. A variable overrides a setting of the current context,
and a flag overrides both; --context overrides variables.
They are stored in $XDG_CONFIG_HOME/jobstream/contexts.toml or ~/.config.

Examples:
  jobstream context add prod --address https://jobs.example:7070 --token-stdin
  jobstream context use prod
  jobstream jobs ls --context prod";

const USE_EXAMPLES: &str = "\
Examples:
  jobstream context use prod";

const RM_EXAMPLES: &str = "\
A token that is stored in the context is removed with it.

Examples:
  jobstream context rm prod";

/// Add, choose, list and remove contexts: servers by name
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Context {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(add::Add),
    /// Make a context the current one
    #[command(after_help = USE_EXAMPLES)]
    Use(Name),
    Ls(ls::Ls),
    /// Remove a context
    #[command(after_help = RM_EXAMPLES)]
    Rm(Name),
    Show(show::Show),
}

#[derive(Debug, Args)]
struct Name {
    /// Name of the context
    name: String,
}

impl Context {
    /// Runs the verb.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let output = Output::new(global, None);
        match self.verb {
            // A client needs the runtime, even if it does not connect.
            Verb::Add(add) => add.run(&output),
            Verb::Use(Name { name }) => make_current(&name, &output),
            Verb::Ls(ls) => ls.run(global),
            Verb::Rm(Name { name }) => remove(&name, &output),
            Verb::Show(show) => show.run(global),
        }
    }
}

fn make_current(name: &str, output: &Output) -> Result<Exit> {
    let address = contexts::change(|contexts| {
        let address = contexts.named(name)?.address.clone();
        contexts.current = Some(name.to_owned());
        Ok(address)
    })?;
    output.notice(&format!("{name} is the current context: {address}"));
    Ok(Exit::Ok)
}

fn remove(name: &str, output: &Output) -> Result<Exit> {
    let was_current = contexts::change(|contexts| {
        contexts.named(name)?;
        contexts.contexts.remove(name);
        Ok(contexts.current.take_if(|current| current == name).is_some())
    })?;
    let note = if was_current { "; no context is the current one now" } else { "" };
    output.notice(&format!("removed the context {name}{note}"));
    Ok(Exit::Ok)
}
