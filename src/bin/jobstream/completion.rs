//! `jobstream completion`: the script that completes commands in a shell.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::error::Result;
use crate::exit::Exit;
use crate::output::{GlobalArgs, Output};

const EXAMPLES: &str = "\
Examples:
  source <(jobstream completion bash)
  jobstream completion zsh > ~/.zfunc/_jobstream
  jobstream completion fish > ~/.config/fish/completions/jobstream.fish";

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completion {
    /// bash, elvish, fish, powershell or zsh
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

impl Completion {
    /// Runs the command.
    pub(crate) fn run(self, global: GlobalArgs, mut command: Command) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "jobstream", &mut script);
        Output::new(global, None).raw(&script)?;
        Ok(Exit::Ok)
    }
}
