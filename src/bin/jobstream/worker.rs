//! `jobstream worker`: runs the jobs of a remote server with local programs and HTTP endpoints.

mod messages;
mod name;
mod run;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use jobstream::client::ClientOptions;
use jobstream::server::raise_descriptor_limit;
use jobstream::worker::RemoteOptions;
use serde::Deserialize;

use crate::config::{self, CommandConfig, HttpArgs, HttpConfig, Kind, LogConfig, LogFormat, ServerConfig};
use crate::connect::{self, Address, ServerArgs};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt;
use crate::output::{GlobalArgs, Output};
use crate::server::{self, Handlers};
use crate::traces::Traces;
use crate::units;
use messages::Description;

const EXAMPLES: &str = "\
The worker reconnects until the server is available; attempts continue
meanwhile. SIGTERM, SIGHUP or Ctrl-C drains it: no new jobs, running attempts
may finish, the others are returned to the server, and the worker ends within a
second after the drain timeout. A second signal ends it within 100 ms. It exits
0 when it was drained, by a signal or an operator (`workers drain`).

Examples:
  jobstream worker --exec 'upper=tr a-z A-Z'
  jobstream worker --http resize=http://127.0.0.1:9000/resize
  jobstream worker --address jobs.lan:7070 --queue media --slots 2 \\
    --exec 'thumbnail=convert - -resize 64x64 png:-' --drain-timeout 2m

worker.toml, with the keys `jobstream serve --print-config` shows:
  [commands.thumbnail]
  program = \"convert\"
  args = [\"-\", \"-resize\", \"64x64\", \"png:-\"]
  time_limit = \"1m\"
  slots = 4";

/// Run the jobs of a remote server with local programs or
/// HTTP endpoints
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = "jobstream worker [OPTIONS] <--exec ...|--http ...|--config ...>")]
#[command(group = ArgGroup::new("handlers").args(["exec", "http", "config"]).required(true).multiple(true))]
pub(crate) struct Worker {
    /// Run a program for a kind: payload on stdin, result on
    /// stdout; repeatable
    #[arg(long, value_name = "KIND=PROGRAM ARGS", value_parser = config::exec)]
    exec: Vec<String>,
    #[command(flatten)]
    http: HttpArgs,
    /// TOML file with [commands.KIND] and [http.KIND] tables
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Name shown with each attempt
    /// [default: this machine's and the process id]
    #[arg(long, value_name = "NAME", env = "JOBSTREAM_WORKER_NAME", hide_env_values = true)]
    name: Option<String>,
    /// Serve only this queue; repeatable [default: all]
    #[arg(long = "queue", value_name = "NAME")]
    queues: Vec<String>,
    /// Jobs of each kind at the same time
    /// [default: 8 for programs, 16 for endpoints, or as the file
    /// says]
    #[arg(long, value_name = "N", env = "JOBSTREAM_WORKER_SLOTS", hide_env_values = true)]
    slots: Option<NonZeroU32>,
    /// How long running attempts may take to end after a signal
    #[arg(long, value_name = "SPAN", value_parser = units::duration, default_value = "30s")]
    #[arg(env = "JOBSTREAM_DRAIN_TIMEOUT", hide_env_values = true)]
    drain_timeout: Duration,
    /// Largest message to read; larger jobs wait for another worker
    #[arg(long, value_name = "BYTES", value_parser = config::bytes, default_value = "16MiB")]
    message_bytes_max: u64,
    #[command(flatten)]
    server: ServerArgs,
    /// off, error, warn, info, debug or trace; then TARGET=LEVEL,
    /// separated by commas
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    #[arg(env = "JOBSTREAM_LOG_LEVEL", hide_env_values = true)]
    log_level: String,
    /// text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    #[arg(env = "JOBSTREAM_LOG_FORMAT", hide_env_values = true)]
    log_format: LogFormat,
}

/// The config file of a worker.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WorkerFile {
    /// Programs by kind.
    commands: BTreeMap<Kind, CommandConfig>,
    /// HTTP endpoints by kind.
    http: BTreeMap<Kind, HttpConfig>,
}

impl Worker {
    /// Runs the command.
    pub(crate) fn run(self, global: GlobalArgs) -> Result<Exit> {
        let output = Output::new(global, None);
        let mut options = ClientOptions::default();
        server::log_to_stderr(&LogConfig { level: self.log_level.clone(), format: self.log_format })?;
        let address = self.server.apply(&mut options, &output)?;
        // Every program takes a few descriptors.
        raise_descriptor_limit();
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Error::new(Exit::Other, format!("cannot start: {error}")))?;
        let exit = runtime.block_on(self.work(&output, address, options));
        // A program that cannot be killed must not delay the exit.
        runtime.shutdown_background();
        exit
    }

    async fn work(self, output: &Output, address: Address, options: ClientOptions) -> Result<Exit> {
        let interrupts = interrupt::listen(Exit::Ok, Some(self.drain_timeout))?;
        let handlers = self.handlers(output)?;
        let client = connect::lazy(&address, options)?;
        let name = self.name.unwrap_or_else(name::of_this_process);
        let kinds = handlers.slots();
        let traces = Traces::start();
        let mut worker = traces.add_to_worker(jobstream::worker::Worker::new().name(&name));
        if !self.queues.is_empty() {
            worker = worker.queues(&self.queues);
        }
        (worker, _) = handlers.add_to(worker)?;
        let mut options = RemoteOptions::default();
        options.message_bytes_max = usize::try_from(self.message_bytes_max).unwrap_or(usize::MAX);
        let running = worker.connect(&client, options).map_err(|error| Error::usage(error.to_string()))?;
        let description = Description { name, address: address.url(), kinds, queues: self.queues };
        output.notice(&description.starting(&address));
        let end = run::until_end(&running, output, &description, self.drain_timeout, interrupts).await;
        traces.stop(Duration::MAX).await;
        run::report(end, output, &address)
    }

    fn handlers(&self, output: &Output) -> Result<Handlers> {
        let mut file: WorkerFile = self.config.as_deref().map(config::load).transpose()?.unwrap_or_default();
        self.http.apply(&mut file.http)?;
        let WorkerFile { commands, http } = file;
        let config = ServerConfig { exec: self.exec.clone(), commands, http, ..ServerConfig::default() };
        let mut handlers = Handlers::new(&config)?;
        server::warnings(&config).iter().for_each(|warning| output.warning(warning));
        if handlers.slots().is_empty() {
            return Err(Error::usage(
                "nothing to run: name a program with --exec, an endpoint with --http, or either in the file",
            ));
        }
        if let Some(slots) = self.slots {
            handlers.set_slots(slots.get());
        }
        Ok(handlers)
    }
}
