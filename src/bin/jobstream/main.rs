//! The jobstream command line. Each subcommand has a file of its own; this one only chooses among them.

#[cfg(feature = "mimalloc")]
mod allocator;
mod completion;
mod config;
mod config_check;
mod connect;
mod context;
mod contexts;
mod dev;
mod error;
mod exit;
mod explain;
mod follow;
mod health;
mod info;
mod interrupt;
mod job_id;
mod jobs;
mod log;
mod log_level;
#[cfg(feature = "otel")]
mod metrics_export;
mod narrowed;
mod otel;
mod outcome;
mod output;
mod pages;
mod payload;
mod private_file;
mod queues;
mod result;
mod run;
mod secret_input;
mod serve;
mod served;
mod server;
mod spec;
mod stderr;
mod submit;
mod token;
mod top;
mod traces;
mod units;
mod usage;
mod wait;
mod watch;
mod whoami;
mod worker;
mod workers;

use std::future::Future;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tokio::runtime;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::GlobalArgs;

/// Submit a job, get its result, watch it live, over gRPC.
#[derive(Debug, Parser)]
#[command(name = "jobstream", version = env!("JOBSTREAM_VERSION"), long_version = traces::LONG_VERSION)]
#[command(after_help = exit::HELP, max_term_width = 80)]
#[command(propagate_version = false, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Dev),
    Serve(serve::Serve),
    Worker(worker::Worker),
    Run(Box<run::Run>),
    Submit(Box<submit::Submit>),
    Result(result::GetResult),
    Watch(watch::Watch),
    Jobs(jobs::Jobs),
    Queues(queues::Queues),
    Workers(workers::Workers),
    Info(info::Info),
    Top(top::Top),
    Health(health::Health),
    LogLevel(log_level::LogLevel),
    #[command(name = "whoami")]
    WhoAmI(whoami::WhoAmI),
    Context(context::Context),
    Token(token::Token),
    Log(log::Log),
    Config(config_check::Config),
    Explain(explain::Explain),
    Completion(completion::Completion),
}

fn main() -> ExitCode {
    // Before the command line is read: this command is internal.
    // Its arguments are UTF-8.
    let args = std::env::args_os().skip(1).map_while(|arg| arg.into_string().ok());
    if let Some(log_format) = server::orphan_guard_format(args) {
        return server::guard_orphans(log_format);
    }
    let Cli { global, command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error).into(),
    };
    let exit = dispatch(command, global).unwrap_or_else(|error| {
        // The command may have failed before it set up its log.
        stderr::set_format(config::early_log_format());
        error.print(global.stderr_style());
        error.exit
    });
    stderr::flush(stderr::END_FLUSH_MAX);
    exit.into()
}

fn dispatch(command: Command, global: GlobalArgs) -> Result<Exit> {
    match command {
        Command::Dev(dev) => dev.run(global),
        Command::Serve(serve) => serve.run(global),
        Command::Worker(worker) => worker.run(global),
        Command::Run(run) => block_on(run.run(global)),
        Command::Submit(submit) => block_on(submit.run(global)),
        Command::Result(result) => block_on(result.run(global)),
        Command::Watch(watch) => block_on(watch.run(global)),
        Command::Jobs(jobs) => block_on(jobs.run(global)),
        Command::Queues(queues) => block_on(queues.run(global)),
        Command::Workers(workers) => block_on(workers.run(global)),
        Command::Info(info) => block_on(info.run(global)),
        Command::Top(top) => block_on(top.run(global)),
        Command::Health(health) => block_on(health.run(global)),
        Command::LogLevel(log_level) => block_on(log_level.run(global)),
        Command::WhoAmI(whoami) => block_on(whoami.run(global)),
        Command::Context(context) => block_on(context.run(global)),
        Command::Token(token) => block_on(token.run(global)),
        Command::Log(log) => log.run(global),
        Command::Config(config) => config.run(global),
        Command::Explain(explain) => explain.run(global),
        Command::Completion(completion) => completion.run(global, Cli::command()),
    }
}

/// Runs a client command on this thread.
fn block_on(command: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Exit::Other, format!("cannot start: {error}")))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_is_narrow_and_has_an_example() {
        check_help(&mut Cli::command(), "jobstream");
    }

    fn check_help(command: &mut clap::Command, path: &str) {
        let help = command.render_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{path}: {line}");
        }
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in after.lines() {
            assert!(line.chars().count() <= 80, "{path} wraps: {line}");
        }
        assert!(
            help.contains(&format!("  {path}")) || help.contains("(jobstream completion"),
            "{path}:\n{help}"
        );
        for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            check_help(sub, &path);
        }
    }
}
