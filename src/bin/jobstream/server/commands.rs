//! The programs of the `[commands.KIND]` tables and `--exec` flags as handlers.

use std::collections::BTreeMap;

use jobstream::worker::CommandHandler;
use jobstream::worker::command::{CommandSpec, OrphanGuard, OrphanReaper, parse_exec};
use rustix::process::Pid;

use super::{ORPHAN_GUARD, size};
use crate::config::{CommandConfig, ServerConfig};
use crate::error::{Error, Result};
use crate::stderr;

/// The programs by kind; `--exec` overrides a table.
///
/// # Errors
///
/// For an `--exec` that cannot be parsed, and for a program that cannot be found.
pub(super) fn handlers(config: &ServerConfig) -> Result<BTreeMap<String, CommandHandler>> {
    let (mut handlers, problems) = check(config);
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem);
    }
    if !handlers.is_empty() {
        let guard = guard();
        handlers.values_mut().for_each(|handler| handler.guard.clone_from(&guard));
    }
    if OrphanReaper::is_needed() {
        reap_orphans(&mut handlers);
    }
    Ok(handlers)
}

/// The programs by kind, without a guard, and every problem.
pub(super) fn check(config: &ServerConfig) -> (BTreeMap<String, CommandHandler>, Vec<Error>) {
    let (mut handlers, mut problems) = (BTreeMap::new(), Vec::new());
    for (kind, command) in &config.commands {
        handlers.insert(String::from(kind.clone()), handler(command, config));
    }
    for exec in &config.exec {
        match parse_exec(exec) {
            Ok((kind, spec)) => {
                handlers.insert(kind, CommandHandler::new(with_server_defaults(spec, config)));
            }
            Err(error) => problems.push(Error::usage(error.to_string())),
        }
    }
    let checks =
        handlers.iter().filter_map(|(kind, handler)| Some((kind, handler.spec.check_program().err()?)));
    problems
        .extend(checks.map(|(kind, problem)| Error::usage(format!("the program of kind {kind}: {problem}"))));
    (handlers, problems)
}

/// Reaps orphans while the process runs: without it, every process that a program leaves behind becomes a zombie.
fn reap_orphans(handlers: &mut BTreeMap<String, CommandHandler>) {
    let reaper = OrphanReaper::default();
    for handler in handlers.values_mut() {
        handler.reaper = reaper.clone();
    }
    let guard = handlers.values().find_map(|handler| handler.guard.as_ref()?.process_id());
    if let Some(guard) = guard.and_then(|id| Pid::from_raw(id.cast_signed())) {
        reaper.exclude(guard);
    }
    tokio::spawn(async move {
        if let Err(error) = reaper.run().await {
            tracing::warn!(%error, "orphans of programs are not reaped");
        }
    });
}

fn handler(command: &CommandConfig, config: &ServerConfig) -> CommandHandler {
    let mut spec = with_server_defaults(CommandSpec::new(&command.program), config);
    spec.args.clone_from(&command.args);
    spec.working_dir.clone_from(&command.working_dir);
    spec.env = command.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(allowlist) = &command.env_allowlist {
        spec.env_allowlist.clone_from(allowlist);
    }
    spec.output = command.output;
    spec.content_type.clone_from(&command.content_type);
    spec.time_limit = command.time_limit;
    spec.kill_grace = command.kill_grace;
    if let Some(bytes) = command.result_bytes_max {
        spec.result_bytes_max = size(bytes);
    }
    spec.retryable_exit_codes = command.retry_exit_codes.iter().map(|code| i32::from(*code)).collect();
    let mut handler = CommandHandler::new(spec);
    if let Some(slots) = command.slots {
        handler.slots = slots.get();
    }
    handler
}

fn with_server_defaults(mut spec: CommandSpec, config: &ServerConfig) -> CommandSpec {
    spec.result_bytes_max = size(config.limits.payload_bytes_max);
    // A variable that is not UTF-8 cannot be named in an allowlist.
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    spec.inherited_env = std::env::vars_os().filter_map(text).collect();
    spec
}

/// Starts the guard that kills the programs after a `kill -9` of this process. Without it they may outlive the process.
fn guard() -> Option<OrphanGuard> {
    let program = std::env::current_exe();
    // It inherits stderr, and its environment is empty.
    let log_format = stderr::log_format().name();
    match program.and_then(|program| OrphanGuard::spawn(&program, &[ORPHAN_GUARD, log_format])) {
        Ok(guard) => Some(guard),
        Err(error) => {
            tracing::warn!(%error, "no orphan guard: commands may outlive a kill -9 of this process");
            None
        }
    }
}
